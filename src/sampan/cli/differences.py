"""How two states of an object differ, as a unified diff of their YAML. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from sampan.cli.client import JsonObject
from sampan.cli.output import paint
from sampan.cli.targets import object_name

_COLOURS = {"-": "31", "+": "32", "@": "36"}
NOTHING = "/dev/null"


def difference(before: JsonObject | None, after: JsonObject | None) -> str:
    """Return the unified diff; "" where nothing differs. What only the server writes is left out.

    Values of Secrets are not shown, only which of them differ (as `kubectl diff`).
    """
    old, new = _masked(_bare(before), _bare(after))
    if old == new:
        return ""
    lines = difflib.unified_diff(
        _lines(old), _lines(new), _label(before, "before"), _label(after, "after"), lineterm=""
    )
    return "\n".join(_painted(lines))


def _bare(obj: JsonObject | None) -> JsonObject | None:
    from sampan.app.portable import without_server_fields

    return None if obj is None else without_server_fields(obj)


def _masked(old: JsonObject | None, new: JsonObject | None) -> tuple[Any, Any]:
    if (old or new or {}).get("kind") != "Secret":
        return old, new
    values = [_values(old or {}), _values(new or {})]
    same = {key for key in values[0] if values[0][key] == values[1].get(key)}
    words = ("*** (before)", "*** (after)")
    return tuple(  # type: ignore[return-value]  # two of them
        None if obj is None else _with_words(obj, word, same)
        for obj, word in zip((old, new), words, strict=True)
    )


def _values(secret: JsonObject) -> dict[str, str]:
    return {**(secret.get("data") or {}), **(secret.get("stringData") or {})}


def _with_words(secret: JsonObject, word: str, same: set[str]) -> JsonObject:
    def told(values: Mapping[str, str]) -> dict[str, str]:
        return {key: "***" if key in same else word for key in values}

    fields = {f: told(secret[f]) for f in ("data", "stringData") if secret.get(f)}
    return {**secret, **fields}


def _lines(obj: JsonObject | None) -> list[str]:
    if obj is None:
        return []
    import yaml

    text: str = yaml.safe_dump(obj, sort_keys=True, allow_unicode=True)
    return text.splitlines()


def _label(obj: JsonObject | None, word: str) -> str:
    if obj is None:
        return NOTHING
    namespace = obj["metadata"].get("namespace")
    return f"{word}/{namespace + '/' if namespace else ''}{object_name(obj)}"


def _painted(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        colour = _COLOURS.get(line[:1])
        yield paint(line, colour) if colour else line
