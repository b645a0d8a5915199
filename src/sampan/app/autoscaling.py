"""The autoscalers of the local daemon, wired to its store, its signals and its word of changes."""

from __future__ import annotations

from sampan.controllers.autoscaling import Autoscaling, Holder, Signals, Tools
from sampan.controllers.gather import SERVICES
from sampan.controllers.inferencegraph import GRAPHS
from sampan.controllers.scaled_workload import ScaledWorkload
from sampan.machinery.clock import SystemClock
from sampan.machinery.errors import NotFound
from sampan.machinery.events import EventRecorder
from sampan.machinery.store import Key, Store
from sampan.plan.events import NORMAL, PlannedEvent
from sampan.platforms.local.changes import Changes

COMPONENT = "sampan-autoscaler"
RESCALED = "SuccessfulRescale"
"""Kubernetes's own reason for an event of an autoscaler."""


def make_autoscaling(
    store: Store, signals: Signals, changes: Changes, holder: Holder | None = None
) -> Autoscaling:
    """Return the autoscalers; each change of a size becomes an event with its numbers."""
    clock = SystemClock()
    recorder = EventRecorder(store, clock, COMPONENT)

    async def announce(workload: ScaledWorkload) -> None:
        service, scale = workload.service, workload.scale
        try:
            resource = GRAPHS if service.kind == "InferenceGraph" else SERVICES
            obj = await store.get(Key(resource, service.namespace, service.object_name))
        except NotFound:
            return
        text = f'New size of "{workload.name}": {scale.replicas}; reason: {scale.reason}'
        await recorder.record(obj, PlannedEvent(NORMAL, RESCALED, text))

    return Autoscaling(Tools(signals, clock, changes.notify, announce, holder))
