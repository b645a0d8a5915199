"""What an operator of a cluster configured about the objects that are made.

The part of `inferenceservice-config` that means nothing without a cluster: gateways, ingress class,
rollout strategy, autoscaler windows, images and resources of sidecars. Defaults are KServe's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.machinery.registry import JsonObject

_ROUTER_IMAGE = "kserve/router:latest"


@dataclass(frozen=True, slots=True)
class IngressSettings:
    """Through which gateways requests come in; names are `namespace/name`."""

    gateway_api: bool = False
    kserve_gateway: str = "kserve/kserve-ingress-gateway"
    ingress_gateway: str = "knative-serving/knative-ingress-gateway"
    local_gateway: str = "knative-serving/knative-local-gateway"
    local_gateway_service: str = "knative-local-gateway.istio-system.svc.cluster.local"
    knative_local_gateway_service: str = ""
    ingress_class: str | None = None
    disable_creation: bool = False
    disable_virtual_host: bool = False
    disable_route_timeout: bool = False

    @property
    def backend_service(self) -> str:
        """The host to which a VirtualService sends requests."""
        return self.knative_local_gateway_service or self.local_gateway_service


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """How metrics are scraped for autoscaling by KEDA."""

    scrape_interval: str = "5s"
    receiver: str = "keda-otel-scaler.keda.svc:4317"
    scaler: str = "keda-otel-scaler.keda.svc:4318"
    resources: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """The container that executes an InferenceGraph."""

    image: str = _ROUTER_IMAGE
    pull_policy: str = ""
    resources: JsonObject = field(default_factory=dict)
    propagate_headers: tuple[str, ...] | None = None
    pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """All of it. `rollout` is `maxSurge` and `maxUnavailable` where configured; windows are s."""

    ingress: IngressSettings = IngressSettings()
    collector: CollectorSettings = CollectorSettings()
    router: RouterSettings = RouterSettings()
    cluster_ip_none: bool = False
    rollout: Mapping[str, str] = field(default_factory=dict)
    scale_up_window: int | None = None
    scale_down_window: int | None = None


def parse_settings(data: Mapping[str, str]) -> ClusterSettings:
    """Return the settings in the `data` of an `inferenceservice-config` that has been checked."""
    read = {key: _object(text) for key, text in data.items() if key != "_example"}
    autoscaler = read.get("autoscaler", {})
    rollout = (read.get("deploy", {}).get("deploymentRolloutStrategy") or {}).get("defaultRollout")
    return ClusterSettings(
        ingress=_ingress(read.get("ingress", {})),
        collector=_collector(read.get("opentelemetryCollector", {})),
        router=_router(read.get("router", {})),
        cluster_ip_none=bool(read.get("service", {}).get("serviceClusterIPNone")),
        rollout={k: str(v) for k, v in (rollout or {}).items() if v},
        scale_up_window=_seconds(autoscaler.get("scaleUpStabilizationWindowSeconds")),
        scale_down_window=_seconds(autoscaler.get("scaleDownStabilizationWindowSeconds")),
    )


def make_resources(settings: Mapping[str, Any]) -> JsonObject:
    """Return a container's `resources` of the four keys that each sidecar's settings have."""
    found: JsonObject = {}
    for kind, suffix in (("limits", "Limit"), ("requests", "Request")):
        amounts = {name: settings.get(f"{name}{suffix}") for name in ("cpu", "memory")}
        given = {name: str(amount) for name, amount in amounts.items() if amount}
        if given:
            found[kind] = given
    return found


def _ingress(read: Mapping[str, Any]) -> IngressSettings:
    texts = {
        "kserve_gateway": "kserveIngressGateway",
        "ingress_gateway": "ingressGateway",
        "local_gateway": "localGateway",
        "local_gateway_service": "localGatewayService",
        "knative_local_gateway_service": "knativeLocalGatewayService",
        "ingress_class": "ingressClassName",
    }
    given = {name: str(read[key]) for name, key in texts.items() if read.get(key)}
    return IngressSettings(
        gateway_api=bool(read.get("enableGatewayApi")),
        disable_creation=bool(read.get("disableIngressCreation")),
        disable_virtual_host=bool(read.get("disableIstioVirtualHost")),
        disable_route_timeout=bool(read.get("disableHTTPRouteTimeout")),
        **given,
    )


def _collector(read: Mapping[str, Any]) -> CollectorSettings:
    texts = {
        "scrape_interval": "scrapeInterval",
        "receiver": "metricReceiverEndpoint",
        "scaler": "metricScalerEndpoint",
    }
    given = {name: str(read[key]) for name, key in texts.items() if read.get(key)}
    return CollectorSettings(resources=make_resources(read.get("resource") or {}), **given)


def _router(read: Mapping[str, Any]) -> RouterSettings:
    headers = (read.get("headers") or {}).get("propagate")
    return RouterSettings(
        image=str(read.get("image") or _ROUTER_IMAGE),
        pull_policy=str(read.get("imagePullPolicy") or ""),
        resources=make_resources(read),
        propagate_headers=tuple(headers) if headers is not None else None,
        pull_secrets=tuple(read.get("imagePullSecrets") or ()),
    )


def _object(text: str) -> JsonObject:
    value = json.loads(text)
    return value if isinstance(value, dict) else {}


def _seconds(value: object) -> int | None:
    return int(str(value)) if value not in (None, "") else None
