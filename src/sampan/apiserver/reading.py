"""The reading verbs: get, list and watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from sampan.apiserver.answers import make_shower, render_list, render_object
from sampan.apiserver.call import Call
from sampan.apiserver.messages import JSON, Reply
from sampan.apiserver.options import (
    WatchRequest,
    parse_flag,
    parse_list_options,
    parse_watch_request,
)
from sampan.apiserver.watching import DEFAULT_SECONDS, WatchLines
from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError, BadRequest, Expired
from sampan.machinery.labels import parse_fields, parse_selector
from sampan.machinery.listing import parse_version
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import Event, Key, ListOptions, Page, Store, WatchOptions


class Readable(Protocol):
    """The reading half of the `Store` contract."""

    async def get(self, key: Key) -> JsonObject:
        """Return the object; raise NotFound."""

    async def list(self, resource: str, namespace: str, options: ListOptions) -> Page:
        """Return the objects of a namespace."""

    def watch(self, resource: str, namespace: str, options: WatchOptions) -> AsyncIterator[Event]:
        """Yield changes."""


class VersionTooLarge(ApiError):
    """A list or watch of a version that is still to come."""

    code, reason = 504, "Timeout"


class Reader:
    """Answers reads from the store, and those of views from these, by resource id."""

    def __init__(
        self, store: Store, views: Mapping[str, Readable], clock: Clock, stopping: asyncio.Event
    ) -> None:
        self._store = store
        self._views = views
        self._clock = clock
        self._stopping = stopping

    async def get(self, call: Call) -> Reply:
        """Return one object."""
        obj = await self._source(call.resource).get(call.key)
        return render_object(call, obj, self._clock.now())

    async def list(self, call: Call) -> Reply:
        """Return a collection, or its watch."""
        if parse_flag(call.request.query, "watch"):
            return await self.watch(call)
        options = parse_list_options(call.request.query)
        namespace = call.route.namespace
        page = await self._source(call.resource).list(call.resource.id, namespace, options)
        _check_version(call, page)
        return render_list(call, page, self._clock.now())

    async def watch(self, call: Call) -> Reply:
        """Return the changes of a collection as they come."""
        wanted = parse_watch_request(call.request.query)
        selectors = parse_list_options(call.request.query)
        # Read before the answer starts: what is wrong here is a 400, not an event.
        parse_selector(selectors.label_selector)
        parse_fields(selectors.field_selector, call.resource.id)
        parse_version(wanted.since)
        lines = WatchLines(
            make_shower(call, self._clock.now),
            self._stopping,
            wanted.timeout or DEFAULT_SECONDS,
            wanted.initial_events,
        )
        options = WatchOptions(
            since=await self._start(call, wanted),
            label_selector=selectors.label_selector,
            field_selector=selectors.field_selector,
            bookmarks=wanted.bookmarks or wanted.initial_events,
        )
        source = self._source(call.resource)
        events = source.watch(call.resource.id, call.route.namespace, options)
        return Reply(media_type=JSON, stream=lines.render(events))

    def _source(self, resource: Resource) -> Readable:
        return self._views.get(resource.id, self._store)

    async def _start(self, call: Call, wanted: WatchRequest) -> str:
        if not wanted.from_now:
            return wanted.since
        source, namespace = self._source(call.resource), call.route.namespace
        page = await source.list(call.resource.id, namespace, ListOptions(limit=1))
        return page.resource_version


def _check_version(call: Call, page: Page) -> None:
    """Hold a list to `resourceVersion` and `resourceVersionMatch` (API concepts, "Semantics")."""
    version = call.request.query.get("resourceVersion", "")
    match = call.request.query.get("resourceVersionMatch", "")
    if match not in ("", "Exact", "NotOlderThan"):
        raise BadRequest(
            f'resourceVersionMatch: Unsupported value: "{match}": supported values: "Exact", '
            '"NotOlderThan"'
        )
    if match and not version:
        raise BadRequest(f'resourceVersionMatch "{match}" needs a resourceVersion')
    wanted, shown = parse_version(version), int(page.resource_version)
    if wanted > shown:
        raise VersionTooLarge(
            f"Too large resource version: {wanted}, current: {shown}; list without it"
        )
    if match == "Exact" and wanted != shown:
        raise Expired(f"The resourceVersion {wanted} is too old; list without it")
