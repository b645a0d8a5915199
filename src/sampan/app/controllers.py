"""The controllers of a daemon: which resources each watches, and that all run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import TypeAlias

from sampan.api.scheme import REGISTRY
from sampan.controllers.autoscaling import Autoscaling
from sampan.controllers.gather import (
    CLUSTER_RUNTIMES,
    CONFIG,
    RUNTIMES,
    SERVICES,
    STORAGE_CONTAINERS,
    Sources,
)
from sampan.controllers.inferencegraph import GRAPHS, Graphs, InferenceGraphController
from sampan.controllers.inferenceservice import InferenceServiceController
from sampan.controllers.modelmesh import MeshHosts
from sampan.controllers.scaling_settings import CONFIG_AUTOSCALER
from sampan.controllers.trainedmodel import make_model_controller
from sampan.controllers.unbuilt import CONDITIONS, UnbuiltController
from sampan.machinery.clock import Clock
from sampan.machinery.collector import Collector
from sampan.machinery.controller import Controller, Reconcile, Watch, WorkerOptions, key_of
from sampan.machinery.errors import ApiError
from sampan.machinery.events import EventRecorder
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.platforms.local.changes import Changes

log = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0
RECONCILERS = WorkerOptions(workers=64)
"""Most of a reconcile is waiting, for the disk and for Envoy: those that wait together are written
and published together, so that a thousand services at a start cost a few tables and not a thousand.
"""
COMPONENT = "sampan-controller"


_Runtimes: TypeAlias = tuple[bool, frozenset[str]]


class Services:
    """The InferenceServices seen so far, to tell which of them another resource touches.

    A deleted one may still be named: reconciling it once more changes nothing.
    """

    def __init__(self) -> None:
        self._seen: dict[Key, _Runtimes] = {}
        """No service itself: a thousand of them are large."""

    def note(self, obj: JsonObject) -> list[Key]:
        """Remember a service as it is; no other is touched by it."""
        self._seen[key_of(SERVICES, obj)] = _runtimes_of(obj)
        return []

    def using(self, runtime: JsonObject) -> list[Key]:
        """Return the services that run on a runtime, and those that have found none."""
        name = runtime["metadata"]["name"]
        return [key for key, (found, names) in self._seen.items() if not found or name in names]

    def every(self, _: JsonObject) -> list[Key]:
        """Return every service: any of them may be touched."""
        return list(self._seen)

    def configured(self, config_map: JsonObject) -> list[Key]:
        """Return every service when the operator's configuration changed."""
        return list(self._seen) if config_map["metadata"]["name"] == CONFIG.name else []


def _runtimes_of(service: JsonObject) -> _Runtimes:
    """Return whether a service has found a runtime, and the names of those it has or asks for."""
    status = service.get("status") or {}
    found = (status.get("servingRuntimeName"), status.get("clusterServingRuntimeName"))
    wanted = (service["spec"].get("predictor", {}).get("model") or {}).get("runtime")
    return any(found), frozenset(str(name) for name in (*found, wanted) if name)


async def run_controllers(
    stack: AsyncExitStack, sources: Sources, changes: Changes, autoscaling: Autoscaling
) -> None:
    """Look at every service once, then run the controllers until the stack is closed."""
    store, clock = sources.store, sources.clock
    histories = sources.histories
    if histories is not None:
        await histories.load()
    recorder = EventRecorder(store, clock, COMPONENT)
    reconciler = InferenceServiceController(sources, recorder, autoscaling)
    graph_reconciler = InferenceGraphController(sources, recorder, autoscaling)
    await _look_at_all(sources, SERVICES, reconciler.reconcile)
    await _look_at_all(sources, GRAPHS, graph_reconciler.reconcile)
    seen = Services()
    controller = Controller(
        store,
        clock,
        SERVICES,
        reconciler.reconcile,
        watches=(
            Watch(SERVICES, seen.note),
            Watch(RUNTIMES, seen.using),
            Watch(CLUSTER_RUNTIMES, seen.using),
            Watch(STORAGE_CONTAINERS, seen.every),
            Watch(CONFIG.resource, seen.configured, CONFIG.namespace),
            Watch(CONFIG.resource, seen.every, CONFIG_AUTOSCALER.namespace),
        ),
        options=RECONCILERS,
    )
    graphs = _make_graph_controller(sources, graph_reconciler)
    unbuilt = UnbuiltController(store, clock)
    works = {
        "controller": controller.run(),
        "graphs": graphs.run(),
        **{r: Controller(store, clock, r, unbuilt.reconcile).run() for r in CONDITIONS},
        "models": make_model_controller(store, clock).run(),
        "collector": Collector(store, clock, REGISTRY).run(),
        "changes": _pass_on(changes, controller, graphs, reconciler.hosts),
        "sweep": keep_swept(recorder, clock),
        "autoscaling": autoscaling.run(),
    }
    if sources.guard is not None:
        works["guard"] = sources.guard.run()
    tasks = [begin(name, work) for name, work in works.items()]
    stack.push_async_callback(cancel, tasks)
    await controller.synced()


def _make_graph_controller(sources: Sources, reconciler: InferenceGraphController) -> Controller:
    graphs = Graphs()
    watches = (
        Watch(GRAPHS, graphs.note),
        Watch(SERVICES, graphs.naming),
        Watch(RUNTIMES, graphs.every),
        Watch(CLUSTER_RUNTIMES, graphs.every),
        Watch(CONFIG.resource, graphs.configured, CONFIG.namespace),
    )
    return Controller(sources.store, sources.clock, GRAPHS, reconciler.reconcile, watches=watches)


async def _look_at_all(sources: Sources, resource: str, reconcile: Reconcile) -> None:
    keys = iter([key_of(resource, obj) for obj in (await sources.store.list(resource)).items])

    async def look() -> None:
        for key in keys:
            try:
                await reconcile(key)
            except Exception:
                # The controller tries again; one bad service must not keep a daemon from starting.
                log.exception("%s/%s cannot be reconciled yet", key.namespace, key.name)

    await asyncio.gather(*(look() for _ in range(RECONCILERS.workers)))


async def _pass_on(
    changes: Changes, services: Controller, graphs: Controller, hosts: MeshHosts
) -> None:
    async for service in changes:
        for member in hosts.members(service):
            services.enqueue(Key(SERVICES, member.namespace, member.name))
        if service.kind == "InferenceGraph":
            graphs.enqueue(Key(GRAPHS, service.namespace, service.object_name))
        else:
            services.enqueue(Key(SERVICES, service.namespace, service.name))


async def keep_swept(recorder: EventRecorder, clock: Clock) -> None:
    """Delete old events until cancelled; those that a full disk keeps are tried again."""
    while True:
        await clock.sleep(SWEEP_SECONDS)
        try:
            await recorder.sweep()
        except ApiError as error:
            log.warning("old events stay for now: %s", error)


def begin(name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Start work that goes on as long as the daemon; that it broke off is told at once."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell_break)
    return task


def _tell_break(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        text = 'the daemon goes on without its part "%s", by a mistake of ours; start it again'
        log.critical(text, task.get_name(), exc_info=error)


async def cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End work that `begin` began. What one of it raised has been told, and keeps no other."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
