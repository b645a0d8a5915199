"""`oci://registry/repository[:tag|@digest]`: the model in an image, or the files of an artifact.

A tag is resolved to its manifest first; an image that is here transfers nothing, and of a new one
only the layers that changed come. A URI with a digest is served without asking. When the registry
cannot be reached, the copy that is here is served, and the result says so. Both are for those whom
the registry has given it to, and for all where no login was asked for.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from sampan.storage.asking import decode_json
from sampan.storage.base import Fetched, StorageError
from sampan.storage.cache import Entry, make_key, measure_tree, open_cache
from sampan.storage.filling import make_facts
from sampan.storage.granted import is_granted, make_mark
from sampan.storage.job import Job
from sampan.storage.lock import hold
from sampan.storage.oci_collect import Image, collect_layers
from sampan.storage.oci_layer import check_links, make_empty_error
from sampan.storage.oci_login import gather_login
from sampan.storage.oci_manifest import (
    find_architecture,
    is_index,
    make_strange_error,
    read_layers,
    select_manifest,
)
from sampan.storage.oci_reference import Reference, make_base, parse_reference
from sampan.storage.oci_registry import Registry
from sampan.storage.pieces import Yard
from sampan.storage.reporter import Reporter
from sampan.storage.serving import ATTEMPTS_WITH_COPY, make_fetched, make_stale
from sampan.storage.source import Source
from sampan.storage.threads import run_blocking


async def fetch(uri: str, job: Job) -> Fetched:
    """Return the folder of an image's model; raise StorageError, OSError."""
    reference = parse_reference(uri)
    base = make_base(reference, job.options.environment)
    cache = await asyncio.to_thread(open_cache, job.options.cache)
    slot = await asyncio.to_thread(cache.slot, reference.shown)
    reporter = Reporter(job.report)
    async with hold(slot.lock, job.world.clock, lambda: reporter.tell("Waiting for another fetch")):
        entry = await asyncio.to_thread(cache.find, slot)
        login = await gather_login(reference, job.options)
        mark = await make_mark(reference.shown, login.basic, login.bearer)
        if entry is not None and not is_granted(entry, mark):
            entry = None  # the registry is asked who may have it
        if entry is not None and reference.digest:
            return replace(make_fetched(entry), chosen=False)
        registry = Registry(reference, base, login, (job, reporter))
        source = f"oci://{reference.registry}/{reference.repository}"
        yard = Yard(cache, slot, job, reporter, source)
        fetched = await _refresh(reference, registry, entry, yard, mark)
        return replace(fetched, chosen=False)


async def _refresh(
    reference: Reference, registry: Registry, entry: Entry | None, yard: Yard, mark: str
) -> Fetched:
    most = yard.job.options.attempts
    try:
        attempts = min(ATTEMPTS_WITH_COPY, most) if entry else most
        image = await _resolve(reference, registry, attempts)
    except StorageError as error:
        if entry is None or error.reason != "ConnectionFailed":
            raise
        return make_fetched(entry, make_stale(entry, error))
    known = await asyncio.to_thread(yard.cache.use, make_key(yard.slot.identity, image.digest))
    if known is not None:
        return make_fetched(known)
    tops = await collect_layers(image, registry, yard)

    def publish(_: threading.Event) -> Entry:
        check_links(yard.slot.content)
        if not measure_tree(yard.slot.content)[1]:
            raise make_empty_error(reference.shown, tops)
        shown = reference.shown + ("" if reference.digest else f"@{image.digest[7:19]}")
        facts = make_facts(yard.slot, shown, yard.job.world.clock.now(), etag=image.digest)
        return yard.cache.publish(yard.slot, image.digest, replace(facts, granted=mark))

    return make_fetched(await run_blocking(publish), cached=False)


async def _resolve(reference: Reference, registry: Registry, attempts: int) -> Image:
    """Return the image that a reference stands for on this machine; raise StorageError."""
    shown = reference.shown
    source = Source("", shown, "", "", "")
    reply, digest = await registry.manifest(reference.version, attempts)
    manifest = decode_json(reply, source)
    if not isinstance(manifest, dict):
        raise make_strange_error(shown)
    if is_index(manifest, reply.headers.get("content-type", "")):
        chosen = select_manifest(manifest, find_architecture(), shown)
        reply, digest = await registry.manifest(chosen, attempts)
        manifest = decode_json(reply, source)
        if not isinstance(manifest, dict) or is_index(manifest, ""):
            raise make_strange_error(shown)
    return Image(shown, digest, tuple(read_layers(manifest, shown)))
