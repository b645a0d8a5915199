"""Many models in one process, of which some are in memory: a request brings its model there.

The register says what there is (`sampan.mesh.documents`); what is loaded is decided here. Used on
the loop's thread; loading runs on a worker's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from sampan.mesh.cache import AGE_ON_ADD, ModelCache, NoRoom
from sampan.mesh.documents import ModelEntry, ModelReport, ModelState, Register
from sampan.protocol.errors import ModelNotFound, ModelNotReady
from sampan.server.load_failure import describe_failure
from sampan.server.mesh_metrics import MeshMetrics
from sampan.server.metrics import ModelMetrics
from sampan.server.model import Model
from sampan.server.repository import Entry, ModelAway, ModelRepository
from sampan.server.steps import OwnSteps
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.server")

MakeModel: TypeAlias = "Callable[[ModelEntry], Model]"
"""Makes a model, not loaded, of its entry; LoadFailure where there is none to be made."""

FAILURE_SECONDS = 900.0
"""How long a model that did not load is refused without another try (ModelMesh: 15 minutes)."""
WAIT_SECONDS = 180.0
"""How long a load waits until others have made room (ModelMesh: 3 minutes)."""
LINGER_SECONDS = 0.2
"""After an eviction: until then requests that had got their model begin (ModelMesh: 200 ms)."""
_STANDBY = "it is not in memory; the next request loads it"


@dataclass(slots=True)
class _Known:
    """A registered model. `waiting` are called back when it is loaded, or is not."""

    entry: ModelEntry
    report: ModelReport
    served: Entry | None = None
    waiting: list[Callable[[], None]] = field(default_factory=list)
    loading: asyncio.Task[None] | None = None


class MeshRepository(ModelRepository):
    """The models of a register. Nothing is loaded before `start`."""

    def __init__(self, make: MakeModel, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._make_model = make
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._register = Register()
        self._cache = ModelCache(0)
        self._workers: Workers | None = None
        self._slots = asyncio.Semaphore(1)
        self._room = asyncio.Event()
        self._stopping: set[asyncio.Task[None]] = set()
        self.metrics = MeshMetrics(self._gauges)
        self.counts: Callable[[str], ModelMetrics] = lambda _: ModelMetrics()
        """Where the inferences of a name are counted."""
        self.on_change: Callable[[], None] = lambda: None
        """Told when the state of a model has changed."""

    # -- what the register says --------------------------------------------------------------

    def follow(self, register: Register) -> None:
        """Take a register: forget what is not in it, and load what is new."""
        before = self._register
        for model_id in self._known.keys() - {entry.id for entry in register.models}:
            self._forget(model_id)  # while it is still known who was led to it
        self._register = register
        if register.loading != before.loading:
            self._slots = asyncio.Semaphore(max(1, register.loading))
        added = [entry for entry in register.models if entry.id not in self._known]
        for entry in added:
            report = ModelReport(ModelState.STANDBY, since=self._clock())
            self._known[entry.id] = _Known(entry, report)
        for model_id in self._cache.shrink(register.capacity, kept=self._being_loaded()):
            self._evict(model_id)
        for entry in added if self._workers is not None else ():
            self._begin(self._known[entry.id])
        self.on_change()

    def start(self, workers: Workers) -> None:
        """Begin to load: as many as there is room for, and each that is asked for."""
        self._workers = workers
        waiting = [one for one in self._known.values() if one.waiting]
        for known in waiting:
            self._begin(known)
        free = self._cache.capacity - self._cache.used
        for known in self._known.values():
            free -= known.entry.weight
            if known not in waiting and free >= 0:
                self._begin(known)

    def reports(self) -> dict[str, ModelReport]:
        """Return how each model is."""
        return {model_id: known.report for model_id, known in self._known.items()}

    @property
    def cache(self) -> ModelCache:
        """What is in memory."""
        return self._cache

    # -- what a server asks ------------------------------------------------------------------

    @property
    def multi_model(self) -> bool:
        """The server is ready whatever its models are."""
        return True

    def names(self) -> list[str]:
        """Return the names that clients may ask for; none before `start`."""
        return list(self._register.names) if self._workers is not None else []

    def find(self, name: str) -> Entry | None:
        """Return a model that is in memory."""
        known = self._known.get(self._id_of(name))
        return known.served if known else None

    def get(self, name: str) -> Entry:
        """Return a model, or what stands for one that is not in memory; raise ModelNotFound."""
        known = self._known_of(name)
        if known.served is not None:
            return known.served
        return Entry(Model(name), asynchronous=False, reason=known.report.message or _STANDBY)

    def get_ready(self, name: str) -> Entry:
        """Return a model that answers now, and note its use; ModelAway where it must be loaded."""
        known = self._known_of(name)
        if known.served is None:
            self._refuse_failed(name, known)
            raise ModelAway(name, lambda again: self._await(known, again))
        self._cache.touch(known.entry.id, self._clock())
        return known.served

    def described(self, name: str) -> Entry:
        """Return a model to be described: one in memory."""
        return self.get_ready(name)

    def prepare(self, name: str) -> Model:
        """Nothing is loaded by hand: the register and requests decide."""
        self._known_of(name)
        raise ModelNotReady(name, "It is loaded by the first request for it.")

    def take(self, name: str) -> Model:
        """Take a model out of memory and return it; it stays registered. Raise ModelNotFound."""
        known = self._known_of(name)
        if known.served is None:
            return Model(name)
        model = known.served.model
        self._set_aside(known)
        return model

    # -- loading -----------------------------------------------------------------------------

    def _await(self, known: _Known, again: Callable[[], None]) -> None:
        """Have a model loaded and call back."""
        known.waiting.append(again)
        self.metrics.misses += 1
        if self._workers is not None:
            self._begin(known)
        self._cache.touch(known.entry.id, self._clock())

    def _begin(self, known: _Known) -> None:
        if known.loading is None:
            known.loading = asyncio.ensure_future(self._load(known))

    async def _load(self, known: _Known) -> None:
        began = self._clock()
        try:
            await self._make_room(known)
            await self._load_model(known)
            if not known.waiting:  # nobody has asked for it: the first to make room again
                self._cache.age(known.entry.id, self._clock() - AGE_ON_ADD)
        except Exception as error:  # noqa: BLE001  # becomes the model's state, whatever it is
            failure = describe_failure(error)
            self._give_up_place(known)
            self._tell(known, ModelState.FAILED, failure.message)
            self.metrics.failures += 1
            logger.error('model "%s" does not load: %s', known.entry.id, failure.message)  # noqa: TRY400  # said whole
        finally:
            known.loading = None
            self._room.set()
            self._room = asyncio.Event()
            waiting, known.waiting = known.waiting, []
            self.metrics.miss_ms.observe_all((self._clock() - began) * 1000 for _ in waiting)
            for again in waiting:
                again()

    async def _make_room(self, known: _Known) -> None:
        """Take a model into the cache, in the place of the longest unused.

        Also one that nobody has asked for: a new one is loaded once, to know that it can be.
        """
        deadline = self._clock() + WAIT_SECONDS
        while True:
            now, loading = self._clock(), self._being_loaded()
            try:
                gone = self._cache.admit(known.entry.id, known.entry.weight, now, kept=loading)
            except NoRoom as full:
                fits = known.entry.weight <= self._cache.capacity
                if not fits or self._clock() > deadline:
                    raise ModelNotReady(known.entry.id, str(full)) from full
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._room.wait()
                continue
            for model_id in gone:
                self._evict(model_id)
            return

    async def _load_model(self, known: _Known) -> None:
        assert self._workers is not None  # noqa: S101  # nothing begins before `start`
        entry = known.entry
        async with self._slots:
            self._tell(known, ModelState.LOADING)
            began = self._clock()
            model = self._make_model(entry)
            limit = self._register.timeout_seconds
            try:
                await asyncio.wait_for(self._workers.run(model.load), limit)
            except TimeoutError:
                text = f"it did not load within {limit:g} s; raise modelLoadingTimeoutMillis"
                raise ModelNotReady(entry.id, text) from None
            self.metrics.load_ms.observe((self._clock() - began) * 1000)
        if not self._is_registered(known):
            model.stop()
            self._give_up_place(known)
            return
        known.served = Entry(model, asynchronous=False, own=OwnSteps.of(model))
        self._tell(known, ModelState.LOADED)
        logger.info('model "%s" is in memory, %d bytes', entry.id, entry.weight)

    # -- unloading ---------------------------------------------------------------------------

    def _evict(self, model_id: str) -> None:
        known = self._known.get(model_id)
        if known is None or known.served is None:
            return
        self.metrics.evictions += 1
        logger.info('model "%s" makes room for another', model_id)
        self._stop_later(self._set_aside(known), known)

    def _forget(self, model_id: str) -> None:
        known = self._known.pop(model_id)
        self._cache.drop(model_id)
        if known.served is not None:
            self._stop_later(known.served, known)

    def _set_aside(self, known: _Known) -> Entry:
        served, known.served = known.served, None
        assert served is not None  # noqa: S101  # asked only for what is in memory
        self._cache.drop(known.entry.id)
        self._tell(known, ModelState.STANDBY)
        return served

    def _stop_later(self, served: Entry, known: _Known) -> None:
        """Stop a model once the inferences that have it are done with it."""
        began = self._clock()
        named = [name for name, led in self._register.names.items() if led == known.entry.id]
        names = {*named, known.entry.id}

        async def stop() -> None:
            pause = LINGER_SECONDS
            await asyncio.sleep(pause)
            counted = [self.counts(name) for name in names]
            taken = sum(one.begun for one in counted)
            while sum(one.ended for one in counted) < taken:
                if self._clock() - began > WAIT_SECONDS:
                    break
                await asyncio.sleep(pause)
                pause = min(2 * pause, 10.0)
            served.model.stop()
            self.metrics.unload_ms.observe((self._clock() - began) * 1000)

        task = asyncio.ensure_future(stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    # -- small questions ---------------------------------------------------------------------

    def _id_of(self, name: str) -> str:
        """Return the model that a name stands for; an id stands for itself."""
        return self._register.names.get(name, name)

    def _known_of(self, name: str) -> _Known:
        known = self._known.get(self._id_of(name))
        if known is None:
            raise ModelNotFound(name)
        return known

    def _refuse_failed(self, name: str, known: _Known) -> None:
        """Fail at once where a load has failed lately: trying again would only cost."""
        report = known.report
        if report.state is not ModelState.FAILED or known.loading is not None:
            return
        if self._clock() - report.since < FAILURE_SECONDS:
            raise ModelNotReady(name, report.message)

    def _being_loaded(self) -> set[str]:
        return {name for name, known in self._known.items() if known.loading is not None}

    def _is_registered(self, known: _Known) -> bool:
        return self._known.get(known.entry.id) is known

    def _give_up_place(self, known: _Known) -> None:
        """Give back a model's place in memory, unless its id was registered anew meanwhile."""
        if known.entry.id not in self._known or self._is_registered(known):
            self._cache.drop(known.entry.id)

    def _tell(self, known: _Known, state: ModelState, message: str = "") -> None:
        known.report = ModelReport(state, message, self._clock())
        self.on_change()

    def _gauges(self) -> Iterator[tuple[str, float]]:
        """Yield ModelMesh's gauges of one instance."""
        states = [known.report.state for known in self._known.values()]
        oldest = self._cache.oldest()
        yield "modelmesh_models_managed_total", len(states)
        yield "modelmesh_models_loaded_total", states.count(ModelState.LOADED)
        yield "modelmesh_models_with_failure_total", states.count(ModelState.FAILED)
        yield "modelmesh_instance_models_total", len(self._cache)
        yield "modelmesh_instance_capacity_bytes", self._cache.capacity
        yield "modelmesh_instance_used_bytes", self._cache.used
        yield "modelmesh_instance_lru_seconds", oldest
        yield "modelmesh_instance_lru_age_seconds", self._clock() - oldest if oldest else 0.0
