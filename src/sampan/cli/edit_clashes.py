"""Whether an edit meets what somebody else changed while the editor was open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from sampan.cli.client import JsonObject
from sampan.machinery.patch.merge_patch import same_json


def find_clashes(patch: JsonObject, before: JsonObject, latest: JsonObject) -> list[str]:
    """Return a sentence for each field of a merge patch that is another than it was.

    `before` is what the editor showed, `latest` what is stored now. Both having come to the same
    value is no clash, nor is a change of other fields: a status that was written, for example.
    """
    return [
        f"{'.'.join(path)} was changed meanwhile to {_shown(now)}; leave it so, or edit it anew"
        for path, now in _clashes(patch, before, latest, ())
    ]


def _clashes(
    patch: JsonObject, before: JsonObject, latest: JsonObject, path: Sequence[str]
) -> Iterator[tuple[Sequence[str], object]]:
    for name, value in patch.items():
        old, now, here = before.get(name), latest.get(name), (*path, name)
        if isinstance(value, dict) and isinstance(old, dict) and isinstance(now, dict):
            yield from _clashes(value, old, now, here)
        elif not same_json(old, now) and not same_json(value, now):
            yield here, now


def _shown(value: object) -> str:
    return "nothing" if value is None else json.dumps(value)
