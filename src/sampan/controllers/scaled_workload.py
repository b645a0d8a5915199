"""One workload with an autoscaler: how it is made from a plan, and what was last seen of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from sampan.autoscaler.outcome import Outcome, Seen
from sampan.autoscaler.policy import ByRequests, ByResources, Component, Policy
from sampan.autoscaler.queries import Asked, Readings
from sampan.autoscaler.resource_scaler import ResourceScaler
from sampan.autoscaler.scaler import RequestScaler
from sampan.machinery.quantity import parse_quantity
from sampan.plan.merge import main_container
from sampan.plan.observed import LinkState, Observed, ObservedReplica
from sampan.plan.scaling import Scale
from sampan.plan.types import ServiceKey, Workload

METRICS_PATH = "/metrics"
PATHS = ("prometheus.kserve.io/path", "prometheus.io/path")
"""Annotations that say where a container tells its metrics, the first one counts (KServe)."""

PORTS = ("prometheus.kserve.io/port", "prometheus.io/port")
"""Annotations that say at which port of its container it does."""

PATIENCE_SECONDS = 600.0
"""How long a replica that loads keeps others from being taken away (a progress deadline)."""


@dataclass(slots=True)
class ScaledWorkload:
    """The autoscaler of one workload. `requested` is what a replica requests: cores, bytes.

    `template_hash` is the newest template's, `proven` that of the last one which has served.
    `metrics_path` is where replicas tell their metrics, `metrics_port` at which port of theirs (0:
    that of requests), `reading` the answer that is waited for.
    `beside` raises the number of one that requests wake, `advised` is what it said last; `busy`:
    a query came to more than 0.
    """

    service: ServiceKey
    name: str
    policy: Policy
    scaler: RequestScaler | ResourceScaler
    scale: Scale
    requested: Mapping[str, float]
    replicas: tuple[ObservedReplica, ...] = ()
    template_hash: str = ""
    proven: str = ""
    metrics_path: str = METRICS_PATH
    metrics_port: int = 0
    reading: asyncio.Task[Readings] | None = None
    beside: ResourceScaler | None = None
    advised: Outcome | None = None
    busy: bool = False

    @property
    def key(self) -> str:
        """The workload's name everywhere: `namespace/name`."""
        return workload_key(self.service, self.name)

    def ready(self) -> list[ObservedReplica]:
        """Return the replicas that can answer."""
        return [r for r in self.replicas if r.ready and r.running and not r.draining]

    def asked(self) -> Asked | None:
        """Return what is asked before a decision; None: nothing."""
        if not isinstance(self.policy, ByResources) or not self.policy.queries:
            return None
        ready = tuple(r for r in self.ready() if r.address)
        # While nothing runs there is nobody to be asked but servers.
        queries = tuple(q for q in self.policy.queries if ready or q.server)
        if not queries:
            return None
        return Asked(self.key, queries, ready, self.metrics_path, self.metrics_port)

    def raised(self, outcome: Outcome) -> Outcome:
        """Return what requests decided with what the metrics say: more, while there is any."""
        advised = self.advised
        if outcome.replicas == 0 or advised is None or advised.replicas < outcome.replicas:
            return outcome
        return replace(advised, hold=outcome.hold)

    def seen(self, now: float, *, held: bool, can_hold: bool) -> Seen:
        """Return what a decision is told of the replicas."""
        loading = [
            r
            for r in self.replicas
            if r.running
            and not r.ready
            and not r.draining
            and r.load.state in {LinkState.WAITING, LinkState.RUNNING}
            and now - r.created_at < PATIENCE_SECONDS
        ]
        return Seen(len(self.ready()), len(loading), held=held, can_hold=can_hold)


def workload_key(service: ServiceKey, name: str) -> str:
    """Return the name of a workload among those of all services."""
    return f"{service.namespace}/{name}"


def make_component(workload: Workload, mode: str) -> Component:
    """Return what of a workload its scaling depends on."""
    annotations = (workload.template.get("metadata") or {}).get("annotations") or {}
    return Component(workload.scaling, annotations, workload.container_concurrency or 0, mode)


def make_scaled(
    service: ServiceKey,
    workload: Workload,
    policy: Policy,
    replicas: tuple[ObservedReplica, ...],
    now: float,
    *,
    held: bool = False,
) -> ScaledWorkload:
    """Return the autoscaler of a workload; it begins with what runs already.

    `held`: its requests wait at the activator; where nothing runs it sleeps, and goes on to.
    """
    staying = [r for r in replicas if r.running and not r.draining]
    scaler: RequestScaler | ResourceScaler
    beside = None
    settings = policy.settings if isinstance(policy, ByRequests) else policy.sleeps
    if settings is not None:
        asleep = held and not staying and settings.minimum == 0
        scaler = RequestScaler(settings, len(staying), now, asleep=asleep)
    if isinstance(policy, ByResources):
        found = ResourceScaler(policy, len(staying), now)
        scaler, beside = (found, None) if settings is None else (scaler, found)
    return ScaledWorkload(
        service,
        workload.name,
        policy,
        scaler,
        Scale(scaler.current, held=held),
        make_requested(workload.template),
        replicas,
        workload.template_hash,
        metrics_path=make_metrics_path(workload.template),
        metrics_port=make_metrics_port(workload.template),
        beside=beside,
    )


def make_metrics_path(template: Mapping[str, Any]) -> str:
    """Return where the replicas of a template tell their metrics."""
    given = (template.get("metadata") or {}).get("annotations") or {}
    path = next((given[key] for key in PATHS if given.get(key)), METRICS_PATH)
    return "/" + quote(str(path).lstrip("/"), safe="/?=&%")


def make_metrics_port(template: Mapping[str, Any]) -> int:
    """Return the container port at which replicas tell their metrics; 0: none is named."""
    given = (template.get("metadata") or {}).get("annotations") or {}
    port = next((str(given[key]) for key in PORTS if given.get(key)), "")
    return int(port) if port.isascii() and port.isdecimal() else 0


def make_requested(template: Mapping[str, Any]) -> Mapping[str, float]:
    """Return what the serving container requests: cores of `cpu`, bytes of `memory`.

    A limit without a request is the request (Kubernetes).
    """
    resources = main_container(template.get("spec") or {}).get("resources") or {}
    given = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {
        name: float(parse_quantity(given[name]).value)
        for name in ("cpu", "memory")
        if given.get(name) is not None
    }


def select_replicas(observed: Observed, name: str) -> tuple[ObservedReplica, ...]:
    """Return the replicas that were seen of a workload."""
    return next((w.replicas for w in observed.workloads if w.name == name), ())
