"""The activator as a Deployment, and what it needs around it. Pure.

Two containers: Envoy holds and passes on, the activator tells it. They share a folder and see each
other's processes, so that either may end while the other goes on. The pod passes Pod Security's
`restricted` profile.
"""

from __future__ import annotations

from sampan.installation.activator_rights import ACTIVATOR_RIGHTS
from sampan.installation.options import ACTIVATOR, Options
from sampan.installation.rights import make_cluster_roles
from sampan.installation.workload import NOBODY, make_field, make_spread
from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.serverless_slices import Doors

SELECTED = {"app.kubernetes.io/name": "sampan", "app.kubernetes.io/component": "activator"}
FOLLOWED = {"serving.sampan.dev/autoscaler": "sampan"}
"""The label by which the activator finds its own addresses."""
FOLDER = "/gateway"
LEAVING_SECONDS = 30
"""From when a pod is to end until its activator does: others are led elsewhere, and what waits and
what is under way is finished meanwhile. Its Envoy stays `AFTER_SECONDS` longer, to pass on what
those who wait still are told.
"""
AFTER_SECONDS = 5


def make_activator(options: Options) -> tuple[JsonObject, ...]:
    """Return everything of the activators; nothing where none are wanted."""
    if not options.activators:
        return ()
    return (
        _object("v1", "ServiceAccount", options, {}),
        *make_cluster_roles(ACTIVATOR_RIGHTS, ACTIVATOR, options),
        _object("v1", "Service", options, {"spec": _service(options)}, FOLLOWED),
        _object("apps/v1", "Deployment", options, {"spec": _deployment(options)}),
        _object("policy/v1", "PodDisruptionBudget", options, {"spec": _budget()}),
        *_policies(options),
    )


def _policies(options: Options) -> tuple[JsonObject, ...]:
    """Whoever may ask a service may ask its door; the port of health tells what all are asked."""
    if not options.metrics_from:
        return ()
    places = dict.fromkeys((options.namespace, *options.metrics_from))
    pods = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place}}}
        for place in places
    ]
    doors = Doors()
    spec = {
        "podSelector": {"matchLabels": dict(SELECTED)},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"ports": [{"port": doors.first, "endPort": doors.last, "protocol": "TCP"}]},
            {"ports": [{"port": options.health_port, "protocol": "TCP"}], "from": pods},
        ],
    }
    return (_object("networking.k8s.io/v1", "NetworkPolicy", options, {"spec": spec}),)


def _object(
    api_version: str,
    kind: str,
    options: Options,
    parts: JsonObject,
    labels: dict[str, str] | None = None,
) -> JsonObject:
    found = {**SELECTED, **(labels or {})}
    metadata = {"name": ACTIVATOR, "namespace": options.namespace, "labels": found}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def _service(options: Options) -> JsonObject:
    """Nobody asks it by this name: it tells the activators where they are."""
    ports = [{"name": "health", "port": options.health_port, "targetPort": "health"}]
    return {"clusterIP": "None", "selector": dict(SELECTED), "ports": ports}


def _budget() -> JsonObject:
    return {
        "maxUnavailable": 1,
        "selector": {"matchLabels": dict(SELECTED)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def _deployment(options: Options) -> JsonObject:
    template = {"metadata": {"labels": dict(SELECTED)}, "spec": _pod(options)}
    return {
        "replicas": options.activators,
        "selector": {"matchLabels": dict(SELECTED)},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": template,
    }


def _pod(options: Options) -> JsonObject:
    return {
        "serviceAccountName": ACTIVATOR,
        "shareProcessNamespace": True,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "fsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_activator(options), _envoy(options)],
        "volumes": [
            {"name": "gateway", "emptyDir": {"sizeLimit": "64Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
        "terminationGracePeriodSeconds": LEAVING_SECONDS + AFTER_SECONDS + 10,
        "topologySpreadConstraints": [make_spread(SELECTED)],
    }


def _activator(options: Options) -> JsonObject:
    return {
        **_container("activator", options),
        "args": make_arguments(options),
        "env": [
            make_field("POD_NAME", "metadata.name"),
            make_field("POD_NAMESPACE", "metadata.namespace"),
        ],
        "ports": [{"name": "health", "containerPort": options.health_port}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "health"}, "periodSeconds": 20},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}, "periodSeconds": 5},
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
    }


def _envoy(options: Options) -> JsonObject:
    """No limit of CPU: every request of these services passes here."""
    return {
        **_container("envoy", options),
        "args": ["activator-envoy", f"--folder={FOLDER}"],
        "ports": [],
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVING_SECONDS + AFTER_SECONDS}}},
        "resources": {
            "requests": {"cpu": "250m", "memory": "128Mi"},
            "limits": {"memory": "1Gi"},
        },
    }


def _container(name: str, options: Options) -> JsonObject:
    return {
        "name": name,
        "image": options.image,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "gateway", "mountPath": FOLDER},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # a mount of its own
        ],
    }


def make_arguments(options: Options) -> list[str]:
    """Return the activator's command line."""
    return [
        "activator",
        f"--namespace={options.namespace}",
        f"--health-port={options.health_port}",
        f"--folder={FOLDER}",
        "--envoy-beside",
        f"--drain-seconds={LEAVING_SECONDS}",
        "--host=0.0.0.0",  # a pod's own address
    ]
