"""The queue of keys: once each, later when told, slower after failures."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machinery.workqueue import Pace, QueueClosed, WorkQueue

QUICK = Pace(per_second=1e9)


async def test_a_key_added_twice_waits_once(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_comes_again_when_done(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0, "not while another works on it"
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_a_key_comes_at_its_time_and_the_earliest_counts(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_at("a", clock.now() + 60)
    queue.add_at("a", clock.now() + 10)
    queue.add_at("a", clock.now() + 30)
    await clock.advance(9.9)
    assert len(queue) == 0
    await clock.advance(0.2)
    assert await queue.get() == "a"
    queue.done("a")
    await clock.advance(100)
    assert len(queue) == 0, "the later times are forgotten"


async def test_who_takes_a_key_decides_anew_when_it_is_due_again(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_at("a", clock.now() + 60)
    queue.add("a")
    assert await queue.get() == "a"
    queue.add_at("a", clock.now() + 90)
    queue.done("a")
    await clock.advance(61)
    assert len(queue) == 0, "what was due before it was taken is not due any more"
    await clock.advance(30)
    assert len(queue) == 1


async def test_a_time_that_has_passed_is_now(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_at("a", clock.now() - 5)
    assert len(queue) == 1


async def test_failures_double_the_delay_up_to_the_cap_until_forgotten(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock, Pace(first=0.005, longest=1.0, per_second=1e9))
    delays = [queue.add_after_failure("a") for _ in range(10)]
    assert delays[:4] == pytest.approx([0.005, 0.01, 0.02, 0.04])
    assert delays[-1] == 1.0
    assert queue.add_after_failure("b") == pytest.approx(0.005), "each key has its own"
    queue.forget("a")
    assert queue.add_after_failure("a") == pytest.approx(0.005)


async def test_a_key_that_failed_ten_thousand_times_still_has_a_delay(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock, QUICK)
    for _ in range(10_000):
        delay = queue.add_after_failure("a")
    assert delay == 300.0


async def test_retries_over_all_keys_are_limited(clock: Any) -> None:
    queue: WorkQueue[int] = WorkQueue(clock, Pace(first=0.0, per_second=10, burst=5))
    delays = [queue.add_after_failure(n) for n in range(8)]
    assert delays == pytest.approx([0, 0, 0, 0, 0, 0.1, 0.2, 0.3], abs=1e-5)


async def test_wall_time_that_is_set_back_delays_no_retry(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_after_failure("a")
    clock._now -= 3600.0
    assert queue.add_after_failure("b") <= 0.2


async def test_closing_wakes_who_waits_and_takes_no_more(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(r, QueueClosed) for r in results)
    queue.add("late")
    assert len(queue) == 0


async def test_a_waiter_that_is_cancelled_takes_no_key_with_it(clock: Any) -> None:
    queue: WorkQueue[str] = WorkQueue(clock)
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    async with asyncio.timeout(2):
        assert await second == "a"


@given(st.lists(st.tuples(st.sampled_from(["add", "get", "done"]), st.sampled_from("abc"))))
def test_no_key_is_lost_and_none_is_worked_on_twice_at_once(
    steps: list[tuple[str, str]],
) -> None:
    class Still:
        def now(self) -> float:
            return 0.0

        async def sleep(self, seconds: float) -> None:
            raise AssertionError(f"nobody asked for {seconds} s")

    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue(Still())
        owed: set[str] = set()
        working: set[str] = set()
        for step, key in steps:
            if step == "add":
                queue.add(key)
                owed.add(key)
            elif step == "get" and len(queue):
                got = await queue.get()
                assert got not in working
                assert got in owed
                owed.discard(got)
                working.add(got)
            elif step == "done" and key in working:
                working.discard(key)
                queue.done(key)
        for key in working:
            queue.done(key)
        assert {await queue.get() for _ in range(len(queue))} == owed

    asyncio.run(play())
