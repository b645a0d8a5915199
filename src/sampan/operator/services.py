"""The InferenceServices of a cluster: one at a time from what is there to what is planned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sampan.api.condition_set import ConditionStatus, decode_conditions
from sampan.api.config import Config
from sampan.api.inferenceservice.conditions import READY
from sampan.machinery.clock import Clock
from sampan.machinery.controller import Result
from sampan.machinery.errors import Forbidden, NotFound
from sampan.machinery.events import EventRecorder
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.applying import NOTHING_TAKEN, Applier, Taken
from sampan.operator.authorities import apply_authorities
from sampan.operator.cluster import Cluster
from sampan.operator.finalizing import SERVICES, apply_farewell, apply_finalizer, has_finalizer
from sampan.operator.gather import gather_snapshot, gather_source, observe
from sampan.operator.models import ModelKeeper
from sampan.operator.own_admission import judge, mutate_templates, refuse_mode
from sampan.operator.settings import Settings, SettingsReader
from sampan.plan.build import build_plan, nothing_unbuilt
from sampan.plan.conditions import condition_status
from sampan.plan.events import WARNING, PlannedEvent, derive_events
from sampan.plan.observed import NOTHING
from sampan.plan.service import annotations_of, deployment_mode
from sampan.plan.types import Blocked, Plan, ServiceKey, Snapshot
from sampan.platforms.kubernetes.children import diff_children
from sampan.platforms.kubernetes.render import render
from sampan.platforms.kubernetes.serverless import refuse_serverless
from sampan.platforms.kubernetes.settings import ClusterSettings
from sampan.platforms.kubernetes.source import Source
from sampan.platforms.kubernetes.status.observed import ClusterObserved
from sampan.platforms.kubernetes.status.service import (
    Scene,
    derive_service_status,
    make_first_status,
)
from sampan.platforms.kubernetes.status.unheard import wait_for_word
from sampan.platforms.kubernetes.status.workloads import select_ready

NO_AUTO_UPDATE = "serving.kserve.io/disable-auto-update"
MODEL_MESH = "ModelMesh"
"""Services of this mode are run, and their status written, by ModelMesh's own controller."""
MODELS_OF_A_MESH = (
    "a service of ModelMesh mode takes no TrainedModels; give each an InferenceService of its own"
)
RETRY_SECONDS = 15.0
"""Until an object that the API server refused is tried again, if nothing changes before."""

Warn: TypeAlias = Callable[[JsonObject, Config, ClusterSettings], Iterator[tuple[str, str]]]
"""What of a service has no effect on a cluster, as `(path, sentence)`."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What both reconcilers work with."""

    cluster: Cluster
    applier: Applier
    settings: SettingsReader
    recorder: EventRecorder
    clock: Clock
    warn: Warn
    alone: bool = False
    """No webhook stands before the services: what those do is done here (`own_admission`)."""
    activator: bool = False
    """Somebody wakes services of Sampan's own autoscaler class."""


class ServiceReconciler:
    """Brings one InferenceService at a time to what is planned."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._cluster = parts.cluster
        self._models = ModelKeeper(parts.cluster, alone=parts.alone)

    async def reconcile(self, key: Key) -> Result:
        """Take the next steps; raises what a retry may mend."""
        service = self._cluster.own["inferenceservices"].get(key.namespace, key.name)
        if service is None:
            await self._models.bereave(key, self._parts.clock.now())
            return Result()
        if service["metadata"].get("deletionTimestamp"):
            if has_finalizer(service):
                await apply_farewell(self._cluster, service)
            return Result()
        try:
            return await self._converge(service)
        except _DeletedMeanwhileError:
            return Result()  # that change is looked at next

    async def _converge(self, service: JsonObject) -> Result:
        settings, now = self._parts.settings.read(), self._parts.clock.now()
        stored, refusal = service, ""
        if self._parts.alone:
            service, refusal = judge(service, self._parts.settings.data())
        mode = deployment_mode(service, settings.config.default_deployment_mode)
        if mode == MODEL_MESH:
            service = await self._hold(service)
            await self._hand_over(service, now)
            await self._models.refuse(service, MODELS_OF_A_MESH, now)
            return Result()
        snapshot = gather_snapshot(self._cluster, settings, service, now)
        if self._parts.alone:
            refusal = refusal or refuse_mode(mode)
        source, observed = await self._plan(settings, snapshot, refusal)
        taken = NOTHING_TAKEN
        refused = False  # by what is not followed: a Secret that is missing may come
        if source.plan.blocked or _is_left_alone(service):
            stored = await self._hold(stored)
        else:
            stored, source, taken = await self._hold_and_step(stored, source, observed)
            refused = source.plan.blocked is not None
            observed = replace(observe(self._cluster, service, mode), failures=taken.failures)
        service = {**service, "metadata": stored["metadata"]}
        source = replace(source, service=service)
        if not (source.plan.blocked or taken.failures or taken.events):
            later = _worth_waiting(source, observed, now)
            if later:
                return Result(later)
        await self._write_status(Scene(source, observed, now), settings, taken.events)
        listed = await self._models.converge(service, self._parts.settings.data(), now)
        again = observed.failures or refused or not listed
        return Result(now + RETRY_SECONDS if again else None)

    async def _hold(self, service: JsonObject) -> JsonObject:
        """Put the finalizer on a service that has none; return the service as it is then."""
        if has_finalizer(service):
            return service
        try:
            return await apply_finalizer(self._cluster, service)
        except NotFound:
            raise _DeletedMeanwhileError from None

    async def _hold_and_step(
        self, service: JsonObject, source: Source, observed: ClusterObserved
    ) -> tuple[JsonObject, Source, Taken]:
        """Take the steps, and hold a new service meanwhile: neither waits for the other.

        Should the service be deleted at this moment, what was made goes with its owner's uid.
        """
        if has_finalizer(service):
            return service, *await self._step(source, observed)
        held, stepped = await asyncio.gather(
            self._hold(service), self._step(source, observed), return_exceptions=True
        )
        if isinstance(held, BaseException):
            raise held
        if isinstance(stepped, BaseException):
            raise stepped
        return held, *stepped

    async def _hand_over(self, service: JsonObject, now: float) -> None:
        """Say once that another controller runs it; from then on the status is that one's."""
        if not (service.get("status") or {}).get("conditions"):
            await self._put_status({**service, "status": make_first_status(MODEL_MESH, now)})

    async def _put_status(self, service: JsonObject) -> None:
        with suppress(NotFound):  # deleted meanwhile: that change is looked at next
            made = await self._cluster.store.update_status(SERVICES, service)
            self._cluster.own["inferenceservices"].assume(made)

    async def _plan(
        self, settings: Settings, snapshot: Snapshot, refusal: str
    ) -> tuple[Source, ClusterObserved]:
        service = dict(snapshot.service)
        mode = deployment_mode(service, settings.config.default_deployment_mode)
        observed = observe(self._cluster, service, mode)
        if refusal:  # what is not valid is not planned: there may be no sense in it
            key = ServiceKey(service["metadata"]["namespace"], service["metadata"]["name"])
            plan = Plan(key, blocked=Blocked("ReconcileFailed", refusal))
        else:
            plan = build_plan(snapshot, nothing_unbuilt)
        plan = replace(plan, warnings=())  # those are a laptop's; a cluster's are `Parts.warn`
        source = await gather_source(
            self._cluster, settings, snapshot, plan, observed, every_pod=self._parts.alone
        )
        return source, observed

    async def _step(self, source: Source, observed: ClusterObserved) -> tuple[Source, Taken]:
        """Render, diff and apply. What cannot be rendered is a block, in the refusal's words."""
        try:
            if not self._parts.activator:
                refuse_serverless(source.plan)
            settings = self._parts.settings.read()
            await apply_authorities(self._cluster, settings, source.namespace)
            desired = render(source)
            if self._parts.alone:
                desired = mutate_templates(desired, source.around)
        except Forbidden as refused:
            blocked = Blocked("ReconcileFailed", refused.message)
            return replace(source, plan=replace(source.plan, blocked=blocked)), NOTHING_TAKEN
        live = await self._cluster.with_named(observed.children, desired, source.service)
        steps = diff_children(desired, live, source.service)
        return source, await self._parts.applier.take(steps, live)

    async def _write_status(
        self, scene: Scene, settings: Settings, events: tuple[PlannedEvent, ...]
    ) -> None:
        service, before = dict(scene.source.service), dict(scene.before)
        after = derive_service_status(scene)
        if after != before:
            await self._put_status({**service, "status": after})
        warnings = tuple(self._parts.warn(service, settings.config, settings.cluster))
        planned = derive_events(before, after, scene.source.plan, NOTHING, warnings)
        failed = _failure_events(before, after, scene.observed)
        for event in (*planned, *events, *failed):
            await self._parts.recorder.record(service, event)


class _DeletedMeanwhileError(Exception):
    """The service that is looked at is not there any more."""


def _worth_waiting(source: Source, observed: ClusterObserved, now: float) -> float:
    """Return when to look again before a status is written; 0.0 where it is written now.

    What became ready while steps were taken has further steps, which the status would be
    behind of.
    """
    mode = deployment_mode(source.service, source.config.default_deployment_mode)
    if select_ready(source.plan, observed, mode) - source.ready:
        return now
    return wait_for_word(observed.children.values(), now)


def _is_left_alone(service: JsonObject) -> bool:
    """Whether a service is not to be changed by itself while it is Ready (KServe)."""
    asked = annotations_of(service).get(NO_AUTO_UPDATE) == "true"
    ready = condition_status(service.get("status") or {}, READY)
    return asked and ready is ConditionStatus.TRUE


def _failure_events(
    before: Mapping[str, Any], after: Mapping[str, Any], observed: ClusterObserved
) -> Iterator[PlannedEvent]:
    """Each failure when it is first told of."""
    told = {c.message for c in decode_conditions(before.get("conditions"))}
    if before == after:
        return
    for failure in dict.fromkeys(observed.failures.values()):
        if failure.message not in told:
            yield PlannedEvent(WARNING, failure.reason, failure.message)
