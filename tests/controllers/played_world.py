"""A laptop as a value: a clock that is moved, processes that are told to die, an Envoy that takes
tables, a store whose watches can be cut. Everything between them is the real thing.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from sampan.api.config import parse_cached
from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import CONFIGURATION, apply_bootstrap
from sampan.app.controllers import run_controllers
from sampan.autoscaler.queries import Readings
from sampan.controllers.autoscaling import Autoscaling, Tools
from sampan.controllers.gather import SERVICES, Sources
from sampan.controllers.history import Histories
from sampan.gateway.health import EndpointHealth, Health
from sampan.gateway.listener import Verdict
from sampan.gateway.table import Endpoint, RouteTable, TableRoute
from sampan.machinery.errors import AlreadyExists, Conflict, Expired, NotFound
from sampan.machinery.registry import AdmissionContext, JsonObject
from sampan.machinery.store import WATCH_ALL, Event, Key, WatchOptions
from sampan.machinery.store_memory import MemoryStore
from sampan.plan.observed import Exit, Link, LinkState
from sampan.plan.types import Gateway, ServiceKey
from sampan.platforms.local.changes import Changes
from sampan.platforms.local.image_table import read_image_table
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.platform import LocalPlatform
from sampan.platforms.local.platform_parts import LocalSettings, Parts
from sampan.platforms.local.process import ProcessSpec, ProcessState
from sampan.platforms.local.references import StoreReferences
from sampan.storage.base import Fetched, FetchOptions, StorageError

BACK_OFF_SECONDS = 10.0


class Time:
    """Wall time that may jump, and sleep that goes by what has passed."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.epoch = 1_800_000_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.epoch + self.passed

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.passed + seconds, next(self._numbers), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass; each sleeper wakes at its own."""
        end = self.passed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            when, _, future = heapq.heappop(self._sleepers)
            self.passed = max(self.passed, when)
            if not future.done():
                future.set_result(None)
                await settle()
        self.passed = end


async def settle() -> None:
    """Let everything that can run do so."""
    for _ in range(40):
        await asyncio.sleep(0)


class Processes:
    """What runs. It outlives the daemons that start it, as processes do."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._states: dict[str, ProcessState] = {}
        self._until: dict[str, float] = {}
        self._ports = itertools.count(20_000)
        self.on_change: Callable[[ServiceKey], None] = lambda _: None
        self.calls = 0
        self.outages: list[str] = []
        """Replicas that were stopped though they alone could answer."""
        self.may_stop: Callable[[str], bool] = lambda _: False

    async def adopt(self) -> tuple[ProcessState, ...]:
        return self.states()

    async def start(self, spec: ProcessSpec) -> ProcessState:
        self.calls += 1
        present = self._states.get(spec.replica)
        if present is not None:
            if present.spec == spec and not present.draining:
                return present
            raise AlreadyExists(f'replica "{spec.replica}" is there already')
        now = self._time.now()
        ports = {port: next(self._ports) for port in spec.ports}
        self._put(ProcessState(spec, now, 1, 1, ports, now, running=True))
        self._until[spec.replica] = self._time.passed + 1.0
        return self._states[spec.replica]

    async def stop(self, replica: str, grace_seconds: float) -> None:
        del grace_seconds
        state = self._states.get(replica)
        if state is None or state.draining:
            return
        self.calls += 1
        service = state.spec.service
        others = [s for s in self.states_of(service) if s.ready and s is not state]
        if state.ready and not others and not self.may_stop(service.name):
            self.outages.append(replica)
        self._put(replace(state, draining=True))
        self._until[replica] = self._time.passed + 1.0

    async def wait_stopped(self, replica: str) -> None:
        while replica in self._states:
            await self._time.sleep(0.5)

    def restamp(self, replica: str, template_hash: str) -> None:
        state = self._states[replica]
        self._put(replace(state, spec=replace(state.spec, template_hash=template_hash)))

    def states(self) -> tuple[ProcessState, ...]:
        return tuple(self._states[name] for name in sorted(self._states))

    def states_of(self, service: ServiceKey) -> tuple[ProcessState, ...]:
        return tuple(s for s in self.states() if s.spec.service == service)

    def warm(self, spec: ProcessSpec) -> None:
        pass

    def kill(self, replica: str) -> None:
        """End a process; it is started again after its back-off."""
        state, now = self._states[replica], self._time.now()
        message = "the process was ended by signal 9"
        last = Exit(
            code=137,
            reason="Error",
            message=message,
            started_at=state.started_at,
            finished_at=now,
        )
        failed = Link(LinkState.FAILED, "Error", message, now)
        self._put(
            replace(
                state, running=False, ready=False, restarts=state.restarts + 1,
                last_exit=last, load=failed, back_off_until=now + BACK_OFF_SECONDS,
            )
        )  # fmt: skip
        self._until[replica] = self._time.passed + BACK_OFF_SECONDS

    def tick(self) -> None:
        """Let what is due happen: loaded, gone, started again."""
        for name in [n for n, due in self._until.items() if due <= self._time.passed]:
            del self._until[name]
            state, now = self._states[name], self._time.now()
            if state.draining:
                del self._states[name]
                self.on_change(state.spec.service)
            elif not state.running:
                self._put(replace(state, running=True, started_at=now, load=Link(since=now)))
                self._until[name] = self._time.passed + 1.0
            else:
                loaded = Link(LinkState.DONE, since=now)
                self._put(replace(state, ready=True, load=loaded, back_off_until=0.0))

    def alive(self) -> frozenset[Endpoint]:
        """Return the addresses that answer."""
        return frozenset(
            Endpoint("127.0.0.1", port)
            for s in self._states.values()
            if s.running and s.ready
            for port in s.ports.values()
        )

    def _put(self, state: ProcessState) -> None:
        self._states[state.spec.replica] = state
        self.on_change(state.spec.service)


class Door:
    """Envoy as a value: a request passes where an endpoint of its route answers."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self.table = RouteTable()

    async def apply(self, table: RouteTable) -> tuple[Any, ...]:
        await asyncio.sleep(0)
        self.table = table
        return ()

    async def verify(self, route: TableRoute, path: str, timeout_seconds: float = 5.0) -> Verdict:
        del path, timeout_seconds
        await asyncio.sleep(0)
        passed = bool(self.endpoints(route.name) & self._processes.alive())
        return Verdict(passed, 200 if passed else 503, "")

    async def health(self) -> Health:
        alive = self._processes.alive()
        return {
            c.name: tuple(EndpointHealth(e, healthy=e in alive) for e in c.endpoints)
            for c in self.table.clusters
        }

    async def answers(self) -> bool:
        return True

    def cpu_ticks(self) -> int:
        return 0

    def endpoints(self, name: str) -> frozenset[Endpoint]:
        """Return where the requests of a route go."""
        shares = {s.cluster for r in self.table.routes if r.name == name for s in r.shares}
        return frozenset(e for c in self.table.clusters if c.name in shares for e in c.endpoints)


class CutStore(MemoryStore):
    """A store whose watches can be cut: they end, or are told that they are too old."""

    def __init__(self, time: Time) -> None:
        super().__init__(REGISTRY, time)
        self._cut = asyncio.Event()
        self._expired = False

    def cut(self, *, expired: bool) -> None:
        """End every watch that there is."""
        self._expired = expired
        self._cut.set()
        self._cut = asyncio.Event()

    async def watch(
        self, resource: str, namespace: str = "", options: WatchOptions = WATCH_ALL
    ) -> AsyncIterator[Event]:
        cut = self._cut
        events = aiter(super().watch(resource, namespace, options))
        over = asyncio.ensure_future(cut.wait())
        try:
            while True:
                event = asyncio.ensure_future(anext(events))  # type: ignore[arg-type]  # a coroutine
                try:
                    await asyncio.wait({event, over}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not event.done():
                        event.cancel()
                        await asyncio.gather(event, return_exceptions=True)
                if over.done():
                    if self._expired:
                        raise Expired("too old resource version: list again")
                    return
                yield event.result()
        finally:
            over.cancel()


class Environments:
    """Environments that are there already."""

    def python(self, _requirements: tuple[str, ...]) -> str:
        return "/usr/bin/python3"

    def is_built(self, _requirements: tuple[str, ...]) -> bool:
        return True

    async def build(self, _requirements: tuple[str, ...], _on_line: object) -> None:
        await asyncio.sleep(0)


class NoSignals:
    """Nobody asks anything, so nothing scales."""

    async def traffic(self) -> Mapping[str, Any] | None:
        return None

    async def use(self, _pids: object) -> Mapping[str, float]:
        return {}

    async def readings(self, _asked: object) -> Readings:
        return Readings()

    async def room(self, _pids: object) -> None:
        return None


class PlayedWorld:
    """A laptop with a daemon on it. `fetch_fails` while models cannot be had."""

    def __init__(self, folder: Path) -> None:
        self.time = Time()
        self.store = CutStore(self.time)
        self.processes = Processes(self.time)
        self.door = Door(self.processes)
        self.fetch_fails = False
        self._folder = folder
        (folder / "model").mkdir(parents=True)
        self._stack: AsyncExitStack | None = None
        self._changes = Changes()

    async def up(self) -> None:
        """Start a daemon."""
        if self._stack is None:
            await apply_bootstrap(self.store)
        starting = asyncio.create_task(self._start())
        while not starting.done():
            await self.advance(0.1)
        starting.result()

    async def down(self) -> None:
        """End the daemon; what it started goes on."""
        assert self._stack is not None
        self.processes.on_change = lambda _: None
        await self._stack.aclose()

    async def _start(self) -> None:
        self._stack = stack = AsyncExitStack()
        self._changes = changes = Changes()
        self.processes.on_change = changes.notify
        layout = Layout(self._folder / "state", self._folder / "cache")
        options = FetchOptions(layout.models, layout.volumes)
        images = read_image_table(self._folder / "images.yaml")
        # Of this machine's memory nothing is known: its processes are none of these.
        settings = LocalSettings(
            layout, {"PATH": "/usr/bin:/bin"}, images, options, memory=lambda: None
        )
        references = StoreReferences(self.store)
        parts = Parts(self.processes, self.door, references, Environments(), self._fetch, self.time)  # type: ignore[arg-type]  # environments of this machine stand at the edge
        platform = LocalPlatform(settings, parts, changes)
        stack.push_async_callback(platform.close)
        await platform.start()
        autoscaling = Autoscaling(Tools(NoSignals(), self.time, changes.notify, _nobody))
        parse = lambda found: parse_cached((found or {}).get("data")).config  # noqa: E731 # one use
        gateway = Gateway()
        histories = Histories(self.store)
        sources = Sources(
            self.store, platform, self.time, gateway, parse, autoscaling.scales, histories
        )
        await run_controllers(stack, sources, changes, autoscaling)

    async def advance(self, seconds: float) -> None:
        """Let time pass, for processes too."""
        while seconds > 0:
            step = min(seconds, 0.5)
            self.processes.tick()
            await self.time.advance(step)
            seconds -= step
        self.processes.tick()
        await settle()

    def touch(self, name: str) -> None:
        """Have a service decided anew."""
        self._changes.notify(ServiceKey("default", name))

    async def get(self, name: str) -> JsonObject | None:
        """Return a service; None where it is gone."""
        try:
            return await self.store.get(Key(SERVICES, "default", name))
        except NotFound:
            return None

    async def put(self, name: str, spec: JsonObject, annotations: dict[str, str]) -> None:
        """Create or change a service, as admission lets it through."""
        while True:
            old = await self.get(name)
            metadata = old["metadata"] if old else {"name": name, "namespace": "default"}
            new = {
                **(old or {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}),
                "metadata": {**metadata, "annotations": annotations},
                "spec": spec,
            }
            admit = REGISTRY.get(SERVICES).admit
            assert admit is not None
            admitted = admit(new, old, AdmissionContext(CONFIGURATION["data"]))
            assert not admitted.errors, admitted.errors
            assert not admitted.denied, admitted.denied
            try:
                write = self.store.update if old else self.store.create
                await write(SERVICES, admitted.obj)
            except Conflict:
                continue
            return

    async def delete(self, name: str) -> None:
        """Delete a service."""
        await self.store.delete(Key(SERVICES, "default", name))

    async def _fetch(self, uri: str, *_: object) -> Fetched:
        await asyncio.sleep(0)
        if self.fetch_fails:
            raise StorageError("NotReachable", f'"{uri}" cannot be had', retryable=True)
        return Fetched(self._folder / "model", 1, 0.0, cached=True)


async def _nobody(_: object) -> None:
    """Announce nothing."""
