"""Parts of an object by their path: read, and put in place. Pure."""

from __future__ import annotations

from typing import Any, Final

from sampan.machinery.registry import JsonObject


class _Nothing:
    """What is where no part is: null is a value."""

    def __bool__(self) -> bool:
        return False


NOTHING: Final = _Nothing()


def part_at(obj: Any, path: tuple[str, ...]) -> Any:
    """Return the part at a path, NOTHING where there is none."""
    for step in path:
        if not isinstance(obj, dict) or step not in obj:
            return NOTHING
        obj = obj[step]
    return obj


def with_part(obj: JsonObject, path: tuple[str, ...], part: Any) -> JsonObject:
    """Return the object with another part at a path whose parents are there.

    NOTHING takes the part away. Where a parent is missing the object stays as it is.
    """
    name, rest = path[0], path[1:]
    if rest:
        inner = obj.get(name)
        return {**obj, name: with_part(inner, rest, part)} if isinstance(inner, dict) else obj
    if part is NOTHING:
        return {k: v for k, v in obj.items() if k != name}
    return {**obj, name: part}
