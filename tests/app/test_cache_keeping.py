"""The daemon keeps the cache of models within what the operator allows."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sampan.app.cache_keeping import KEEP_SECONDS, apply_limits, start_cache_keeping
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.model_users import register_users
from sampan.storage.base import FetchOptions
from sampan.storage.cache import Entry, Facts, open_cache

NOW = 2_000_000_000.0
DAY = 86_400.0


class QuickClock:
    """Sleeps for no longer than a moment."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0.01)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "state", tmp_path / "cache")
    made.state.mkdir()
    return made


def put(layout: Layout, name: str, days: float, size: int = 1000) -> Entry:
    cache = open_cache(layout.models)
    slot = cache.slot(name)
    cache.clear_stage(slot)
    (slot.content / "m").write_bytes(b"m" * size)
    entry = cache.publish(slot, "1", Facts(name, size, 1, 0.0))
    os.utime(entry.path.parent / "entry.json", (NOW - days * DAY,) * 2)
    return entry


def use(layout: Layout, entry: Entry) -> None:
    register_users(layout)
    record = {"namespace": "default", "service": "s", "models": {"u": str(entry.path)}}
    path = layout.state / "prepared" / "default" / "s" / "p.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))


def options(layout: Layout, size: int = 0, days: float = 0.0) -> FetchOptions:
    return FetchOptions(layout.models, layout.volumes, cache_bytes=size, cache_days=days)


def left(*entries: Entry) -> list[bool]:
    return [entry.path.exists() for entry in entries]


def test_by_age_goes_what_was_not_used_for_so_long(layout):
    old, used, new = put(layout, "old", 40), put(layout, "used", 40), put(layout, "new", 3)
    use(layout, used)
    assert [e.facts.shown for e in apply_limits(layout, options(layout, 0, 30), NOW).entries] == [
        "old"
    ]
    assert left(old, used, new) == [False, True, True]


def test_by_size_goes_the_longest_unused_until_the_rest_fits(layout):
    kept = [put(layout, f"m{days}", days, 100_000) for days in (3, 2, 1)]
    apply_limits(layout, options(layout, 250_000), NOW)
    assert left(*kept) == [False, True, True]
    use(layout, kept[1])
    apply_limits(layout, options(layout, 1), NOW)
    assert left(*kept) == [False, True, False]


async def test_the_daemon_prunes_now_and_then_where_a_limit_is_set(layout, caplog):
    caplog.set_level("INFO")
    entry, clock = put(layout, "old", 40), QuickClock()
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        await start_cache_keeping(stack, layout, options(layout, 0, 30), clock)
        while entry.path.exists():  # noqa: ASYNC110  # a folder has no event
            await asyncio.sleep(0.01)
        while "has left the cache" not in caplog.text:  # noqa: ASYNC110  # nor has a log
            await asyncio.sleep(0.01)
    assert clock.slept[0] == KEEP_SECONDS


async def test_without_a_limit_nothing_is_looked_at(layout):
    clock = QuickClock()
    async with AsyncExitStack() as stack:
        await start_cache_keeping(stack, layout, options(layout), clock)
    assert clock.slept == []
    assert len(list((layout.models / "users").iterdir())) == 1
