"""Reading the fields of a request's JSON object: types are checked, every mistake is told at once.

What is of a wrong type is FastAPI's 422 with its `detail`, as KServe answers it; what is of the
right type and out of range is OpenAI's 400 (`BadRequest`).
"""

from __future__ import annotations

from typing import Any

import orjson

from sampan.machinery.registry import JsonObject
from sampan.protocol import v2_schema
from sampan.protocol.errors import InvalidRequestBody
from sampan.protocol.openai.errors import BadRequest


class Fields:
    """The fields of one object. Each is asked for once; `end` tells what was wrong."""

    def __init__(self, body: bytes) -> None:
        if not body:
            raise InvalidRequestBody(v2_schema.missing_body())
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidRequestBody(v2_schema.json_invalid(error.msg, error.pos)) from None
        if not isinstance(value, dict):
            raise InvalidRequestBody([_mistake((), "model_attributes_type", "an object", value)])
        self.values: JsonObject = value
        self.asked: set[str] = set()
        self.detail: list[dict[str, Any]] = []

    def get(self, name: str) -> Any:
        """Return a field as it was sent, None where it is null or not there."""
        self.asked.add(name)
        return self.values.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        value = self.get(name)
        if value is None or isinstance(value, str):
            return default if value is None else value
        self.wrong(name, "string_type", "a valid string")
        return default

    def required_text(self, name: str) -> str:
        """Return a string that must be there."""
        if self.get(name) is None:
            detail = {"type": "missing", "loc": ["body", name], "msg": "Field required"}
            self.detail.append({**detail, "input": self.values})
        return self.text(name)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a truth."""
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.wrong(name, "bool_type", "a valid boolean")
        return default

    def whole(self, name: str, least: int, default: int | None = None) -> int | None:
        """Return a whole number of at least `least`."""
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(name, "int_type", "a valid integer")
            return default
        if value < least:
            raise BadRequest(f'"{name}" is {value}; send a whole number from {least}')
        return value

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """Return a number from `least` to `most`."""
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(name, "float_type", "a valid number")
            return default
        if not least <= value <= most:
            raise BadRequest(f'"{name}" is {value:g}; send a number from {least:g} to {most:g}')
        return float(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings, or the one string that was sent."""
        value = self.get(name)
        if value is None:
            return ()
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list) and all(isinstance(item, str) for item in listed):
            return tuple(listed)
        self.wrong(name, "string_type", "a valid string, or a list of them")
        return ()

    def objects(self, name: str) -> tuple[JsonObject, ...]:
        """Return a list of objects."""
        value = self.get(name)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return tuple(value)
        self.wrong(name, "list_type", "a valid list of objects")
        return ()

    def wrong(self, name: str, kind: str, wanted: str) -> None:
        """Note that a field is not what it should be."""
        self.detail.append(_mistake((name,), kind, wanted, self.values.get(name)))

    def end(self) -> tuple[str, ...]:
        """Raise InvalidRequestBody for what was wrong; return the fields that nobody asked for."""
        if self.detail:
            raise InvalidRequestBody(self.detail)
        return tuple(name for name in self.values if name not in self.asked)


def _mistake(path: tuple[str, ...], kind: str, wanted: str, got: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "loc": ["body", *path],
        "msg": f"Input should be {wanted}",
        "input": got,
    }
