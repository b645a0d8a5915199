"""The daemon's background work: what breaks off is told, and what can go on goes on."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sampan.api.scheme import REGISTRY
from sampan.app.controllers import SWEEP_SECONDS, begin, cancel, keep_swept
from sampan.machinery.events import EventRecorder
from sampan.machinery.store_memory import MemoryStore


class QuickClock:
    """Sleeps for no longer than a moment, and notes for how long it was asked to."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 1_700_000_000.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0.001)


async def test_events_are_swept_again_after_a_sweep_that_the_store_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = QuickClock()
    store = MemoryStore(REGISTRY, clock)
    about = {"kind": "InferenceService", "name": "iris"}
    old = {"metadata": {"name": "iris.1", "namespace": "default"}, "involvedObject": about}
    await store.create("events", old | {"lastTimestamp": "2020-01-01T00:00:00Z"})
    await store.close()  # it refuses everything now, as one on a full disk refuses to delete
    sweeping = begin("sweep", keep_swept(EventRecorder(store, clock, "test"), clock))
    async with asyncio.timeout(20):
        while len(clock.slept) < 3:  # noqa: ASYNC110 # a sleep has no event of its own
            await asyncio.sleep(0.001)
    assert not sweeping.done()
    await cancel([sweeping])
    assert set(clock.slept) == {SWEEP_SECONDS}
    assert "old events stay for now: the store is closed" in caplog.text


async def test_work_that_breaks_off_is_told_by_its_name_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        raise KeyError("spec")

    task = begin("graphs", work())
    await asyncio.wait({task}, timeout=20)
    await asyncio.sleep(0)
    (told,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert 'without its part "graphs", by a mistake of ours; start it again' in told.getMessage()
    assert "KeyError: 'spec'" in caplog.text


async def test_the_end_of_the_daemon_is_not_kept_up_by_work_that_broke_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        raise KeyError("spec")

    broken, going_on = begin("graphs", work()), begin("sweep", asyncio.Event().wait())
    await asyncio.wait({broken}, timeout=20)
    await cancel([broken, going_on])
    assert going_on.cancelled()
    assert caplog.text.count("without its part") == 1
