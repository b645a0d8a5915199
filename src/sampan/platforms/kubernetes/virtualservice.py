"""VirtualServices and the Service beside them: a service's host in Knative mode, through Istio.

KServe, Knative ingress: every request goes to Knative's local gateway with the host of the
component that answers; `:explain` goes to the explainer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from sampan.machinery.registry import JsonObject
from sampan.plan.types import Component, Workload
from sampan.platforms.kubernetes.hosts import (
    KNATIVE_VISIBILITY,
    identity_headers,
    is_internal,
    kept_annotations,
    make_cluster_host,
    make_path,
)
from sampan.platforms.kubernetes.httproute import EXPLAIN_PATH
from sampan.platforms.kubernetes.source import Source, make_metadata

MESH = "mesh"
_PORT = r"(?::\d{1,5})?"


def render_external_service(source: Source) -> JsonObject:
    """Return the Service by whose name the others in the cluster reach the local gateway."""
    target = source.settings.ingress.local_gateway_service
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": make_metadata(source, source.name, {}, {}),
        "spec": {"type": "ExternalName", "externalName": target, "sessionAffinity": "None"},
    }


def render_virtualservice(source: Source) -> JsonObject:
    """Return the VirtualService of a service, with the components that are ready."""
    settings = source.settings.ingress
    outside = _outside_hosts(source)
    path = make_path(source)
    hosts = [make_cluster_host(source, source.name), *outside]
    if path and outside:
        hosts.append(source.config.ingress_domain)
    gateways = [settings.local_gateway, MESH, *([settings.ingress_gateway] if outside else [])]
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": make_metadata(
            source, source.name, source.plan.labels, kept_annotations(source)
        ),
        "spec": {
            "hosts": hosts,
            "gateways": gateways,
            "http": list(_routes(source, outside, path)),
        },
    }


def _routes(source: Source, outside: list[str], path: str) -> Iterator[JsonObject]:
    explainer, front = source.routable(Component.EXPLAINER), source.front
    if explainer is not None:
        yield _route(source, explainer, outside, {"uri": {"regex": EXPLAIN_PATH}})
    if front is not None:
        yield _route(source, front, outside, {})
        if path and outside:
            yield from _path_routes(source, front, path)


def _path_routes(source: Source, front: Workload, path: str) -> Iterator[JsonObject]:
    """The service under a path of the domain itself, with or without what follows it."""
    match = {
        "authority": _authority(source.config.ingress_domain),
        "gateways": [source.settings.ingress.ingress_gateway],
    }
    for uri in ({"prefix": f"{path}/"}, {"exact": path}):
        yield {
            "match": [{**match, "uri": uri}],
            "rewrite": {"uri": "/"},
            **_destination(source, front),
        }


def _route(source: Source, workload: Workload, outside: list[str], uri: JsonObject) -> JsonObject:
    settings = source.settings.ingress
    inside = make_cluster_host(source, source.name)
    matches = [
        {"authority": _authority(inside), "gateways": [settings.local_gateway, MESH], **uri},
        *(
            {"authority": _authority(host), "gateways": [settings.ingress_gateway], **uri}
            for host in outside
        ),
    ]
    return {"match": matches, **_destination(source, workload)}


def _destination(source: Source, workload: Workload) -> JsonObject:
    target = {"host": source.settings.ingress.backend_service, "port": {"number": 80}}
    host = {"Host": make_cluster_host(source, workload.name)}
    return {
        "headers": {"request": {"set": {**host, **identity_headers(source)}}},
        "route": [{"destination": target, "weight": 100}],
    }


def _authority(host: str) -> JsonObject:
    return {"regex": f"^{re.escape(host).replace(chr(92) + '-', '-')}{_PORT}$"}


def _outside_hosts(source: Source) -> list[str]:
    """The host that Knative gave to the front component, without the component's name."""
    if is_internal(source, KNATIVE_VISIBILITY):
        return []
    front = source.workload(Component.TRANSFORMER) or source.workload(Component.PREDICTOR)
    host = f"{source.name}.{source.namespace}.{source.config.ingress_domain}"
    status = (source.service.get("status") or {}).get("components") or {}
    if front is not None:
        given = urlsplit(str((status.get(front.component.value) or {}).get("url") or "")).hostname
        host = given.replace(f"-{front.component.value}", "", 1) if given else host
    if host == make_cluster_host(source, source.name):
        return []
    more = (
        f"{source.name}.{source.namespace}.{domain}"
        for domain in source.config.additional_ingress_domains
    )
    return [host, *more]
