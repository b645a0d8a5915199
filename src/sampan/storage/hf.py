"""`hf://owner/model[:revision]`: a model of the Hugging Face Hub, or of a mirror of it.

A revision is resolved to its commit first; a commit that is here transfers nothing, and of a new
one only the files that changed come. A URI that names a commit is served without asking. When the
hub cannot be reached, the copy that is here is served, and the result says so. Both are for those
whom the hub has given it to, and for all where it is public.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sampan.storage.base import Fetched, StorageError
from sampan.storage.cache import Cache, Entry, Slot, make_key, open_cache
from sampan.storage.filling import make_facts
from sampan.storage.granted import OPEN, is_granted, make_mark
from sampan.storage.hf_tree import Commit, list_pieces, make_gated_error, require_access, resolve
from sampan.storage.hf_uri import HUB, TOKENS, Hub, HubModel, make_hub, parse_model
from sampan.storage.job import Job
from sampan.storage.lock import hold
from sampan.storage.patterns import Patterns
from sampan.storage.pieces import Piece, Yard, bring_patiently, collect
from sampan.storage.reporter import Reporter
from sampan.storage.serving import ATTEMPTS_WITH_COPY, make_fetched, make_stale

_REFUSED = frozenset({"AuthenticationFailed", "AccessDenied"})


async def fetch(uri: str, job: Job) -> Fetched:
    """Return the folder of a hub's model; raise StorageError, OSError."""
    model = parse_model(uri)
    token = await asyncio.to_thread(read_token, job.options.environment)
    hub = make_hub(job.options.environment, token)
    cache = await asyncio.to_thread(open_cache, job.options.cache)
    identity = make_identity(hub, model, job.options.patterns)
    slot = await asyncio.to_thread(cache.slot, identity)
    reporter = Reporter(job.report)
    async with hold(slot.lock, job.world.clock, lambda: reporter.tell("Waiting for another fetch")):
        entry = await asyncio.to_thread(cache.find, slot)
        mark = await make_mark(identity, hub.token)
        if entry is not None and not is_granted(entry, mark):
            entry = None  # the hub is asked who may have it
        if entry is not None and (model.pinned or hub.offline):
            return make_fetched(entry)
        yard = Yard(cache, slot, job, reporter, f"{hub.endpoint}/{model.repository}")
        return await _refresh(hub, model, entry, yard, mark)


def make_identity(hub: Hub, model: HubModel, patterns: Patterns) -> str:
    """Return the name under which the cache knows a model: who asks is no part of it. Pure."""
    where = "" if hub.endpoint == HUB else f" from {hub.endpoint}"
    chosen = f" {list(patterns.allow)} {list(patterns.ignore)}" if patterns else ""
    return f"hf://{model.repository}:{model.revision}{where}{chosen}"


def read_token(environment: Mapping[str, str]) -> str:
    """Return the token that `hf auth login` keeps, "" where a variable has one or none is kept.

    Hugging Face, environment variables: `HF_TOKEN_PATH`, else `token` in `HF_HOME`, which is
    `~/.cache/huggingface`.
    """
    if any(environment.get(name) for name in TOKENS):
        return ""
    home = environment.get("HOME", "")
    default = environment.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
    folder = environment.get("HF_HOME") or (f"{default}/huggingface" if default else "")
    path = environment.get("HF_TOKEN_PATH") or (f"{folder}/token" if folder else "")
    try:
        return Path(path).read_text(encoding="utf-8").strip() if path else ""
    except (OSError, UnicodeDecodeError):
        return ""


async def _refresh(
    hub: Hub, model: HubModel, entry: Entry | None, yard: Yard, mark: str
) -> Fetched:
    parts, most = (yard.job, yard.reporter), yard.job.options.attempts
    if hub.offline:
        raise StorageError(
            "ModelNotFound",
            f'"{model.shown}" is not in the cache, or was fetched by another token, and '
            "HF_HUB_OFFLINE forbids to ask for it; fetch it once without, or remove the variable",
        )
    try:
        attempts = min(ATTEMPTS_WITH_COPY, most) if entry else most
        commit = await resolve(hub, model, parts, attempts)
        if commit.gated:
            await require_access(hub, model, parts, attempts)
    except StorageError as error:
        if entry is None or error.reason != "ConnectionFailed":
            raise
        return make_fetched(entry, make_stale(entry, error))
    known = await asyncio.to_thread(find_version, yard.cache, yard.slot, commit.name)
    if known is not None:
        return make_fetched(known)
    return await _download(hub, model, commit, yard, OPEN if commit.public else mark)


def find_version(cache: Cache, slot: Slot, version: str) -> Entry | None:
    """Return the entry of one version of an identity, marked as used now, or None."""
    return cache.use(make_key(slot.identity, version))


async def _download(hub: Hub, model: HubModel, commit: Commit, yard: Yard, granted: str) -> Fetched:
    found = await list_pieces(hub, model, commit.name, (yard.job, yard.reporter))
    pieces = select_pieces(found, yard.job.options.patterns, model)
    try:
        await collect(pieces, yard, model.shown, bring_patiently(yard.job))
    except StorageError as error:
        if commit.gated and error.reason in _REFUSED:
            raise make_gated_error(hub, model) from error
        raise
    entry = await asyncio.to_thread(_publish, model, commit, yard, granted)
    return make_fetched(entry, cached=False)


def _publish(model: HubModel, commit: Commit, yard: Yard, granted: str) -> Entry:
    now = yard.job.world.clock.now()
    shown = f"{model.shown}" if model.pinned else f"{model.shown}@{commit.name[:12]}"
    facts = replace(make_facts(yard.slot, shown, now, etag=commit.name), granted=granted)
    return yard.cache.publish(yard.slot, commit.name, facts)


def select_pieces(pieces: list[Piece], patterns: Patterns, model: HubModel) -> list[Piece]:
    """Return the files that are wanted; raise StorageError where none is. Pure."""
    chosen = [piece for piece in pieces if patterns.wants(piece.path)]
    if not chosen:
        why = f", of which none is wanted ({patterns})" if pieces else ""
        raise StorageError(
            "ModelNotFound",
            f'the model "{model.shown}" has {len(pieces)} files{why}; '
            "name another revision, or correct STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS",
        )
    return chosen
