"""Under which addresses a service is reached, from outside and inside its cluster."""

from __future__ import annotations

from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.service import component_name, components_of
from sampan.plan.types import Component
from sampan.platforms.kubernetes.hosts import (
    KNATIVE_VISIBILITY,
    is_internal,
    make_cluster_host,
    make_host,
    make_path,
)
from sampan.platforms.kubernetes.source import Source
from sampan.platforms.kubernetes.status.observed import ClusterObserved
from sampan.platforms.kubernetes.status.workloads import KNATIVE


def make_urls(
    source: Source, observed: ClusterObserved, status: JsonObject, mode: str
) -> JsonObject:
    """Return `url` and `address` of a service that is reached."""
    if mode == KNATIVE:
        return _knative(source, status)
    url = f"{source.config.url_scheme}://{make_host(source, source.name)}"
    front = _front(source)
    host, port = make_cluster_host(source, front), _port(observed, front)
    return {"url": url, "address": {"url": f"http://{host}{port}"}}


def select_front(source: Source) -> Component:
    """Return the component that takes what comes to the service."""
    present = components_of(source.service)
    return Component.TRANSFORMER if Component.TRANSFORMER in present else Component.PREDICTOR


def with_scheme(source: Source, url: str) -> str:
    """Return a URL of Knative's with the scheme by which gateways are reached (`urlScheme`)."""
    scheme, separator, rest = url.partition("://")
    return f"{source.config.url_scheme}://{rest}" if separator and scheme else url


def _front(source: Source) -> str:
    return component_name(source.service, select_front(source))


def _port(observed: ClusterObserved, name: str) -> str:
    """A Service without an address is asked at its pods' own port."""
    spec = observed.service_address(name)
    if spec.get("clusterIP") != "None":
        return ""
    rest = [p for p in spec.get("ports") or () if "appProtocol" not in p]
    target: Any = rest[0].get("targetPort") if rest else None
    return f":{target}" if target else ""


def _knative(source: Source, status: JsonObject) -> JsonObject:
    """The front component's own URL, less what names the component."""
    disabled = source.settings.ingress.disable_virtual_host
    front = select_front(source)
    told = (status.get("components") or {}).get(front.value) or {}
    name = component_name(source.service, front)
    inside = make_cluster_host(source, name if disabled else source.name)
    url = str(told.get("url") or "")
    if not disabled:
        url = url.replace(f"-{front.value}", "", 1)
        path = make_path(source)
        if path and not is_internal(source, KNATIVE_VISIBILITY):
            url = f"{source.config.url_scheme}://{source.config.ingress_domain}{path}"
    return {"url": url, "address": {"url": f"http://{inside}"}}
