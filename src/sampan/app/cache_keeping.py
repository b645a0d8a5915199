"""The cache of models kept within what the operator allows: pruned now and then beside serving."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

from sampan.app.controllers import begin, cancel
from sampan.machinery.clock import Clock
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.model_users import gather_users, register_users
from sampan.storage.base import FetchOptions
from sampan.storage.cache import open_cache
from sampan.storage.pruning import IDLE_SECONDS, Pruned, prune
from sampan.storage.space import show_bytes

log = logging.getLogger("sampan.storage")

KEEP_SECONDS = 600.0
"""Looking costs a stat of each file of the cache; models come and go in hours."""
_DAY = 86_400.0


async def start_cache_keeping(
    stack: AsyncExitStack, layout: Layout, options: FetchOptions, clock: Clock
) -> None:
    """Have this daemon's models kept, and the cache pruned where the operator has set a limit."""
    await asyncio.to_thread(register_users, layout)
    if not options.cache_bytes and not options.cache_days:
        return
    keeping = begin("cache of models", keep_small(layout, options, clock))
    stack.push_async_callback(cancel, [keeping])


async def keep_small(layout: Layout, options: FetchOptions, clock: Clock) -> None:
    """Prune the cache now and then until cancelled."""
    while True:
        await clock.sleep(KEEP_SECONDS)
        try:
            pruned = await asyncio.to_thread(apply_limits, layout, options, clock.now())
        except OSError as error:
            log.warning("the cache of models could not be pruned: %s", error)
            continue
        for entry in pruned.entries:
            log.info('"%s" has left the cache, which nobody used', entry.facts.shown)
        if pruned.size:
            log.info("%s came free in the cache of models", show_bytes(pruned.size))


def apply_limits(layout: Layout, options: FetchOptions, now: float) -> Pruned:
    """Prune the cache to the operator's limits: by age first, then by size."""
    cache, held = open_cache(layout.models), gather_users(layout.models, layout.state)
    gone, size = [], 0
    if options.cache_days:
        old = prune(cache, now, 0, max(IDLE_SECONDS, options.cache_days * _DAY), held)
        gone, size = list(old.entries), old.size
    if options.cache_bytes:
        large = prune(cache, now, options.cache_bytes, IDLE_SECONDS, held)
        gone, size = [*gone, *large.entries], size + large.size
    return Pruned(tuple(gone), size)
