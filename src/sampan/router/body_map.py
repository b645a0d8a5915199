"""A step's body put together from parts of the request and of the answer before it.

Sampan's own, KServe has no such thing: a JSON value whose texts that begin with `$request` or
`$response` stand for what a gjson path finds there. `$$` begins a text that only looks like one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from sampan.gjson.compare import MISSING
from sampan.gjson.find import find
from sampan.gjson.parse import PathError, parse_path
from sampan.gjson.path import Key, Path
from sampan.router.body import Body, Carried, text_of

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


def fill(template: Template, request: Body, response: Body) -> Body:
    """Return the body that a template stands for; raise CannotFill where a part is not there.

    What is picked out of a body that is carried is carried on.
    """
    sources = Sources({REQUEST: request, RESPONSE: response})
    value = _fill(template, sources.pick)
    return orjson.dumps(value) if sources.carried is None else sources.carried.made(value)


class Sources:
    """The bodies that parts are picked from, each read once. `carried`: one that was not read."""

    def __init__(self, bodies: Mapping[str, Body]) -> None:
        self._bodies = bodies
        self._read: dict[str, Any] = {}
        self.carried: Carried | None = None

    def pick(self, pick: Pick) -> Any:
        """Return a part; raise CannotFill where it is not there."""
        body = self._bodies[pick.source]
        found = MISSING
        if isinstance(body, Carried) and (pick.path is None or _is_simple(pick.path)):
            found = body.value if pick.path is None else find(body.value, pick.path)
        if found is not MISSING and isinstance(body, Carried):
            self.carried = body
            return found
        whole = self._whole(pick.source)
        found = whole if pick.path is None else find(whole, pick.path)
        if found is MISSING:
            raise CannotFill(f'"{pick.text}" finds nothing; send it, or correct the path')
        return found

    def _whole(self, name: str) -> Any:
        if name not in self._read:
            try:
                self._read[name] = orjson.loads(text_of(self._bodies[name]))
            except ValueError:
                text = f'"{name}" is no JSON, and parts of it are asked for'
                raise CannotFill(text) from None
        return self._read[name]


def _is_simple(path: Path) -> bool:
    """Whether a path only names members: what it finds beside arrays, it finds in a list as well.

    A query would look into them. So would a name that is the index of an element: it finds nothing
    in an array, and is looked for in the text.
    """
    return all(isinstance(step, Key) and step.pattern is None for step in path.steps)


def _fill(template: Template, pick: Callable[[Pick], Any]) -> Any:
    match template:
        case Fixed(value):
            return value
        case Members(pairs):
            return {key: _fill(part, pick) for key, part in pairs}
        case Items(parts):
            return [_fill(part, pick) for part in parts]
        case Pick():
            return pick(template)


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
