"""Keeping events of the log as files in a store, in KServe's places and formats.

KServe, logger, store: a batch is one object, named by its last record:
`PATH OF THE URL/namespace/service/component/--log-store-path/ID-request.json`, empty parts left
out. Where `--log-marshaller-url` names a server of one's own, it makes the content.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

import orjson

from sampan.agent.event_sink import describe
from sampan.agent.events import Event, Origin
from sampan.agent.log import Trouble
from sampan.agent.marshalling import FORMATS
from sampan.agent.records import Record, Shelf, make_record
from sampan.agent.waiting import result_of
from sampan.machinery.web_address import WebAddress
from sampan.wire.upstream import Pool
from sampan.wire.upstream_answer import Answer, CallFailed

EXTENSION = b"x-log-marshal-extension"
_SECONDS = 30.0  # for the marshaller's answer

Put: TypeAlias = Callable[[str, bytes], Awaitable[Trouble | None]]
"""Writes an object of this name; None: it is written."""

Marshal: TypeAlias = Callable[[Sequence[Record]], Awaitable["tuple[bytes, str] | Trouble"]]
"""Returns the content and the extension of a file of records."""


class StoreSink:
    """One store. `path` is `--log-store-path`."""

    def __init__(self, put: Put, marshal: Marshal, shelf: Shelf, path: str) -> None:
        self._put = put
        self._marshal = marshal
        self._shelf = shelf
        self._path = path

    async def deliver(self, events: Sequence[Event]) -> Trouble | None:
        """Write events as one object."""
        made = await self._marshal([make_record(event, self._shelf) for event in events])
        if isinstance(made, Trouble):
            return made
        content, extension = made
        return await self._put(make_key(events[-1], self._shelf, self._path, extension), content)


def make_key(event: Event, shelf: Shelf, path: str, extension: str) -> str:
    """Return the name of the object that ends with an event. Pure."""
    origin: Origin = shelf.origin
    parts = (shelf.prefix, origin.namespace, origin.service, origin.component, path)
    folder = "/".join(p for p in (part.strip("/") for part in parts) if p)
    name = f"{_plain(event.id)}-{event.type.rpartition('.')[2]}.{_plain(extension)}"
    return f"{folder}/{name}" if folder else name


def _plain(text: str) -> str:
    """What a client may send as an id, or a server as an extension, leads to no other folder.

    Letters are ASCII's, so that so many of them are a name that every file system takes.
    """
    kept = "".join(c if (c.isascii() and c.isalnum()) or c in "-_.:@" else "_" for c in text)[:200]
    return kept if kept.strip(".") else "_"


def make_marshal(form: str) -> Marshal:
    """Return what makes files of a known format here."""

    async def marshal(records: Sequence[Record]) -> tuple[bytes, str]:
        return await asyncio.to_thread(FORMATS[form], records), form

    return marshal


def make_remote_marshal(pool: Pool, address: WebAddress) -> Marshal:
    """Return what has a server make files (KServe: POST of an array of records)."""

    async def marshal(records: Sequence[Record]) -> tuple[bytes, str] | Trouble:
        body = orjson.dumps(list(records))
        head = (
            b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % (address.target, address.authority, len(body))
        )
        answer: Answer | CallFailed = await result_of(partial(pool.call, head, body, _SECONDS))
        trouble = describe(answer, "the marshaller")
        if trouble is not None or isinstance(answer, CallFailed):
            return trouble or Trouble("the marshaller did not answer")
        told = {name.lower(): value for name, value in answer.fields}
        return answer.body, told.get(EXTENSION, b"json").decode("latin-1").strip()

    return marshal
