"""Patches: JSON, merge, strategic merge, and server-side apply."""

from __future__ import annotations

from typing import Any

from sampan.apiserver.body import decode_patch
from sampan.apiserver.call import Call
from sampan.apiserver.messages import Reply
from sampan.apiserver.options import WriteOptions, parse_write_options
from sampan.apiserver.received import make_received
from sampan.apiserver.writing import Writer
from sampan.machinery.errors import Conflict, Subject
from sampan.machinery.patch.json_patch import json_patch
from sampan.machinery.patch.merge_patch import merge_patch
from sampan.machinery.patch.strategic import strategic_merge
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Store

ATTEMPTS = 5  # as upstream: a patch without a version is tried again when others write


class Patcher:
    """Answers patches: reads, changes, and writes as an update of that version."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store = store
        self._writer = writer

    async def patch(self, call: Call) -> Reply:
        """Change an object by a patch, or its status only."""
        request = call.request
        custom = bool(call.resource.group)
        kind, patch = decode_patch(request.header("content-type"), request.body, custom=custom)
        options = parse_write_options(request.query, call.agent)
        for attempt in range(1, ATTEMPTS + 1):
            old = await self._store.get(call.key)
            new = make_received(call, make_patched(call, kind, old, patch))
            try:
                return await self._store_patched(call, old, new, options)
            except Conflict:
                pinned = _version(new) != _version(old)
                if pinned or attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _store_patched(
        self, call: Call, old: JsonObject, new: JsonObject, options: WriteOptions
    ) -> Reply:
        return await self._writer.store_changed(call, old, new, options)


def make_patched(call: Call, kind: str, old: JsonObject, patch: Any) -> Any:
    """Return what a patch makes of an object; raise BadRequest or Invalid. Pure."""
    if kind == "json":
        return json_patch(old, patch, Subject(call.resource.kind, call.route.name))
    return merge_patch(old, patch) if kind == "merge" else strategic_merge(old, patch)


def _version(obj: JsonObject) -> Any:
    return obj["metadata"].get("resourceVersion")
