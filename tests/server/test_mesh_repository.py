"""Models of a register: loaded by who asks, unloaded for who asks next, on real threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from sampan.mesh.documents import ModelEntry, ModelState, Register
from sampan.protocol.errors import ModelNotFound, ModelNotReady
from sampan.server.load_failure import LoadFailure
from sampan.server.mesh_repository import FAILURE_SECONDS, MeshRepository
from sampan.server.metrics import Metrics
from sampan.server.model import Model
from sampan.server.repository import Entry, ModelAway
from sampan.server.workers import Workers


class Slow(Model):
    """A model that loads when it is let, and fails where its path says so."""

    def __init__(self, entry: ModelEntry, gate: threading.Event) -> None:
        super().__init__(entry.id)
        self.entry, self.gate, self.stopped = entry, gate, False

    def load(self) -> bool:
        self.gate.wait(30)
        if self.entry.path == "broken":
            raise LoadFailure("ModelUnreadable", "it is junk")
        self.ready = True
        return True

    def stop(self) -> None:
        self.stopped = True
        super().stop()


class Stage:
    """A repository with a clock of its own; each model counts for one byte."""

    def __init__(self) -> None:
        self.now, self.gate, self.made = 10_000.0, threading.Event(), list[Slow]()
        self.gate.set()
        self.metrics = Metrics()
        self.repository = MeshRepository(self.make, lambda: self.now)
        self.repository.counts = self.metrics.of

    def make(self, entry: ModelEntry) -> Model:
        self.made.append(Slow(entry, self.gate))
        return self.made[-1]

    def follow(self, *names: str, capacity: int = 2, broken: str = "") -> None:
        entries = [ModelEntry(f"{n}-1", "f", "broken" if n == broken else "", 1) for n in names]
        ids = {name: f"{name}-1" for name in names}
        self.repository.follow(Register(tuple(entries), ids, capacity, 2, 5.0))

    async def ask(self, name: str) -> Entry:
        """Ask as a transport does: wait where the model is away, then ask again."""
        while True:
            try:
                self.now += 1
                return self.repository.get_ready(name)
            except ModelAway as away:
                told = asyncio.Event()
                away.then(told.set)
                await asyncio.wait_for(told.wait(), 30)

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not true():  # noqa: ASYNC110  # any of many conditions
                await asyncio.sleep(0.01)

    def states(self) -> dict[str, str]:
        return {k.removesuffix("-1"): v.state.value for k, v in self.repository.reports().items()}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    made.gate.set()
    await asyncio.sleep(0)


async def started(stage: Stage, *names: str, **settings: object) -> None:
    stage.follow(*names, **settings)  # type: ignore[arg-type]  # those of `follow`
    stage.repository.start(Workers(2))


async def test_as_many_are_loaded_at_the_start_as_there_is_room_for(stage: Stage):
    await started(stage, "a", "b", "c")
    await stage.until(lambda: stage.states() == {"a": "Loaded", "b": "Loaded", "c": "Standby"})


async def test_a_request_has_its_model_loaded_in_the_place_of_the_longest_unused(stage: Stage):
    await started(stage, "a", "b", "c")
    await stage.ask("b")
    await stage.ask("a")
    assert (await stage.ask("c")).model.name == "c-1"
    assert stage.states() == {"a": "Loaded", "b": "Standby", "c": "Loaded"}
    assert (await stage.ask("b")).ready
    assert stage.repository.metrics.evictions == 2


async def test_those_who_ask_together_wait_for_one_load(stage: Stage):
    stage.gate.clear()
    await started(stage, "a", capacity=1)
    asking = [asyncio.ensure_future(stage.ask("a")) for _ in range(20)]
    await stage.until(lambda: stage.states() == {"a": "Loading"})
    stage.gate.set()
    found = await asyncio.gather(*asking)
    assert (len(set(map(id, found))), len(stage.made)) == (1, 1)


async def test_a_new_model_is_tried_once_though_all_room_is_taken(stage: Stage):
    await started(stage, "a", "b")
    await stage.ask("a")
    await stage.ask("b")
    stage.follow("a", "b", "c", broken="c")
    await stage.until(lambda: stage.states()["c"] == "FailedToLoad")
    assert stage.repository.reports()["c-1"].message == "it is junk"
    stage.follow("a", "b", "c", "d", broken="c")
    await stage.until(lambda: stage.states()["d"] == "Loaded")
    await stage.ask("a")
    assert stage.states() == {"a": "Loaded", "b": "Loaded", "c": "FailedToLoad", "d": "Standby"}


async def test_one_that_failed_is_refused_at_once_and_tried_again_later(stage: Stage):
    await started(stage, "a", broken="a")
    with pytest.raises(ModelNotReady, match="it is junk"):
        await stage.ask("a")
    with pytest.raises(ModelNotReady, match="it is junk"):
        await stage.ask("a")
    assert len(stage.made) == 1
    stage.now += FAILURE_SECONDS
    with pytest.raises(ModelNotReady, match="it is junk"):
        await stage.ask("a")
    assert len(stage.made) == 2


async def test_a_model_larger_than_all_room_says_so(stage: Stage):
    await started(stage, "a", capacity=0)
    with pytest.raises(ModelNotReady, match="raise the memory request"):
        await stage.ask("a")


async def test_an_unloaded_model_is_stopped_when_its_last_inference_has_ended(stage: Stage):
    await started(stage, "a", "b", capacity=1)
    await stage.ask("a")
    counts = stage.metrics.of("a")
    counts.begun += 1
    await stage.ask("b")
    first = stage.made[0]
    await asyncio.sleep(0.5)
    assert not first.stopped
    counts.ended += 1
    await stage.until(lambda: first.stopped)


async def test_a_model_that_leaves_the_register_is_gone(stage: Stage):
    await started(stage, "a", "b")
    await stage.ask("a")
    stage.follow("b")
    with pytest.raises(ModelNotFound):
        stage.repository.get_ready("a")
    await stage.until(lambda: stage.made[0].stopped)
    assert stage.repository.names() == ["b"]


async def test_one_that_left_the_register_is_stopped_when_its_last_inference_has_ended(
    stage: Stage,
):
    await started(stage, "a", "b")
    await stage.ask("a")
    counts = stage.metrics.of("a")
    counts.begun += 1
    stage.follow("b")
    await asyncio.sleep(0.5)
    assert not stage.made[0].stopped
    counts.ended += 1
    await stage.until(lambda: stage.made[0].stopped)


async def test_one_that_leaves_and_comes_back_while_it_loads_has_a_place(stage: Stage):
    stage.gate.clear()
    await started(stage, "a")
    asking = asyncio.ensure_future(stage.ask("a"))
    await stage.until(lambda: stage.states()["a"] == "Loading")
    stage.follow("b")
    stage.follow("a", "b")
    stage.gate.set()
    assert (await asking).ready
    await stage.until(lambda: sum(model.stopped for model in stage.made) == 1)
    assert "a-1" in stage.repository.cache


async def test_one_that_leaves_while_it_loads_is_not_served(stage: Stage):
    stage.gate.clear()
    await started(stage, "a", "b", capacity=1)
    asking: Awaitable[Entry] = asyncio.ensure_future(stage.ask("a"))
    await stage.until(lambda: stage.states()["a"] == "Loading")
    stage.follow("b", capacity=1)
    stage.gate.set()
    with pytest.raises(ModelNotFound):
        await asking
    assert (await stage.ask("b")).ready
    await stage.until(lambda: next(m for m in stage.made if m.name == "a-1").stopped)


async def test_less_room_unloads_at_once(stage: Stage):
    await started(stage, "a", "b")
    await stage.ask("a")
    await stage.ask("b")
    stage.follow("a", "b", capacity=1)
    assert stage.states() == {"a": "Standby", "b": "Loaded"}


async def test_who_asks_before_the_start_waits_for_it(stage: Stage):
    stage.follow("a")
    asking = asyncio.ensure_future(stage.ask("a"))
    await asyncio.sleep(0.05)
    assert not asking.done()
    stage.repository.start(Workers(2))
    assert (await asking).ready


async def test_its_metrics_have_modelmesh_s_names(stage: Stage):
    await started(stage, "a", "b", "c", broken="b", capacity=3)
    await stage.ask("a")
    await stage.ask("c")
    await stage.until(lambda: stage.states()["b"] == ModelState.FAILED)
    lines = [line for line in stage.repository.metrics.lines() if not line.startswith("#")]
    assert "modelmesh_models_managed_total 3.0" in lines
    assert "modelmesh_models_loaded_total 2.0" in lines
    assert "modelmesh_models_with_failure_total 1.0" in lines
    assert "modelmesh_loadmodel_failure 1" in lines
    assert 'modelmesh_loadmodel_milliseconds_count{method="load"} 2.0' in lines
