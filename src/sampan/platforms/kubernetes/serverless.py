"""Scale to zero without Knative: how a workload's objects lead its requests to the activator.

The Service of the workload's name has no selector: the activator writes where it leads, to a port
that the activator keeps for this workload. A second Service selects the pods, so that Kubernetes
tells where they are. What the activator must know of the workload stands on its Deployment. Pure.

Knative Serving's way with its public and private Services, without its kinds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.machinery.errors import Forbidden
from sampan.machinery.registry import JsonObject
from sampan.plan.protection import ALLOW_FROM, read_allowed
from sampan.plan.scaling import SAMPAN, Scaling
from sampan.plan.types import Plan, Role, Workload
from sampan.platforms.kubernetes.children import AUTOSCALER
from sampan.platforms.kubernetes.deployment import make_selector, render_deployment
from sampan.platforms.kubernetes.service import make_ports, render_service
from sampan.platforms.kubernetes.source import Source, make_workload_metadata

TERMS = "serving.sampan.dev/autoscaling"
"""The annotation of a Deployment with its terms: between which bounds, by which measure."""
PODS_SUFFIX = "-pods"

HOLD_SECONDS = 300
"""How long a request waits for a replica where its component gives no timeout (Knative's)."""
ANSWER_SECONDS = 60
"""How long an answer may then take (the timeout of KServe's routes)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the activator must know of a workload. `rest` and `grpc` are the names of its Service's
    ports; `timeout` is in seconds, None: not given; `concurrency` 0: as many as come.
    """

    scaling: Scaling
    concurrency: int = 0
    timeout: int | None = None
    rest: str = ""
    grpc: str = ""


def is_serverless(workload: Workload) -> bool:
    """Return whether the activator looks after a workload."""
    return workload.scaling.autoscaler == SAMPAN and workload.role is Role.STABLE


def refuse_serverless(plan: Plan) -> None:
    """Raise Forbidden where a service needs the activator; for a cluster that has none."""
    if any(map(is_serverless, plan.workloads)):
        text = (
            f'nothing here wakes services of the autoscaler class "{SAMPAN}"; install it by '
            '"sampan install --activators 2", or choose another class'
        )
        raise Forbidden(text)


def route_seconds(workload: Workload) -> int:
    """Return how long a route must wait for a workload: until it is up, and then for its answer."""
    if workload.timeout_seconds is None:
        return HOLD_SECONDS + ANSWER_SECONDS
    return 2 * workload.timeout_seconds


def render_serverless(source: Source, workload: Workload) -> tuple[JsonObject, ...]:
    """Return the Deployment and the Services of a workload that the activator looks after.

    Raise Forbidden where only some may ask it: what the activator passes on comes from anybody.
    """
    if read_allowed(source.service) is not None:
        text = (
            f'the annotation "{ALLOW_FROM}" cannot be kept with the autoscaler class "{SAMPAN}", '
            "for all requests come through the activator; take one of the two away"
        )
        raise Forbidden(text)
    return (
        _render_deployment(source, workload),
        _render_public(source, workload),
        _render_pods(source, workload),
    )


def _render_deployment(source: Source, workload: Workload) -> JsonObject:
    """The terms stand at the Deployment and not in its template: to change them restarts no pod."""
    made = render_deployment(source, workload)
    metadata = _marked(made["metadata"])
    annotations = {**(metadata.get("annotations") or {}), TERMS: encode_terms(make_terms(workload))}
    return {**made, "metadata": {**metadata, "annotations": annotations}}


def _render_public(source: Source, workload: Workload) -> JsonObject:
    """Further ports are not the activator's: the Service of the pods has them."""
    made = render_service(source, workload)
    terms = make_terms(workload)
    led = [p for p in made["spec"]["ports"] if str(p.get("name") or "") in (terms.rest, terms.grpc)]
    spec = {k: v for k, v in made["spec"].items() if k not in ("selector", "clusterIP")}
    spec["ports"] = led
    return {**made, "metadata": _marked(made["metadata"]), "spec": spec}


def _render_pods(source: Source, workload: Workload) -> JsonObject:
    metadata = _marked(make_workload_metadata(source, workload))
    ports = [{**port, "port": port["targetPort"]} for port in make_ports(workload)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, "name": workload.name + PODS_SUFFIX},
        "spec": {"clusterIP": "None", "selector": make_selector(workload), "ports": ports},
    }


def _marked(metadata: JsonObject) -> JsonObject:
    return {**metadata, "labels": {**(metadata.get("labels") or {}), AUTOSCALER: SAMPAN}}


def make_terms(workload: Workload) -> Terms:
    """Return the terms of a workload. gRPC goes to the port that speaks HTTP/2 alone, where there
    is one.
    """
    ports = make_ports(workload)
    grpc = next((p for p in ports if "appProtocol" in p), None)
    rest = next((p for p in ports if "appProtocol" not in p), ports[0])
    return Terms(
        workload.scaling,
        workload.container_concurrency or 0,
        workload.timeout_seconds,
        str(rest.get("name") or ""),
        str((grpc or rest).get("name") or ""),
    )


def encode_terms(terms: Terms) -> str:
    """Return the terms as the annotation holds them."""
    scaling = terms.scaling
    told = {
        "minReplicas": scaling.minimum,
        "maxReplicas": scaling.maximum,
        "scaleMetric": scaling.metric,
        "scaleTarget": scaling.target,
        "containerConcurrency": terms.concurrency,
        "timeout": terms.timeout,
        "rest": terms.rest,
        "grpc": terms.grpc,
    }
    return json.dumps({k: v for k, v in told.items() if v not in (None, "")}, sort_keys=True)


def read_terms(annotations: Mapping[str, Any]) -> Terms | None:
    """Return the terms of a Deployment; None where there are none that can be read."""
    try:
        told = json.loads(annotations.get(TERMS) or "")
        return _make_read(told)
    except (ValueError, TypeError, AttributeError):
        return None


def _make_read(told: Mapping[str, Any]) -> Terms:
    minimum, target, timeout = (told.get(k) for k in ("minReplicas", "scaleTarget", "timeout"))
    scaling = Scaling(
        autoscaler=SAMPAN,
        minimum=None if minimum is None else int(minimum),
        maximum=int(told.get("maxReplicas") or 0),
        metric=str(told.get("scaleMetric") or ""),
        target=None if target is None else int(target),
    )
    return Terms(
        scaling,
        int(told.get("containerConcurrency") or 0),
        None if timeout is None else int(timeout),
        str(told.get("rest") or ""),
        str(told.get("grpc") or ""),
    )
