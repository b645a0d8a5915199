"""The cache: what is in it, what may go, and what a crash leaves."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machinery.clock import SystemClock
from sampan.storage.base import StorageError
from sampan.storage.cache import Entry, Facts, open_cache
from sampan.storage.lock import hold, try_lock
from sampan.storage.pruning import (
    hold_entry,
    list_entries,
    list_owners,
    measure_cache,
    prune,
    release_entry,
    select_prunable,
)

LATER = 4_000_000_000.0


async def test_entries_tell_where_they_came_from(origin, bench):
    await bench.fetch(f"{origin.root}/m.bin")
    (entry,) = list_entries(open_cache(bench.options.cache))
    assert entry.facts.shown == f"{origin.root}/m.bin"
    assert (entry.facts.size, entry.facts.files, entry.facts.etag) == (5, 1, '"1"')
    assert measure_cache(open_cache(bench.options.cache)) > 5


async def test_the_cache_is_private_and_its_models_read_only(origin, bench):
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    assert stat.S_IMODE(bench.options.cache.stat().st_mode) == 0o700
    assert stat.S_IMODE((fetched.path / "m.bin").stat().st_mode) == 0o444


async def test_pruning_removes_what_nobody_holds(origin, bench):
    cache = open_cache(bench.options.cache)
    for name in ("a", "b"):
        await bench.fetch(f"{origin.root}/{name}.bin")
    held, free = list_entries(cache)
    hold_entry(cache, held.key, "default/iris")
    assert prune(cache, now=held.used_at).entries == ()
    assert prune(cache, now=LATER).entries == (free,)
    assert list_entries(cache) == [held]
    assert list_owners(cache, held.key) == ["default/iris"]
    release_entry(cache, held.key, "default/iris")
    assert prune(cache, now=LATER).entries == (held,)
    assert measure_cache(cache) == 0


async def test_what_was_pruned_is_fetched_again(origin, bench):
    first = await bench.fetch(f"{origin.root}/m.bin")
    prune(open_cache(bench.options.cache), now=LATER)
    assert not first.path.exists()
    again = await bench.fetch(f"{origin.root}/m.bin")
    assert (again.path, again.cached) == (first.path, False)
    assert (again.path / "m.bin").read_bytes() == b"model"


async def test_unfinished_downloads_go_unless_somebody_works_on_them(origin, bench):
    bench.set(attempts=1)
    origin.acts = [origin.act.cut(3)]
    with pytest.raises(StorageError):
        await bench.fetch(f"{origin.root}/m.bin")
    cache = open_cache(bench.options.cache)
    (work,) = (cache.root / "work").iterdir()
    lock = try_lock(cache.root / "locks" / work.name)
    assert prune(cache, now=LATER).size == 0
    os.close(lock)
    assert prune(cache, now=LATER).size > 3
    assert not work.exists()


async def test_a_crash_while_an_entry_is_put_together_leaves_none(origin, bench):
    first = await bench.fetch(f"{origin.root}/m.bin")
    entry = first.path.parent
    stage = (
        bench.options.cache
        / "work"
        / next((bench.options.cache / "names").iterdir()).name
        / "stage"
    )
    stage.parent.mkdir()
    shutil.move(entry, stage)  # as if the last rename had not happened
    assert list_entries(open_cache(bench.options.cache)) == []
    again = await bench.fetch(f"{origin.root}/m.bin")
    assert (again.cached, (again.path / "m.bin").read_bytes()) == (False, b"model")


ENTRIES = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 1000)).map(
        lambda pair: Entry("k", Path("/"), Facts("u", pair[0], 1, 0.0), float(pair[1]))
    )
)


@given(ENTRIES, st.integers(0, 2000), st.integers(0, 500))
def test_pruning_keeps_the_newest_and_frees_no_more_than_needed(entries, now, keep):
    chosen = select_prunable(entries, now, keep, 100.0)
    kept = sorted((e.used_at for e in entries), reverse=True)[: len(entries) - len(chosen)]
    assert all(now - e.used_at >= 100 for e in chosen)
    assert all(e.used_at <= min(kept, default=LATER) for e in chosen)
    total = sum(e.facts.size for e in entries)
    if chosen:
        assert total - sum(e.facts.size for e in chosen[:-1]) > keep


async def test_a_lock_has_one_holder_and_ends_with_it(tmp_path):
    inside, most, waited = 0, 0, 0

    def wait() -> None:
        nonlocal waited
        waited += 1

    async def enter() -> None:
        nonlocal inside, most
        async with hold(tmp_path / "lock", SystemClock(), wait):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(4)))
    assert most == 1
    assert waited > 0
