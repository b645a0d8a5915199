"""What an activator of a cluster knows of a workload, in the words of plans and observations."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.activator.phases import Start
from sampan.machinery.clock import Clock
from sampan.machinery.registry import JsonObject
from sampan.plan.observed import Link, LinkState, Observed, ObservedReplica, ObservedWorkload
from sampan.plan.pod_metadata import COMPONENT_LABEL
from sampan.plan.types import Component, Plan, ServiceKey, Workload
from sampan.platforms.kubernetes.serverless_table import Served

_SERVING = "serving.kserve.io/"
_STARTING = Link(LinkState.RUNNING)


def make_plan(one: Served) -> Plan:
    """Return a plan of this workload alone: each is decided about by itself. Pure."""
    spec, metadata = one.deployment["spec"], one.deployment["metadata"]
    labels = metadata.get("labels") or {}
    workload = Workload(
        component=Component(labels.get(COMPONENT_LABEL) or Component.PREDICTOR),
        name=one.name,
        template={"metadata": {"annotations": spec["annotations"]}, "spec": {"containers": [{}]}},
        template_hash=spec["hash"],
        replicas=one.replicas,
        model_name="",
        container_concurrency=one.terms.concurrency or None,
        scaling=one.terms.scaling,
    )
    return Plan(ServiceKey(one.namespace, one.name), (workload,))


def make_owner(one: Served) -> JsonObject | None:
    """Return the service that a workload belongs to, as far as an event must name it. Pure."""
    metadata = one.deployment["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") and str(owner.get("apiVersion")).startswith(_SERVING):
            named = {"name": owner["name"], "namespace": one.namespace, "uid": owner.get("uid", "")}
            return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "metadata": named}
    return None


def describe_wait(one: Served, trouble: str = "") -> str:
    """Return in a sentence why no pod of a workload is ready yet. `trouble`: why its number of
    replicas cannot be written. Pure.
    """
    if trouble:
        return f'the API server refuses another number of replicas of "{one.name}": {trouble}'
    conditions = (one.deployment.get("status") or {}).get("conditions") or ()
    told = [str(c.get("message") or "") for c in conditions if _speaks(c)]
    why = f": {told[0].rstrip('.')}" if told and told[0] else ""
    return (
        f'Deployment "{one.name}" asks for {one.replicas} and has {len(one.rest)} ready{why}; '
        f'"kubectl describe pods -n {one.namespace} -l app=isvc.{one.name}" tells more'
    )


def _speaks(condition: JsonObject) -> bool:
    failed = condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
    return failed or (condition.get("type") == "Available" and condition.get("status") == "False")


class ServedView:
    """Observations of workloads; of each it is remembered since when it has so many replicas."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, tuple[int, float]] = {}

    def observe(self, one: Served, *, held: bool) -> Observed:
        """Return what is seen of a workload; `held`: its requests wait here, or it sleeps."""
        count, since = self._since.get(one.key, (-1, 0.0))
        if count != one.replicas:
            since = self._clock.now()
            self._since[one.key] = one.replicas, since
        seen = ObservedWorkload(
            one.name,
            Component.PREDICTOR.value,
            one.deployment["spec"]["hash"],
            Link(),
            Link(),
            tuple(_replicas(one, since)),
            one.replicas,
        )
        return Observed((seen,), held=frozenset({one.name}) if held else frozenset())

    def forget(self, key: str) -> None:
        """Forget a workload that is gone."""
        self._since.pop(key, None)


class Starts:
    """How the newest replica of each workload came up, as far as a cluster tells: when it was asked
    for, and when it was ready.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._found: dict[str, Start] = {}

    def note(self, one: Served) -> None:
        """Take note of a workload as it is now."""
        if one.rest or not one.replicas:
            asked = self._asked.pop(one.key, None)
            if one.rest and asked is not None:
                self._found[one.key] = Start(asked, asked, 0.0, self._clock.now())
        else:
            self._asked.setdefault(one.key, self._clock.now())

    def find(self, key: str) -> Start | None:
        """Return the newest start of a workload; None: none was seen."""
        return self._found.get(key)

    def forget(self, key: str) -> None:
        """Forget a workload that is gone."""
        self._asked.pop(key, None)
        self._found.pop(key, None)


def _replicas(one: Served, since: float) -> Iterator[ObservedReplica]:
    """Yield the pods that are ready, and one for each that is asked for and is not."""
    template = one.deployment["spec"]["hash"]
    for endpoint in one.rest:
        address = f"{endpoint.host}:{endpoint.port}"
        yield ObservedReplica(address, one.name, template, True, True, address)
    for number in range(one.replicas - len(one.rest)):
        name = f"{one.name}-{number}"
        yield ObservedReplica(
            name, one.name, template, True, False, created_at=since, load=_STARTING
        )
