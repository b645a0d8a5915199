"""What a real API server writes into objects where they say nothing (Kubernetes 1.36, v1 types).

KServe's recordings show stored objects; what is rendered here is what is sent. Adding the same
defaults to it makes the two comparable without dropping a field of either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Object = dict[str, Any]

_POD = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
_CONTAINER = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE = {"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}
_SCALE_DOWN = {
    "policies": [{"periodSeconds": 15, "type": "Percent", "value": 100}],
    "selectPolicy": "Max",
}
_SCALE_UP = {
    "policies": [
        {"periodSeconds": 15, "type": "Pods", "value": 4},
        {"periodSeconds": 15, "type": "Percent", "value": 100},
    ],
    "selectPolicy": "Max",
    "stabilizationWindowSeconds": 0,
}
_COLLECTOR = {
    "configVersions": 3,
    "daemonSetUpdateStrategy": {},
    "deploymentUpdateStrategy": {},
    "ingress": {"route": {}},
    "ipFamilyPolicy": "SingleStack",
    "managementState": "managed",
    "observability": {"metrics": {}},
    "podDnsConfig": {},
    "targetAllocator": {
        "allocationStrategy": "consistent-hashing",
        "filterStrategy": "relabel-config",
        "observability": {"metrics": {}},
        "prometheusCR": {"scrapeInterval": "30s"},
        "resources": {},
    },
    # KServe sends the empty text and relies on the OpenTelemetry operator's webhook.
    "upgradeStrategy": "",
}


def as_stored(obj: Object) -> Object:
    """Return an object as the API server shows it, uids of owners left out."""
    kind = (obj["apiVersion"], obj["kind"])
    found = {**obj, "metadata": _metadata(obj["metadata"])}
    return _BY_KIND.get(kind, _same)(found)


def with_defaults(obj: Object) -> Object:
    """Return an object with the API server's defaults, its owners as they are."""
    return _BY_KIND.get((obj["apiVersion"], obj["kind"]), _same)(obj)


def _same(obj: Object) -> Object:
    return obj


def _metadata(metadata: Mapping[str, Any]) -> Object:
    owners = [{k: v for k, v in o.items() if k != "uid"} for o in metadata["ownerReferences"]]
    return {**metadata, "ownerReferences": owners}


def _deployment(obj: Object) -> Object:
    spec = obj["spec"]
    strategy = {"type": "RollingUpdate", **spec.get("strategy", {})}
    if strategy["type"] == "RollingUpdate":
        rolling = {"maxSurge": "25%", "maxUnavailable": "25%", **strategy.get("rollingUpdate", {})}
        strategy["rollingUpdate"] = rolling
    stored = {
        "progressDeadlineSeconds": 600,
        "replicas": 1,
        "revisionHistoryLimit": 10,
        **spec,
        "strategy": strategy,
        "template": {**spec["template"], "spec": stored_pod(spec["template"]["spec"])},
    }
    metadata = {k: v for k, v in stored["template"]["metadata"].items() if v}
    stored["template"]["metadata"] = metadata
    return {**obj, "spec": stored}


def as_stored_pod(pod: Object) -> Object:
    """Return a pod as the API server shows it, without its name."""
    metadata = {k: v for k, v in pod["metadata"].items() if k != "name"}
    spec = {"enableServiceLinks": True, **stored_pod(pod["spec"])}
    for field in ("containers", "initContainers"):
        if field in spec:
            spec[field] = [_with_requests(c) for c in spec[field]]
    if "volumes" in spec:
        spec["volumes"] = [_volume(v) for v in spec["volumes"]]
    return {**pod, "metadata": metadata, "spec": spec}


def _with_requests(container: Object) -> Object:
    """Of pods, not of templates: what is limited is requested."""
    resources = container["resources"]
    limits = resources.get("limits")
    if not limits:
        return container
    requests = {**limits, **resources.get("requests", {})}
    return {**container, "resources": {**resources, "requests": requests}}


def _volume(volume: Object) -> Object:
    for kind in ("configMap", "secret"):
        if kind in volume:
            return {**volume, kind: {"defaultMode": 420, **volume[kind]}}
    return volume


def stored_pod(spec: Mapping[str, Any]) -> Object:
    """Return a pod spec with the API server's defaults."""
    stored: Object = {**_POD, **spec}
    account = stored.get("serviceAccountName") or stored.get("serviceAccount")
    if account:
        # The old name of the field is written beside the new one.
        stored |= {"serviceAccountName": account, "serviceAccount": account}
    for field in ("containers", "initContainers"):
        if field in stored:
            stored[field] = [_container(c) for c in stored[field]]
    return stored


def _container(container: Mapping[str, Any]) -> Object:
    image = str(container.get("image", ""))
    latest = image.endswith(":latest") or ":" not in image.rpartition("/")[2]
    pull = {"imagePullPolicy": "Always" if latest else "IfNotPresent"}
    stored: Object = {**_CONTAINER, **pull, **container}
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        if kind in stored:
            stored[kind] = _probe(stored[kind])
    if "env" in stored:
        stored["env"] = [_variable(e) for e in stored["env"]]
    if "ports" in stored:
        stored["ports"] = [{"protocol": "TCP", **p} for p in stored["ports"]]
    return stored


def _probe(probe: Mapping[str, Any]) -> Object:
    stored = {**_PROBE, **probe}
    if "httpGet" in stored:
        stored["httpGet"] = {"path": "/", "scheme": "HTTP", **stored["httpGet"]}
    return stored


def _variable(variable: Mapping[str, Any]) -> Object:
    """Go leaves out an empty text; a reference to a field has a version."""
    stored = {k: v for k, v in variable.items() if k != "value" or v != ""}
    source = stored.get("valueFrom") or {}
    if "fieldRef" in source:
        reference = {"apiVersion": "v1", **source["fieldRef"]}
        stored["valueFrom"] = {**source, "fieldRef": reference}
    return stored


def _service(obj: Object) -> Object:
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return {**obj, "spec": {"sessionAffinity": "None", **spec}}
    stored = {
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "sessionAffinity": "None",
        "type": "ClusterIP",
        **spec,
    }
    if spec.get("clusterIP") == "None":
        stored["clusterIPs"] = ["None"]
    if "ports" in stored:
        stored["ports"] = [{"protocol": "TCP", **p} for p in stored["ports"]]
    return {**obj, "spec": stored}


def _hpa(obj: Object) -> Object:
    spec = obj["spec"]
    if "behavior" not in spec:
        return obj
    given = spec["behavior"]
    behavior = {
        "scaleDown": {**_SCALE_DOWN, **given.get("scaleDown", {})},
        "scaleUp": {**_SCALE_UP, **given.get("scaleUp", {})},
    }
    return {**obj, "spec": {**spec, "behavior": behavior}}


def _knative_service(obj: Object) -> Object:
    """Knative's own defaults are not in the recordings; Go leaves out an empty text here too."""
    spec = obj["spec"]
    template = spec["template"]
    containers = [
        {**c, "env": [_variable(e) for e in c["env"]]} if "env" in c else c
        for c in template["spec"]["containers"]
    ]
    template = {**template, "spec": {**template["spec"], "containers": containers}}
    return {**obj, "spec": {**spec, "template": template}}


def _collector(obj: Object) -> Object:
    return {**obj, "spec": {**_COLLECTOR, **obj["spec"]}}


_BY_KIND: Mapping[tuple[str, str], Callable[[Object], Object]] = {
    ("apps/v1", "Deployment"): _deployment,
    ("v1", "Service"): _service,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): _hpa,
    ("serving.knative.dev/v1", "Service"): _knative_service,
    ("opentelemetry.io/v1beta1", "OpenTelemetryCollector"): _collector,
}
