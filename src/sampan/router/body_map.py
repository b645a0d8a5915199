"""A step's body put together from parts of the request and of the answer before it.

Sampan's own, KServe has no such thing: a JSON value whose texts that begin with `$request` or
`$response` stand for what a gjson path finds there. `$$` begins a text that only looks like one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from sampan.gjson.compare import MISSING
from sampan.gjson.find import find
from sampan.gjson.parse import PathError, parse_path
from sampan.gjson.path import Path

REQUEST, RESPONSE = "$request", "$response"


class CannotFill(ValueError):
    """A part of a body is not there; the message says which."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A part of the request or of the answer before it; without a path all of it."""

    text: str
    source: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value as it stands."""

    value: Any


@dataclass(frozen=True, slots=True)
class Members:
    """An object of parts."""

    pairs: tuple[tuple[str, Template], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """An array of parts."""

    parts: tuple[Template, ...]


Template: TypeAlias = Pick | Fixed | Members | Items


def parse_body(value: Any) -> Template:
    """Return the template that a JSON value stands for; raise ValueError."""
    if isinstance(value, dict):
        return Members(tuple((key, parse_body(part)) for key, part in value.items()))
    if isinstance(value, list):
        return Items(tuple(parse_body(part) for part in value))
    if not isinstance(value, str) or not value.startswith("$"):
        return Fixed(value)
    return Fixed(value[1:]) if value.startswith("$$") else _parse_pick(value)


def picks(template: Template) -> Iterator[Pick]:
    """Yield every part that is taken from elsewhere."""
    match template:
        case Pick():
            yield template
        case Members(pairs):
            for _, part in pairs:
                yield from picks(part)
        case Items(parts):
            for part in parts:
                yield from picks(part)


def fill(template: Template, request: bytes, response: bytes) -> bytes:
    """Return the body that a template stands for; raise CannotFill where a part is not there."""
    bodies = {REQUEST: request, RESPONSE: response}
    read: dict[str, Any] = {}

    def source(name: str) -> Any:
        if name not in read:
            read[name] = _read(name, bodies[name])
        return read[name]

    return orjson.dumps(_fill(template, source))


def _fill(template: Template, source: Callable[[str], Any]) -> Any:
    match template:
        case Fixed(value):
            return value
        case Members(pairs):
            return {key: _fill(part, source) for key, part in pairs}
        case Items(parts):
            return [_fill(part, source) for part in parts]
        case Pick(text, name, path):
            whole = source(name)
            found = whole if path is None else find(whole, path)
            if found is MISSING:
                raise CannotFill(f'"{text}" finds nothing; send it, or correct the path')
            return found


def _read(name: str, body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        raise CannotFill(f'"{name}" is no JSON, and parts of it are asked for') from None


def _parse_pick(text: str) -> Pick:
    for name in (REQUEST, RESPONSE):
        if text == name:
            return Pick(text, name)
        if text.startswith(f"{name}."):
            try:
                return Pick(text, name, parse_path(text.removeprefix(f"{name}.")))
            except PathError as error:
                raise ValueError(f'"{text}": {error}') from None
    raise ValueError(
        f'"{text}" begins with neither {REQUEST} nor {RESPONSE}; write "${text}" for the text'
    )
