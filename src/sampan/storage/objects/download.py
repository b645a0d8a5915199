"""One object brought into a file: only what is missing is asked for, and only of one version.

The version comes from the listing and is demanded with each request, so that a part never continues
another version's. The unfinished file and what its answer promised of it are kept for the next try.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace

from sampan.storage.base import StorageError
from sampan.storage.checksums import derive_digests, hash_file, validate_digests
from sampan.storage.download import Partial, Sink, Version
from sampan.storage.network import Answer
from sampan.storage.objects.channel import Channel, read_body
from sampan.storage.objects.selection import StoredObject
from sampan.storage.objects.store import Store
from sampan.storage.threads import run_blocking

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_CHANGED = frozenset({404, 412})
"""Between the listing and the request the object went away, or became another version."""


async def download_object(
    channel: Channel,
    store: Store,
    found: StoredObject,
    partial: Partial,
    told: Callable[[int], None],
) -> None:
    """Make one try to complete an object's file; raise StorageError, and what came stays."""
    begun, have = await asyncio.to_thread(load_part, partial, found)
    if have < found.size:
        asked = await store.ask_object(channel, found, have)
        async with channel.stream(asked) as answer:
            start = await _accept(store, answer, found, have)
            digests = derive_digests(answer.headers, partial=start > 0)
            version = replace(begun, digests={**(begun.digests if start else {}), **digests})
            await asyncio.to_thread(partial.save if start else partial.start, version)
            await _receive(channel, answer, found, partial, told)
        begun = version
    elif not found.size:
        await asyncio.to_thread(partial.start, begun)
    await _verify(begun, partial, f"{store.place.shown}: {found.name}")


async def require_object(channel: Channel, store: Store, found: StoredObject) -> None:
    """Raise StorageError unless an object's last byte is given."""
    start = found.size - 1
    async with channel.stream(await store.ask_object(channel, found, start)) as answer:
        await _accept(store, answer, found, start)


def load_part(partial: Partial, found: StoredObject) -> tuple[Version, int]:
    """Return what is promised of the bytes that are here, and their number."""
    begun, have = partial.load()
    if have and begun.total == found.size and have <= found.size:
        return begun, have
    return Version(etag=f"={found.version}", total=found.size), 0


async def _accept(store: Store, answer: Answer, found: StoredObject, have: int) -> int:
    """Return where in the object the answer's body begins; raise StorageError."""
    if answer.status == 200:
        return 0
    part = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    if answer.status == 206 and part is not None and int(part[1]) == have:
        if part[2] in {"*", str(found.size)}:
            return have
        raise _changed(store, found)
    if answer.status in {206, 416} or answer.status in _CHANGED:
        raise _changed(store, found)
    raise store.tell(answer.status, answer.headers, await read_body(answer, store.place.shown))


async def _receive(
    channel: Channel,
    answer: Answer,
    found: StoredObject,
    partial: Partial,
    told: Callable[[int], None],
) -> None:
    sink = Sink(partial, channel.job)
    try:
        async for chunk in answer.body:
            await sink.write(chunk)
            told(sink.size)
            if sink.size > found.size:
                break
    finally:
        await sink.close()
    if sink.size > found.size:
        await asyncio.to_thread(partial.drop)
    if sink.size != found.size:
        raise StorageError(
            "DownloadTruncated",
            f'the object "{found.name}" came with {sink.size} of {found.size} bytes; '
            "try again later, or look at the store",
            retryable=True,
        )


async def _verify(version: Version, partial: Partial, shown: str) -> None:
    """Raise StorageError where the bytes are not those that were promised; they are dropped."""
    if not version.digests:
        return
    have = await run_blocking(lambda stop: hash_file(partial.body, version.digests, stop))
    try:
        validate_digests(have, version.digests, shown)
    except StorageError:
        await asyncio.to_thread(partial.drop)
        raise


def _changed(store: Store, found: StoredObject) -> StorageError:
    return StorageError(
        "SourceChanged",
        f'the object "{found.name}" of "{store.place.shown}" changed while it was fetched; '
        "the listing is asked for again",
        retryable=True,
    )
