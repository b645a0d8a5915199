"""Patches: JSON, merge, strategic merge, and server-side apply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sampan.apiserver.body import decode_patch
from sampan.apiserver.call import Call
from sampan.apiserver.messages import Reply
from sampan.apiserver.options import WriteOptions, parse_write_options
from sampan.apiserver.received import make_received
from sampan.apiserver.writing import Writer
from sampan.machinery.apply import make_applied, make_tracked
from sampan.machinery.errors import (
    AlreadyExists,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    Subject,
)
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
        """Change an object by a patch, or its status only; an apply creates what is not there."""
        request = call.request
        custom = bool(call.resource.group)
        kind, patch = decode_patch(request.header("content-type"), request.body, custom=custom)
        options = parse_write_options(request.query, call.agent)
        if kind == "apply":
            check_apply(request.query)
            config = make_received(call, patch)
            return await self._retried(lambda: self._apply(call, config, options), config)
        check_not_apply(request.query)
        return await self._retried(lambda: self._change(call, kind, patch, options), patch)

    async def _retried(self, attempt: Callable[[], Awaitable[Reply]], patch: Any) -> Reply:
        """Try again when another write came between, unless the patch insists on a version."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await attempt()
            except (Conflict, AlreadyExists) as error:
                if _pins_version(patch) or error.details.get("causes"):
                    raise
        return await attempt()

    async def _change(self, call: Call, kind: str, patch: Any, options: WriteOptions) -> Reply:
        old = await self._store.get(call.key)
        new = make_received(call, make_patched(call, kind, old, patch))
        tracked = make_tracked(call.resource, old, new, self._writer.writer_of(call, options))
        return await self._writer.store_changed(call, old, tracked, options)

    async def _apply(self, call: Call, config: JsonObject, options: WriteOptions) -> Reply:
        writer = self._writer.writer_of(call, options)
        try:
            live = await self._store.get(call.key)
        except NotFound:
            if call.route.subresource:
                raise
            new = make_applied(call.resource, None, config, writer)
            return await self._writer.store_new(call, new, options)
        new = make_applied(call.resource, live, config, writer)
        return await self._writer.store_changed(call, live, new, options)


def make_patched(call: Call, kind: str, old: JsonObject, patch: Any) -> Any:
    """Return what a patch makes of an object; raise BadRequest or Invalid. Pure."""
    if kind == "json":
        return json_patch(old, patch, Subject(call.resource.kind, call.route.name))
    return merge_patch(old, patch) if kind == "merge" else strategic_merge(old, patch)


def check_apply(query: Mapping[str, str]) -> None:
    """Raise Invalid for an apply without the name of its manager, as upstream."""
    if not query.get("fieldManager"):
        raise _invalid_option(
            "fieldManager", "Required value: is required for apply patch", "FieldValueRequired"
        )


def check_not_apply(query: Mapping[str, str]) -> None:
    """Raise Invalid for `force` on another patch than an apply, as upstream."""
    if query.get("force"):
        text = "Forbidden: may not be specified for non-apply patch"
        raise _invalid_option("force", text, "FieldValueForbidden")


def _invalid_option(field: str, text: str, reason: str) -> Invalid:
    return Invalid(Subject("PatchOptions", "", "meta.k8s.io"), [FieldError(field, text, reason)])


def _pins_version(patch: Any) -> bool:
    if isinstance(patch, dict):
        meta = patch.get("metadata")
        return isinstance(meta, dict) and bool(meta.get("resourceVersion"))
    return any(str(o.get("path")) == "/metadata/resourceVersion" for o in patch if o)
