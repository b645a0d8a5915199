"""Controllers: every object is reconciled, one at a time, again after errors and at times asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest

from sampan.machinery.controller import Controller, Result, Watch, WorkerOptions
from sampan.machinery.errors import Conflict, Expired
from sampan.machinery.informer import Informer
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Event, Key, StoreLimits, WatchOptions
from sampan.machinery.store_memory import MemoryStore
from sampan.machinery.workqueue import Pace

BOATS, OARS = "sampans.boats.dev", "oars.boats.dev"
QUICK = WorkerOptions(pace=Pace(per_second=1e9))

Start = Callable[..., Controller]


def named(name: str, **fields: Any) -> JsonObject:
    return {"metadata": {"name": name, "namespace": "canton"}, **fields}


def key(name: str) -> Key:
    return Key(BOATS, "canton", name)


@pytest.fixture
async def start() -> AsyncIterator[Callable[[Any], None]]:
    tasks: list[asyncio.Task[None]] = []

    def run(runner: Any) -> None:
        tasks.append(asyncio.create_task(runner.run()))

    yield run
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_what_exists_and_what_comes_is_reconciled(store: Any, clock: Any, start: Any) -> None:
    seen: list[Key] = []

    async def reconcile(key: Key) -> Result:
        seen.append(key)
        return Result()

    await store.create(BOATS, named("old"))
    start(Controller(store, clock, BOATS, reconcile, options=QUICK))
    await clock.advance(0)
    assert seen == [key("old")]
    made = await store.create(BOATS, named("new"))
    await clock.advance(0)
    await store.update(BOATS, {**made, "spec": {"x": 1}})
    await clock.advance(0)
    await store.delete(key("new"))
    await clock.advance(0)
    assert seen == [key("old"), key("new"), key("new"), key("new")]


async def test_an_error_is_logged_with_traceback_and_retried_with_back_off(
    store: Any, clock: Any, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    times: list[float] = []

    async def reconcile(key: Key) -> Result:
        times.append(clock.now())
        if len(times) < 4:
            raise RuntimeError("the sail tore")
        return Result()

    await store.create(BOATS, named("mei"))
    start(Controller(store, clock, BOATS, reconcile, options=QUICK))
    await clock.advance(60)
    waits = [b - a for a, b in pairwise(times)]
    assert waits == pytest.approx([0.005, 0.01, 0.02], abs=1e-6)
    assert "the sail tore" in caplog.text
    assert 'sampans.boats.dev "canton/mei": error 3 in a row' in caplog.text


async def test_a_conflict_is_retried_without_noise(
    store: Any, clock: Any, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    async def reconcile(key: Key) -> Result:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Conflict("someone was first")
        return Result()

    await store.create(BOATS, named("mei"))
    start(Controller(store, clock, BOATS, reconcile, options=QUICK))
    await clock.advance(1)
    assert calls == 2
    assert "someone was first" not in caplog.text


async def test_it_is_called_again_when_it_asked_to_be(store: Any, clock: Any, start: Any) -> None:
    times: list[float] = []

    async def reconcile(key: Key) -> Result:
        times.append(clock.now())
        return Result(clock.now() + 30) if len(times) < 3 else Result()

    await store.create(BOATS, named("mei"))
    start(Controller(store, clock, BOATS, reconcile, options=QUICK))
    await clock.advance(300)
    assert [t - times[0] for t in times] == pytest.approx([0, 30, 60])


async def test_statuses_that_are_written_wake_it_once_and_a_moment_later(
    store: Any, clock: Any, start: Any
) -> None:
    seen: list[float] = []

    async def reconcile(key: Key) -> Result:
        seen.append(clock.now())
        return Result()

    boat = await store.create(BOATS, named("mei", spec={"oars": 1}))
    start(Controller(store, clock, BOATS, reconcile, options=QUICK))
    await clock.advance(0)
    seen.clear()
    for count in range(3):
        boat = await store.update_status(BOATS, {**boat, "status": {"count": count}})
    await clock.advance(0)
    assert seen == []
    await clock.advance(10)
    assert len(seen) == 1, "somebody else may have written it: it is looked at all the same"


async def test_whatever_else_changes_wakes_it_at_once(store: Any, clock: Any, start: Any) -> None:
    seen: list[Key] = []

    async def reconcile(key: Key) -> Result:
        seen.append(key)
        return Result()

    boat = await store.create(BOATS, named("mei", spec={"oars": 1}))
    start(Controller(store, clock, BOATS, reconcile, options=QUICK))
    await clock.advance(0)
    for change in ({"spec": {"oars": 2}}, {"spec": {"oars": 2}, "more": 1}):
        seen.clear()
        boat = await store.update(BOATS, {**boat, **change})
        await clock.advance(0)
        assert seen == [key("mei")], change
    seen.clear()
    labelled = {**boat["metadata"], "labels": {"sail": "red"}}
    await store.update(BOATS, {**boat, "metadata": labelled})
    await clock.advance(0)
    assert seen == [key("mei")], "a label"


async def test_one_key_is_never_worked_on_twice_at_once_but_several_keys_are(
    store: Any, clock: Any, start: Any
) -> None:
    working: set[str] = set()
    most = 0

    async def reconcile(key: Key) -> Result:
        nonlocal most
        assert key.name not in working
        working.add(key.name)
        most = max(most, len(working))
        await clock.sleep(1)
        working.discard(key.name)
        return Result()

    controller = Controller(store, clock, BOATS, reconcile, options=WorkerOptions(workers=3))
    start(controller)
    for n in range(5):
        await store.create(BOATS, named(f"b{n}"))
    for _ in range(10):
        await clock.advance(0.4)
        controller.enqueue(key("b0"))
    await clock.advance(60)
    assert most == 3
    assert not working


async def test_changes_of_watched_resources_reach_the_object_they_touch(
    store: Any, clock: Any, start: Any
) -> None:
    seen: list[Key] = []

    async def reconcile(key: Key) -> Result:
        seen.append(key)
        return Result()

    watch = Watch(OARS, lambda oar: [key(oar["spec"]["boat"])])
    start(Controller(store, clock, BOATS, reconcile, (watch,), QUICK))
    oar = await store.create(OARS, named("left", spec={"boat": "mei"}))
    await clock.advance(0)
    assert seen == [key("mei")]
    await store.update(OARS, {**oar, "spec": {"boat": "lin"}})
    await clock.advance(0)
    assert sorted(seen[1:], key=str) == [key("lin"), key("mei")], "the old and the new one"


class Flaky:
    """A store at the far end of a bad line: watches end, expire or raise when told to."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.failures: list[Exception | None] = []
        self.lists = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def list(self, *args: Any) -> Any:
        self.lists += 1
        return await self._store.list(*args)

    async def watch(
        self, resource: str, namespace: str, options: WatchOptions
    ) -> AsyncIterator[Event]:
        if self.failures:
            failure = self.failures.pop(0)
            if failure is not None:
                raise failure
            return
        async for event in self._store.watch(resource, namespace, options):
            yield event


@pytest.mark.parametrize(
    ("failure", "lists"),
    [(None, 1), (Expired("too old"), 2), (Conflict("any other error"), 2)],
)
async def test_an_informer_misses_nothing_when_its_watch_breaks(
    clock: Any, start: Any, registry: Any, failure: Exception | None, lists: int
) -> None:
    store = MemoryStore(registry, clock, StoreLimits())
    flaky = Flaky(store)
    flaky.failures = [failure]
    known: dict[str, JsonObject] = {}

    def listen(before: JsonObject | None, after: JsonObject | None) -> None:
        if after is not None:
            known[after["metadata"]["name"]] = after
        elif before is not None:
            del known[before["metadata"]["name"]]

    await store.create(BOATS, named("stays"))
    await store.create(BOATS, named("goes"))
    informer = Informer(flaky, clock, BOATS, listen)  # type: ignore[arg-type]
    start(informer)
    await asyncio.wait_for(informer.synced.wait(), 5)
    await store.delete(key("goes"))
    await store.create(BOATS, named("comes"))
    await clock.advance(5)
    assert set(known) == {"stays", "comes"}
    assert {o["metadata"]["name"] for o in informer.objects()} == {"stays", "comes"}
    assert flaky.lists == lists
    await store.close()


async def test_what_vanished_while_a_watch_was_expired_is_told_as_gone(
    clock: Any, start: Any, registry: Any
) -> None:
    store = MemoryStore(registry, clock)
    flaky = Flaky(store)
    gone: list[str] = []

    def listen(before: JsonObject | None, after: JsonObject | None) -> None:
        if after is None and before is not None:
            gone.append(before["metadata"]["name"])

    await store.create(BOATS, named("mei"))
    informer = Informer(flaky, clock, BOATS, listen)  # type: ignore[arg-type]
    flaky.failures = [Conflict("away")]
    start(informer)
    await clock.advance(0)
    await store.delete(key("mei"))
    await clock.advance(2)
    assert gone == ["mei"]
    await store.close()
