"""The InferenceService controller: the same few steps on every platform.

gather → plan → render → diff → apply → observe → derive status → one status write. What should
happen is decided in `sampan.plan`; how, by the platform. A reconcile never waits for work to end:
the platform announces changes, and the decision is made anew.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from sampan.controllers.autoscaling import Autoscaling
from sampan.controllers.gather import SERVICES, Gathered, Sources, gather
from sampan.controllers.scaling_settings import gather_defaults, scaling_warnings
from sampan.machinery.controller import Result
from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.events import EventRecorder
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.plan.build import build_plan
from sampan.plan.explain import derive_events
from sampan.plan.observed import NOTHING, Observed
from sampan.plan.service import deployment_mode
from sampan.plan.status import derive_status
from sampan.plan.types import Plan, ServiceKey, Snapshot

FINALIZER = "inferenceservice.finalizers"
"""Upstream's own (control-plane facts, section 9): delete waits until nothing runs any more."""


class InferenceServiceController:
    """Brings one InferenceService at a time from what is observed to what is planned."""

    def __init__(self, sources: Sources, recorder: EventRecorder, autoscaling: Autoscaling) -> None:
        self._sources = sources
        self._autoscaling = autoscaling
        self._store = sources.store
        self._platform = sources.platform
        self._recorder = recorder

    async def reconcile(self, key: Key) -> Result:
        """Take the next steps for one service; raises nothing that a retry would not mend."""
        service = ServiceKey(key.namespace, key.name)
        gathered = await gather(self._sources, service)
        if gathered is None:
            return await self._remove(service)
        if gathered.deleting:
            return await self._finish(service, gathered)
        if FINALIZER not in gathered.service["metadata"].get("finalizers", ()):
            await self._add_finalizer(gathered.service)
            return Result()  # the write comes back as a change
        return await self._converge(service, gathered)

    async def _converge(self, service: ServiceKey, gathered: Gathered) -> Result:
        self._autoscaling.configure(await gather_defaults(self._store))
        gathered, plan = self._plan(gathered)
        wake_at = await self._step(service, plan, gathered.snapshot)
        observed = await self._platform.observe(service)
        await self._write_status(gathered.snapshot_with(observed), plan, observed)
        return Result(wake_at or None)

    def _plan(self, gathered: Gathered) -> tuple[Gathered, Plan]:
        """Return what should run; made anew where its autoscalers want another size of it."""
        snapshot = gathered.snapshot
        plan = build_plan(snapshot)
        mode = deployment_mode(snapshot.service, snapshot.config.default_deployment_mode)
        scales = self._autoscaling.note(plan, snapshot.observed, mode)
        if scales == snapshot.scales:
            return gathered, plan
        snapshot = replace(snapshot, scales=scales)
        return replace(gathered, snapshot=snapshot), build_plan(snapshot)

    async def _step(self, service: ServiceKey, plan: Plan, snapshot: Snapshot) -> float:
        """Render, diff and apply; returns when to look again though nothing changes (0: never).

        A blocked plan renders to a hold: what runs goes on serving, and its endpoints stay true.
        """
        platform = self._platform
        desired = platform.render(plan)
        observed = await platform.observe(service)
        difference = platform.diff(desired, observed, snapshot.now)
        for step in difference.steps:
            await platform.apply(service, step)
        return difference.wake_at

    async def _write_status(self, snapshot: Snapshot, plan: Plan, observed: Observed) -> None:
        before = dict(snapshot.service.get("status") or {})
        after = derive_status(snapshot, plan, observed)
        if after != before:
            changed = {**snapshot.service, "status": after}
            try:
                await self._store.update_status(SERVICES, changed)
            except (Conflict, NotFound):
                return  # changed meanwhile: that change is reconciled next
        scaling = scaling_warnings(snapshot, plan, self._autoscaling.defaults)
        warnings = (*scaling, *self._platform.warnings(plan))
        for event in derive_events(before, after, plan, observed, warnings):
            await self._recorder.record(snapshot.service, event)

    async def _add_finalizer(self, obj: JsonObject) -> None:
        metadata = obj["metadata"]
        finalizers = [*metadata.get("finalizers", ()), FINALIZER]
        changed = {**obj, "metadata": {**metadata, "finalizers": finalizers}}
        with suppress(NotFound):  # deleted meanwhile: that change is reconciled next
            await self._store.update(SERVICES, changed)

    async def _finish(self, service: ServiceKey, gathered: Gathered) -> Result:
        """Stop what runs for a service that is being deleted, then let it go."""
        result = await self._remove(service)
        left = await self._platform.observe(service)
        if any(w.replicas for w in left.workloads):
            return result
        metadata = gathered.service["metadata"]
        kept = [f for f in metadata.get("finalizers", ()) if f != FINALIZER]
        if kept != metadata.get("finalizers", []):
            changed = {**gathered.service, "metadata": {**metadata, "finalizers": kept}}
            with suppress(NotFound):  # somebody else took them off: it is gone
                await self._store.update(SERVICES, changed)
        return Result()

    async def _remove(self, service: ServiceKey) -> Result:
        now = self._sources.clock.now()
        platform = self._platform
        gone = Plan(service=service, stopped=True)
        self._autoscaling.note(gone, NOTHING, "")
        desired = platform.render(gone)
        difference = platform.diff(desired, await platform.observe(service), now)
        for step in difference.steps:
            await platform.apply(service, step)
        return Result(difference.wake_at or None)
