"""Models of services that sleep are kept at hand: on the disk and in memory."""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sampan.machinery.clock import SystemClock
from sampan.plan.observed import Link, LinkState, Observed, ObservedWorkload
from sampan.plan.types import ModelSource, ServiceKey
from sampan.platforms.local.desired import Desired, DesiredWorkload
from sampan.platforms.local.diff import diff
from sampan.platforms.local.prefetch import (
    Kept,
    Prefetching,
    apply_advice,
    apply_reading,
    is_too_large,
    observe_files,
    select_sleeping,
)
from sampan.platforms.local.room import Memory
from sampan.platforms.local.steps import Fetch

SERVICE, NAME = ServiceKey("default", "iris"), "iris-predictor"
GIB = 1 << 30
ROOM = Memory(8 * GIB, 4 * GIB)
SLEEPS = DesiredWorkload(
    SERVICE, NAME, "predictor", "v1-a", 0, models=(ModelSource("file:///m"),), prefetch=True
)


def desired(*workloads: DesiredWorkload) -> Desired:
    return Desired(SERVICE, workloads)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "weights.bin").write_bytes(os.urandom(3 << 20))
    (folder / "config.json").write_text("{}")
    return folder


def resident(path: Path) -> float:
    """Return the share of a file that is in the page cache (mincore(2))."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
        there = (ctypes.c_ubyte * pages)()
        address = (ctypes.c_char * size).from_buffer(mapped)
        mincore = ctypes.CDLL(None, use_errno=True).mincore
        mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
        assert mincore(ctypes.addressof(address), size, there) == 0
        del address
    return sum(one & 1 for one in there) / pages


def push_out(path: Path) -> None:
    """Push a file out of memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_what_was_pushed_out_of_memory_is_read_again(model: Path) -> None:
    weights = model / "1" / "weights.bin"
    push_out(weights)
    if resident(weights) > 0.5:
        pytest.skip("this file system keeps every file in memory")
    kept = apply_reading([str(model)], ROOM)
    assert kept == Kept((3 << 20) + 2)
    assert str(kept) == "its model is in memory (3 MiB)"
    assert resident(weights) == 1
    push_out(weights)
    assert apply_advice([str(model)], ROOM) == kept
    deadline = time.monotonic() + 30
    while resident(weights) < 1:  # the kernel reads it when it likes
        assert time.monotonic() < deadline, resident(weights)
        time.sleep(0.05)


def test_a_model_of_one_file_is_a_model(model: Path) -> None:
    weights = model / "1" / "weights.bin"
    assert observe_files([str(weights)]) == {weights: 3 << 20}


def test_a_model_that_would_push_out_all_else_stays_on_the_disk(model: Path) -> None:
    kept = apply_reading([str(model)], Memory(8 << 20, 4 << 20))
    assert "are more than half of the 4 MiB free" in kept.missing
    assert str(kept).startswith("its model is on the disk, but not in memory: 3 MiB")
    assert is_too_large(GIB, None) == ""


def test_what_sleeps_and_asks_for_it_is_kept() -> None:
    runs = replace(SLEEPS, name="runs", replicas=1)
    other = replace(SLEEPS, name="other", prefetch=False)
    assert select_sleeping(desired(SLEEPS, runs, other)) == {NAME: SLEEPS}


@pytest.mark.parametrize(
    ("prefetch", "fetched"), [pytest.param(True, True), pytest.param(False, False)]
)
def test_a_model_that_is_gone_is_fetched_while_its_service_sleeps(
    prefetch: bool, fetched: bool
) -> None:
    want = replace(SLEEPS, prefetch=prefetch)
    done = Link(LinkState.DONE)
    seen = ObservedWorkload(NAME, "predictor", "v1-a", Link(), done)
    steps = diff(desired(want), Observed((seen,)), 1000.0).steps
    assert (Fetch(want) in steps) is fetched
    # Nothing is started for it.
    assert {type(step).__name__ for step in steps} <= {"Fetch", "Publish"}


class Folders:
    """Where models are; None: not there any more."""

    def __init__(self, folders: Sequence[str] | None) -> None:
        self.folders = folders
        self.asked: list[str] = []

    def __call__(self, workload: DesiredWorkload) -> Sequence[str] | None:
        self.asked.append(workload.name)
        return self.folders


async def test_what_is_kept_is_told_until_the_service_wakes(model: Path) -> None:
    folders, notified = Folders([str(model)]), list[ServiceKey]()
    keeping = Prefetching(folders, notified.append, SystemClock(), lambda: ROOM)
    keeping.note(desired(SLEEPS))
    await keeping.look()
    assert keeping.told(SERVICE, NAME) == "its model is in memory (3 MiB)"
    await keeping.look()
    assert notified == [SERVICE]
    folders.folders = None
    await keeping.look()
    assert keeping.told(SERVICE, NAME) == ""
    keeping.note(desired(replace(SLEEPS, replicas=1)))
    await keeping.look()
    assert folders.asked == [NAME] * 3


async def test_one_that_falls_asleep_is_looked_at_at_once(model: Path) -> None:
    folders = Folders([str(model)])
    keeping = Prefetching(folders, lambda _: None, SystemClock(), lambda: ROOM)
    running = asyncio.create_task(keeping.run())
    other = ServiceKey("default", "other")
    for count, service in enumerate((SERVICE, other), start=1):
        keeping.note(Desired(service, (replace(SLEEPS, service=service),)))
        async with asyncio.timeout(20):
            while not keeping.told(service, NAME):  # noqa: ASYNC110 (what is waited for is told)
                await asyncio.sleep(0.01)
        assert len(folders.asked) >= count
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
