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
from sampan.storage.blobs import find_blob, keep_blob, keep_file, link_file
from sampan.storage.cache import Entry, Facts, open_cache
from sampan.storage.lock import hold, try_lock
from sampan.storage.pruning import (
    list_entries,
    measure_cache,
    plan_prune,
    prune,
    remove_entry,
    select_prunable,
    take_away,
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
    assert prune(cache, now=held.used_at).entries == ()
    assert plan_prune(cache, LATER, {held.key}, 0, 0.0)[0] == [free]
    assert prune(cache, now=LATER, held={held.key}).entries == (free,)
    assert list_entries(cache) == [held]
    assert prune(cache, now=LATER).entries == (held,)
    assert measure_cache(cache) == 0


async def test_pruning_goes_down_to_what_may_stay_the_longest_unused_first(origin, bench):
    cache = open_cache(bench.options.cache)
    origin.body = b"x" * 1_000_000
    for age, name in enumerate("abc"):
        fetched = await bench.fetch(f"{origin.root}/{name}.bin")
        os.utime(fetched.path.parent / "entry.json", (1000.0 + age, 1000.0 + age))
    pruned = prune(cache, now=LATER, keep_bytes=2_100_000)
    assert [entry.facts.shown[-5:] for entry in pruned.entries] == ["a.bin"]
    assert 1_000_000 <= pruned.size < 1_001_000
    held = {entry.key for entry in list_entries(cache) if entry.facts.shown.endswith("b.bin")}
    assert prune(cache, now=LATER, keep_bytes=500_000, held=held).entries[0].facts.shown[-5:] == (
        "c.bin"
    )


async def test_an_entry_that_is_asked_for_meanwhile_stays(origin, bench):
    cache = open_cache(bench.options.cache)
    fetched = await bench.fetch(f"{origin.root}/m.bin")
    (seen,) = list_entries(cache)
    os.utime(fetched.path.parent / "entry.json", (seen.used_at + 5, seen.used_at + 5))
    assert not take_away(cache, seen)
    assert (fetched.path / "m.bin").exists()
    assert take_away(cache, list_entries(cache)[0])


def put_sharing(cache, *names: str) -> list[Entry]:
    """Entries of which each has a small file of its own and all have a large one."""
    for name in names:
        slot = cache.slot(name)
        cache.clear_stage(slot)
        (slot.content / "own").write_bytes(b"o" * 10)
        if not link_file(cache, "sha256:large", slot.content / "large"):
            part = slot.work / "part"
            part.write_bytes(b"l" * 10_000)
            keep_file(cache, "sha256:large", part, slot.content / "large")
        cache.publish(slot, "1", Facts(name, 10_010, 2, 0.0))
    return [e for n in names for e in list_entries(cache) if e.facts.shown == n]


def test_what_models_share_goes_with_the_last_of_them(tmp_path):
    cache = open_cache(tmp_path)
    first, second = put_sharing(cache, "first", "second")
    whole = measure_cache(cache)
    assert 10_020 < whole < 12_000
    assert remove_entry(cache, first) < 1000
    assert (second.path / "large").stat().st_size == 10_000
    assert remove_entry(cache, second) > 10_000
    assert measure_cache(cache) == 0


def test_a_blob_of_a_fetch_on_its_way_stays_for_an_hour(tmp_path):
    cache = open_cache(tmp_path)
    part = tmp_path / "part"
    part.write_bytes(b"b")
    keep_blob(cache, "sha256:b", part)
    now = find_blob(cache, "sha256:b").stat().st_mtime
    assert prune(cache, now + 60).size == 0
    assert prune(cache, now + 4000).size == 1


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
