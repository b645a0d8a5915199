"""What an API takes and gives, worked out once: BentoML asks pydantic for it at each request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from sampan.wire.message import Response

_TEXT_KINDS = frozenset({"string", "file"})


@dataclass(frozen=True, slots=True)
class Arguments:
    """What an API's function is called with."""

    positional: tuple[Any, ...]
    named: dict[str, Any]


class Input:
    """Reads a JSON body into the arguments of a function (BentoML's JSONSerde)."""

    def __init__(self, spec: Any) -> None:
        from _bentoml_sdk.io_models import (  # type: ignore[import-not-found]  # not a dependency
            ARGS,
            KWARGS,
            IORootModel,
        )

        self._spec = spec
        self._is_root = issubclass(spec, IORootModel)
        self._lone = bool(getattr(spec, "__root_input__", False))
        self._names = tuple(spec.model_fields)
        self._rest, self._others = ARGS, KWARGS
        self.is_text = self._is_root and spec.model_json_schema().get("type") in _TEXT_KINDS

    def read(self, body: bytes) -> Arguments:
        """Return the arguments; ValidationError and JSONDecodeError tell what is wrong."""
        value = self._parse(body or b"{}")
        if self._lone:
            return Arguments((value.root if self._is_root else value,), {})
        named = {name: getattr(value, name) for name in self._names}
        rest = named.pop(self._rest, None)
        named.update(named.pop(self._others, None) or {})
        return Arguments(() if rest is None else (rest,), named)

    @property
    def takes_one(self) -> bool:
        """Whether a lone value says all that the function needs."""
        return self._lone or len(self._names) == 1

    def take(self, value: Any) -> Arguments:
        """Return the arguments that a lone value stands for; ValidationError."""
        if self._lone:
            return self.read(orjson.dumps(value))
        return self.read(orjson.dumps({self._names[0]: value}))

    def _parse(self, body: bytes) -> Any:
        if not self._is_root:
            return self._spec.model_validate_json(body)
        return self._spec.model_validate(body if self.is_text else json.loads(body))


class Output:
    """Writes what a function returned."""

    def __init__(self, spec: Any, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        from _bentoml_sdk.io_models import IORootModel, is_file_type
        from starlette.responses import Response as Theirs

        self._spec = spec
        self._root, self._response = IORootModel, Theirs
        self._is_root = issubclass(spec, IORootModel)
        self._is_file_type = is_file_type
        self._media = _with_charset(spec.mime_type()).encode()
        self._headers = headers

    def write(self, value: Any) -> Response | None:
        """Return the response; None for a file, a picture or a response of its own kind."""
        if isinstance(value, self._response):
            return None
        if not self._is_root:
            exclude = set(getattr(value, "multipart_fields", ()))
            return self._respond(value.model_dump_json(exclude=exclude))
        if self._is_file_type(type(value)):
            return None
        made = value if isinstance(value, self._root) else self._spec(value)
        shown = made.model_dump()
        return self._respond(shown if isinstance(shown, (str, bytes)) else made.model_dump_json())

    def give(self, value: Any) -> Any:
        """Return a value as JSON has it; ValidationError where it is not what was declared."""
        made = value if isinstance(value, self._spec) or not self._is_root else self._spec(value)
        return made.model_dump(mode="json")

    def _respond(self, body: str | bytes) -> Response:
        content = body.encode() if isinstance(body, str) else body
        return Response(200, content, self._media, self._headers)


def _with_charset(media: str) -> str:
    """Return a media type as Starlette sends it with a text."""
    text = media.startswith("text/") and "charset=" not in media.lower()
    return f"{media}; charset=utf-8" if text else media
