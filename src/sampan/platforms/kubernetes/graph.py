"""The router of an InferenceGraph: one container that is told the whole graph.

KServe, InferenceGraph: a Deployment with Service and autoscaler in Standard mode, a Knative Service
in Knative mode. The graph's text is part of the pod's template, so it is written as KServe writes
it: taking a graph over starts no pod anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.component import make_template_hash
from sampan.plan.graph_json import make_graph_json
from sampan.plan.pod_metadata import APP_LABEL
from sampan.plan.scaling import make_scaling
from sampan.plan.service import annotations_of, deployment_mode, is_stopped, labels_of
from sampan.plan.types import Component, Workload
from sampan.platforms.kubernetes.hosts import kept_annotations
from sampan.platforms.kubernetes.knative_service import render_knative_service
from sampan.platforms.kubernetes.source import Source

GRAPH_LABEL = "serving.kserve.io/inferencegraph"
KIND_LABEL = "serving.kserve.io/kind"
_POD_FIELDS = ("affinity", "tolerations", "nodeSelector", "nodeName", "serviceAccountName")
_SECURITY: JsonObject = {
    "privileged": False,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
_PROBE: JsonObject = {
    "httpGet": {"path": "/readyz", "port": 8080, "scheme": "HTTP"},
    "initialDelaySeconds": 5,
    "timeoutSeconds": 2,
    "periodSeconds": 5,
    "successThreshold": 1,
    "failureThreshold": 3,
}


def make_router(source: Source, nodes: Mapping[str, Any]) -> Workload | None:
    """Return the workload of a graph, None for one that is stopped; `nodes` have their URLs."""
    graph = source.service
    if is_stopped(graph):
        return None
    knative = _is_knative(source)
    labels = {**labels_of(graph), GRAPH_LABEL: source.name}
    labels |= {KIND_LABEL: "InferenceGraph"} if knative else {APP_LABEL: f"isvc.{source.name}"}
    template = {
        "metadata": {"labels": labels, "annotations": dict(kept_annotations(source))},
        "spec": _pod_spec(source, nodes, named=not knative),
    }
    scaling = make_scaling(graph["spec"], annotations_of(graph))
    timeout = graph["spec"].get("timeout")
    return Workload(
        component=Component.ROUTER,
        name=source.name,
        template=template,
        template_hash=make_template_hash(template, ()),
        replicas=max(1 if scaling.minimum is None else scaling.minimum, 1),
        model_name="",
        timeout_seconds=int(timeout) if timeout is not None else None,
        scaling=scaling,
    )


def render_knative_router(source: Source, router: Workload) -> Iterator[JsonObject]:
    """Yield the Knative Service of a graph, which has one revision at a time."""
    made = render_knative_service(source, router)
    template = made["spec"]["template"]
    spec = {k: v for k, v in template["spec"].items() if k != "responseStartTimeoutSeconds"}
    metadata = {k: v for k, v in made["metadata"].items() if k != "labels"}
    own = labels_of(source.service)
    yield {
        **made,
        "metadata": {**metadata, **({"labels": dict(own)} if own else {})},
        "spec": {"template": {**template, "spec": spec}},
    }


def _pod_spec(source: Source, nodes: Mapping[str, Any], *, named: bool) -> JsonObject:
    settings, spec = source.settings.router, source.service["spec"]
    headers = settings.propagate_headers
    env = [] if headers is None else [{"name": "PROPAGATE_HEADERS", "value": ",".join(headers)}]
    container = {
        "name": source.name if named else "",
        "image": settings.image,
        **({"imagePullPolicy": settings.pull_policy} if settings.pull_policy else {}),
        "args": ["--graph-json", make_graph_json(source.service, nodes)],
        **({"env": env} if env else {}),
        "resources": spec.get("resources") or settings.resources,
        "securityContext": _SECURITY,
        "readinessProbe": _PROBE,
    }
    secrets = [{"name": name} for name in settings.pull_secrets]
    return {
        "automountServiceAccountToken": False,
        "containers": [container],
        **{key: spec[key] for key in _POD_FIELDS if spec.get(key)},
        **({"imagePullSecrets": secrets} if secrets else {}),
    }


def _is_knative(source: Source) -> bool:
    return deployment_mode(source.service, source.config.default_deployment_mode) == "Knative"
