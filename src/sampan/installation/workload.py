"""The operator as a Deployment, and what it needs around it. Pure.

The pod passes Pod Security's `restricted` profile (Kubernetes, "Pod Security Standards").
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.installation.options import OPERATOR, WEBHOOK_SERVICE, Options
from sampan.machinery.registry import JsonObject

SELECTED = {"app.kubernetes.io/name": "sampan", "app.kubernetes.io/component": "operator"}
NOBODY = 65532
"""The user of images without a shell."""


def make_workload(options: Options) -> tuple[JsonObject, ...]:
    """Return the account, the Deployment, the webhooks' Service and the disruption budget."""
    webhooks = _object("v1", "Service", WEBHOOK_SERVICE, options, {"spec": _service(options)})
    return (
        _object("v1", "ServiceAccount", OPERATOR, options, {}),
        *(() if options.watched else (webhooks,)),
        _object("apps/v1", "Deployment", OPERATOR, options, {"spec": _deployment(options)}),
        _object("policy/v1", "PodDisruptionBudget", OPERATOR, options, {"spec": _budget()}),
    )


def make_namespace(options: Options) -> JsonObject:
    """Return the operator's namespace; the pods of a control plane are none of its business."""
    labels = {
        "app.kubernetes.io/name": "sampan",
        "control-plane": OPERATOR,  # the pod webhook leaves such namespaces out
        "pod-security.kubernetes.io/enforce": "restricted",
    }
    metadata = {"name": options.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _object(
    api_version: str, kind: str, name: str, options: Options, parts: JsonObject
) -> JsonObject:
    metadata = {"name": name, "namespace": options.namespace, "labels": dict(SELECTED)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def _service(options: Options) -> JsonObject:
    ports = [{"name": "https", "port": 443, "targetPort": options.webhook_port}]
    return {"selector": dict(SELECTED), "ports": ports}


def _budget() -> JsonObject:
    return {"minAvailable": 1, "selector": {"matchLabels": dict(SELECTED)}}


def _deployment(options: Options) -> JsonObject:
    template = {"metadata": {"labels": dict(SELECTED)}, "spec": _pod(options)}
    return {
        "replicas": options.replicas,
        "selector": {"matchLabels": dict(SELECTED)},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": template,
    }


def _pod(options: Options) -> JsonObject:
    return {
        "serviceAccountName": OPERATOR,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(options)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        "terminationGracePeriodSeconds": 30,
        "topologySpreadConstraints": [make_spread(SELECTED)],
    }


def make_spread(selected: Mapping[str, str]) -> JsonObject:
    """Return that pods with these labels are on several nodes, where there are several."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(selected)},
    }


def _container(options: Options) -> JsonObject:
    return {
        "name": "operator",
        "image": options.image,
        "args": make_arguments(options),
        "env": [
            make_field("POD_NAME", "metadata.name"),
            make_field("POD_NAMESPACE", "metadata.namespace"),
        ],
        "ports": _ports(options),
        "livenessProbe": _probe("/healthz", period=20),
        "readinessProbe": _probe("/readyz", period=5),
        "resources": {
            "requests": {"cpu": "100m", "memory": "300Mi"},
            "limits": {"cpu": "1", "memory": "600Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  # a mount of its own
    }


def _ports(options: Options) -> list[JsonObject]:
    webhook = {"name": "webhook", "containerPort": options.webhook_port}
    health = {"name": "health", "containerPort": options.health_port}
    return [health] if options.watched else [webhook, health]


def make_arguments(options: Options) -> list[str]:
    """Return the operator's command line."""
    return [
        "operator",
        f"--namespace={options.namespace}",
        *(f"--watch-namespace={place}" for place in options.watched),
        f"--webhook-port={0 if options.watched else options.webhook_port}",
        f"--health-port={options.health_port}",
        *(["--activator"] if options.activators else []),
        "--host=0.0.0.0",  # a pod's own address
    ]


def make_field(name: str, path: str) -> JsonObject:
    """Return a variable that tells a container of its own pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _probe(path: str, *, period: int) -> JsonObject:
    return {"httpGet": {"path": path, "port": "health"}, "periodSeconds": period}
