"""The kinds of a cluster that services are made of, and by which names an API server knows them.

`optional` kinds belong to software that a cluster may lack: what needs one then waits for it, and
says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sampan.machinery.registry import JsonObject, Resource


@dataclass(frozen=True, slots=True)
class ChildKind:
    """A kind of which services are made. `owner` is the software that it comes with, "" for
    Kubernetes itself; `instead` is what does without it.
    """

    resource: Resource
    owner: str = ""
    instead: str = ""

    @property
    def optional(self) -> bool:
        """Whether a cluster may lack it."""
        return bool(self.owner)


def _kind(group: str, version: str, kind: str, plural: str, *, status: bool = True) -> Resource:
    generation = bool(group)
    return Resource(
        group,
        version,
        kind,
        plural,
        kind.lower(),
        status_subresource=status,
        generation=generation,
    )


DEPLOYMENTS = _kind("apps", "v1", "Deployment", "deployments")
SERVICES = _kind("", "v1", "Service", "services")
AUTOSCALERS = _kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
INGRESSES = _kind("networking.k8s.io", "v1", "Ingress", "ingresses")
HTTP_ROUTES = _kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
SCALED_OBJECTS = _kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
COLLECTORS = _kind(
    "opentelemetry.io", "v1beta1", "OpenTelemetryCollector", "opentelemetrycollectors"
)
KNATIVE_SERVICES = _kind("serving.knative.dev", "v1", "Service", "services")
VIRTUAL_SERVICES = _kind("networking.istio.io", "v1beta1", "VirtualService", "virtualservices")
DISRUPTION_BUDGETS = _kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICIES = _kind(
    "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", status=False
)
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps", "configmap", generation=False)

CHILD_KINDS: tuple[ChildKind, ...] = (
    ChildKind(DEPLOYMENTS),
    ChildKind(SERVICES),
    ChildKind(AUTOSCALERS),
    ChildKind(INGRESSES),
    ChildKind(DISRUPTION_BUDGETS),
    ChildKind(NETWORK_POLICIES),
    ChildKind(
        HTTP_ROUTES,
        "the Gateway API",
        'set "enableGatewayApi" to false in "ingress" of inferenceservice-config',
    ),
    ChildKind(
        SCALED_OBJECTS, "KEDA", 'set the annotation serving.kserve.io/autoscalerClass to "hpa"'
    ),
    ChildKind(
        COLLECTORS,
        "the OpenTelemetry operator",
        "take the metrics of type PodMetric out of autoScaling",
    ),
    ChildKind(
        KNATIVE_SERVICES,
        "Knative Serving",
        'make the service anew with the annotation serving.kserve.io/deploymentMode "Standard"',
    ),
    ChildKind(
        VIRTUAL_SERVICES,
        "Istio",
        'set "disableIstioVirtualHost" to true in "ingress" of inferenceservice-config',
    ),
)
"""What is followed in a cluster. The ConfigMaps of multi-model services are read one by one."""

PODS = Resource(
    "", "v1", "Pod", "pods", "pod", generation=False, status_subresource=True, short_names=("po",)
)
ENDPOINT_SLICES = Resource(
    "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice"
)
LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases", "lease", generation=False)

_BY_NAME: Mapping[tuple[str, str], ChildKind] = {
    (k.resource.api_version, k.resource.kind): k for k in (*CHILD_KINDS, ChildKind(CONFIG_MAPS))
}


def kind_of(obj: JsonObject) -> ChildKind:
    """Return the kind of an object that was rendered."""
    return _BY_NAME[str(obj["apiVersion"]), str(obj["kind"])]
