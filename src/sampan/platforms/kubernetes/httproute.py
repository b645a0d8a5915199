"""HTTPRoutes: who answers for which host, through a gateway of the Gateway API.

KServe, Standard mode with the Gateway API: a route for each component, and one for the service that
goes to the explainer for `:explain`, else to the transformer, else to the predictor. Canaries take
their shares while they are ready.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.machinery.registry import JsonObject
from sampan.plan.types import Component, Workload
from sampan.platforms.kubernetes.hosts import (
    component_route_name,
    identity_headers,
    kept_annotations,
    kept_labels,
    make_host,
    make_path,
)
from sampan.platforms.kubernetes.serverless import is_serverless, route_seconds
from sampan.platforms.kubernetes.service import make_ports
from sampan.platforms.kubernetes.source import Source, make_metadata

ANY_PATH = "^/.*$"
EXPLAIN_PATH = r"^/v1/models/[\w-]+:explain$"
_GRPC_PATH = r"^/inference\.GRPCInferenceService/.*$"
_GRPC_TYPE = "^application/grpc.*"
_DEFAULT_TIMEOUT = 60
_GROUP = "gateway.networking.k8s.io"


def render_httproutes(source: Source) -> Iterator[JsonObject]:
    """Yield a route for each component that is ready, and the service's own."""
    for component in Component:
        workload = source.routable(component)
        if workload is not None:
            name = component_route_name(source, component)
            rules = list(_rules(source, workload, ANY_PATH))
            yield _route(source, name, [make_host(source, name)], rules)
    if source.is_open:
        yield _top_route(source)


def _top_route(source: Source) -> JsonObject:
    front, explainer = source.front, source.routable(Component.EXPLAINER)
    hosts = [make_host(source, source.name)]
    hosts += [make_host(source, source.name, d) for d in source.config.additional_ingress_domains]
    rules: list[JsonObject] = []
    if explainer is not None:
        rules += _rules(source, explainer, EXPLAIN_PATH)
    if front is not None:
        rules += _rules(source, front, ANY_PATH)
    if path := make_path(source):
        hosts.append(source.config.ingress_domain)
        rules += _path_rules(source, path, explainer, front)
    return _route(source, source.name, hosts, rules)


def _path_rules(
    source: Source, path: str, explainer: Workload | None, front: Workload | None
) -> Iterator[JsonObject]:
    """The service under a path of the domain itself."""
    if explainer is not None:
        yield _rule(source, explainer, 80, _match(rf"{path}(/v1/models/[\w-]+:explain)$"))
    if front is not None:
        yield _rule(source, front, 80, _match(f"{path}/"))


def _route(source: Source, name: str, hosts: list[str], rules: list[JsonObject]) -> JsonObject:
    namespace, _, gateway = source.settings.ingress.kserve_gateway.partition("/")
    parent = {"group": _GROUP, "kind": "Gateway", "namespace": namespace, "name": gateway}
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": make_metadata(source, name, kept_labels(source), kept_annotations(source)),
        "spec": {"hostnames": hosts, "parentRefs": [parent], "rules": rules},
    }


def _rules(source: Source, workload: Workload, path: str) -> Iterator[JsonObject]:
    """gRPC by its own path where the Service has a port for each protocol."""
    ports = make_ports(workload)
    grpc = next((p["port"] for p in ports if "appProtocol" in p), None)
    rest = next((p["port"] for p in ports if "appProtocol" not in p), None)
    if grpc is not None and rest is not None:
        kind = {"type": "RegularExpression", "name": "content-type", "value": _GRPC_TYPE}
        yield _rule(source, workload, grpc, {**_match(_GRPC_PATH), "headers": [kind]})
        yield _rule(source, workload, rest, _match(path))
    else:
        yield _rule(source, workload, ports[0]["port"], _match(path))


def _rule(source: Source, workload: Workload, port: int, match: JsonObject) -> JsonObject:
    headers = [{"name": k, "value": v} for k, v in identity_headers(source).items()]
    modifier = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": headers}}
    timeout = workload.timeout_seconds
    seconds = _DEFAULT_TIMEOUT if timeout is None else timeout
    if is_serverless(workload):
        seconds = route_seconds(workload)
    timeouts = {"timeouts": {"request": f"{seconds}s"}}
    return {
        "matches": [match],
        "filters": [modifier],
        "backendRefs": list(_backends(source, workload, port)),
        **({} if source.settings.ingress.disable_route_timeout else timeouts),
    }


def _backends(source: Source, workload: Workload, port: int) -> Iterator[JsonObject]:
    """Only a predictor shares, with its ready canaries: they cannot stand in for a transformer."""
    shared = workload.component is Component.PREDICTOR and source.service["spec"].get("canary")
    canaries = tuple(source.ready_canaries()) if shared else ()
    left = 100 - sum(c.share for c in canaries) if shared else 1
    yield _backend(source, workload.name, port, left)
    for canary in canaries:
        yield _backend(source, canary.name, port, canary.share)


def _backend(source: Source, name: str, port: int, weight: int) -> JsonObject:
    return {
        "group": "",
        "kind": "Service",
        "name": name,
        "namespace": source.namespace,
        "port": port,
        "weight": weight,
    }


def _match(path: str) -> JsonObject:
    return {"path": {"type": "RegularExpression", "value": path}}
