"""Definitions without the bounds that only a finished object keeps to.

An LLMInferenceServiceConfig holds parts of objects, whose texts may be templates (`{{ .Name }}`):
within its pods, routes and pools KServe's CRD asks for no pattern, no least length and no rule.
These types are copied with a suffix, and so is all between them and the kinds that use the copies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sampan.api.schema.inline import loosened
from sampan.machinery.registry import JsonObject

SUFFIX = "InConfig"


def derive_relaxed(
    definitions: Mapping[str, JsonObject], users: Collection[str], relaxed: Collection[str]
) -> dict[str, JsonObject]:
    """Return the definitions of `users` anew, and the copies that they use instead."""
    copied = {n for n in definitions if _reached(definitions, n) & {*relaxed}}
    loose = {inner for name in relaxed for inner in _reached(definitions, name)}
    wanted = {inner for user in users for inner in _reached(definitions, user)}
    made = {}
    for name in sorted(wanted & (copied | loose)):
        part = loosened(definitions[name]) if name in loose else definitions[name]
        key = name if name in users else name + SUFFIX
        made[key] = _renamed(part, copied | loose)
    return made


def _reached(definitions: Mapping[str, JsonObject], name: str) -> set[str]:
    """Return the types that a type leads to, itself included."""
    found, waiting = set[str](), [name]
    while waiting:
        current = waiting.pop()
        if current in definitions and current not in found:
            found.add(current)
            waiting += _references(definitions[current])
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        part = [*part.values()]
    if isinstance(part, list):
        for value in part:
            yield from _references(value)


def _renamed(part: Any, names: Collection[str]) -> Any:
    """Return a schema whose references lead to the copies."""
    if isinstance(part, list):
        return [_renamed(item, names) for item in part]
    if not isinstance(part, dict):
        return part
    renamed = {key: _renamed(value, names) for key, value in part.items()}
    if part.get("$ref") in names:
        renamed["$ref"] = f"{part['$ref']}{SUFFIX}"
    return renamed
