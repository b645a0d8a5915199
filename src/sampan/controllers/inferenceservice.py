"""The InferenceService controller: the same few steps on every platform.

gather → plan → render → diff → apply → observe → derive status → one status write. What should
happen is decided in `sampan.plan`; how, by the platform. A reconcile never waits for work to end:
the platform announces changes, and the decision is made anew.

A spec that is new is answered before anything is done about it: steps may wait for the gateway,
and whoever applied it wants to read what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sampan.controllers.autoscaling import Autoscaling
from sampan.controllers.gather import SERVICES, Gathered, Sources, gather
from sampan.controllers.history import plan_with_history
from sampan.controllers.modelmesh import MeshHosts
from sampan.controllers.scaling_settings import gather_defaults, scaling_warnings
from sampan.machinery.controller import Result
from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.events import EventRecorder
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.plan.build import build_plan
from sampan.plan.explain import derive_events
from sampan.plan.observed import NOTHING, Observed
from sampan.plan.rollout_status import keep_traffic
from sampan.plan.service import deployment_mode
from sampan.plan.status import derive_status
from sampan.plan.types import Plan, ServiceKey, Snapshot

FINALIZER = "inferenceservice.finalizers"
"""KServe's own: delete waits until nothing runs any more."""


class InferenceServiceController:
    """Brings one InferenceService at a time from what is observed to what is planned."""

    def __init__(self, sources: Sources, recorder: EventRecorder, autoscaling: Autoscaling) -> None:
        self._sources = sources
        self._histories = sources.histories
        self._autoscaling = autoscaling
        self._store = sources.store
        self._platform = sources.platform
        self._recorder = recorder
        self.hosts = MeshHosts(sources)

    async def reconcile(self, key: Key) -> Result:
        """Take the next steps for one service; raises nothing that a retry would not mend."""
        service = ServiceKey(key.namespace, key.name)
        if service.kind == "ServingRuntime":
            return await self.hosts.reconcile(service)
        gathered = await gather(self._sources, service)
        if gathered is None:
            return await self._remove(service)
        if gathered.deleting:
            return await self._finish(service, gathered)
        return await self._converge(service, gathered)

    async def _converge(self, service: ServiceKey, gathered: Gathered) -> Result:
        """Answer a new spec, then act; whoever writes the object meanwhile has it decided anew."""
        self._autoscaling.configure(await gather_defaults(self._store))
        snapshot, plan = await self._plan(gathered.snapshot)
        try:
            if _is_new(snapshot.service):
                snapshot = await self._write_status(snapshot, plan, snapshot.observed, acted=False)
            if FINALIZER not in snapshot.service["metadata"].get("finalizers", ()):
                snapshot = replace(snapshot, service=await self._add_finalizer(snapshot.service))
            if self._histories is not None:
                await self._histories.record(snapshot.service, plan, snapshot.now)
            wake_at = await self._step(service, plan, snapshot)
            observed = await self._platform.observe(service)
            taken = replace(snapshot, observed=observed)
            await self._write_status(taken, plan, observed, acted=observed.taken)
        except (Conflict, NotFound):
            return Result()  # changed meanwhile: that change is reconciled next
        wakes = (wake_at, *(rollout.wake_at for rollout in plan.rollouts))
        return Result(min(filter(None, wakes), default=None))

    async def _plan(self, snapshot: Snapshot) -> tuple[Snapshot, Plan]:
        """Return what should run; made anew where its autoscalers want another size of it."""
        snapshot, plan = await plan_with_history(self._sources, snapshot)
        mode = deployment_mode(snapshot.service, snapshot.config.default_deployment_mode)
        scales = self._autoscaling.note(plan, snapshot.observed, mode)
        if scales != snapshot.scales:
            snapshot = replace(snapshot, scales=scales)
            plan = build_plan(snapshot)
        if self._sources.guard is not None:
            self._sources.guard.note(snapshot.service, plan)
        return snapshot, plan

    async def _step(self, service: ServiceKey, plan: Plan, snapshot: Snapshot) -> float:
        """Render, diff and apply; returns when to look again though nothing changes (0: never).

        A blocked plan renders to a hold: what runs goes on serving, and its endpoints stay true.
        """
        platform, shared = self._platform, 0.0
        if plan.mesh is not None:
            shared = await self.hosts.hold(service, plan.mesh)
        elif plan.stopped:
            await self.hosts.release(service)
        desired = platform.render(plan)
        observed = await platform.observe(service)
        difference = platform.diff(desired, observed, snapshot.now)
        for step in difference.steps:
            await platform.apply(service, step)
        return min(filter(None, (difference.wake_at, shared)), default=0.0)

    async def _write_status(
        self, snapshot: Snapshot, plan: Plan, observed: Observed, *, acted: bool
    ) -> Snapshot:
        """Write the status where it changes; return the snapshot with the service as it is now.

        `acted`: requests go by this plan already. Raises Conflict and NotFound.
        """
        before = dict(snapshot.service.get("status") or {})
        after = derive_status(snapshot, plan, observed)
        after = after if acted else keep_traffic(after, before)
        stored: Mapping[str, Any] = snapshot.service
        if after != before:
            changed = {**snapshot.service, "status": after}
            stored = await self._store.update_status(SERVICES, changed)
        scaling = scaling_warnings(snapshot, plan, self._autoscaling.defaults)
        warnings = (*scaling, *self._platform.warnings(plan))
        for event in derive_events(before, after, plan, observed, warnings):
            await self._recorder.record(snapshot.service, event)
        return replace(snapshot, service=stored)

    async def _add_finalizer(self, obj: Mapping[str, Any]) -> JsonObject:
        """Return the service with our finalizer, as stored; raises Conflict and NotFound."""
        metadata = obj["metadata"]
        finalizers = [*metadata.get("finalizers", ()), FINALIZER]
        changed = {**obj, "metadata": {**metadata, "finalizers": finalizers}}
        return await self._store.update(SERVICES, changed)

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
            if self._histories is not None:
                self._histories.forget(gathered.service)
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
        await self.hosts.release(service)
        return Result(difference.wake_at or None)


def _is_new(service: Mapping[str, Any]) -> bool:
    """Tell whether the spec is one that the status says nothing of yet. Pure."""
    told = (service.get("status") or {}).get("observedGeneration")
    return bool(told != service["metadata"].get("generation"))
