"""Under which names clients reach a service.

Each service answers at the platform's own name (`iris.default.localhost`), at KServe's (the form
with dots, and the operator's domain template), at those of its predictor, and under a path that
needs no name resolution (KServe, Standard ingress).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api.config import Config
from sampan.plan.placeholders import PlaceholderError, make_metadata_root, render_text
from sampan.plan.service import component_name, component_spec, service_key
from sampan.plan.types import Backend, Blocked, Component, Gateway, Route, ServiceKey

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Routing:
    """A service's route, or why it cannot have the names that are configured."""

    route: Route | None = None
    blocked: Blocked | None = None


def make_route(
    service: Mapping[str, Any], workload: str, gateway: Gateway, config: Config
) -> Routing:
    """Return the route of a service whose every request goes to one workload."""
    key = service_key(service)
    names = (key.name, component_name(service, Component.PREDICTOR))
    try:
        hosts = dict.fromkeys(
            host for name in names for host in _hosts(name, service, gateway, config)
        )
    except PlaceholderError as error:
        text = f'domainTemplate "{config.domain_template}": {error}'
        return Routing(blocked=Blocked("InvalidDomainTemplate", text))
    wrong = next((host for host in hosts if not _HOST.fullmatch(host)), None)
    if wrong is not None:
        text = (
            f'"{wrong}" is no host name; it is made of the service\'s name and namespace by the '
            "domain settings of inferenceservice-config, change those"
        )
        return Routing(blocked=Blocked("InvalidDomainTemplate", text))
    timeout = component_spec(service, Component.PREDICTOR).get("timeout")
    return Routing(
        Route(
            hosts=tuple(hosts),
            path_prefix=make_path_prefix(key),
            backends=(Backend(workload),),
            timeout_seconds=int(timeout) if timeout is not None else None,
        )
    )


def _hosts(
    name: str, service: Mapping[str, Any], gateway: Gateway, config: Config
) -> Iterator[str]:
    namespace = service_key(service).namespace
    yield f"{name}.{namespace}.{gateway.domain}"
    for domain in (config.ingress_domain, *config.additional_ingress_domains):
        yield f"{name}.{namespace}.{domain}"
        root = make_metadata_root({**service["metadata"], "name": name, "namespace": namespace})
        yield render_text(config.domain_template, {**root, "IngressDomain": domain})


def make_path_prefix(key: ServiceKey) -> str:
    """Return the path under which a service answers at any host name."""
    return f"/serving/{key.namespace}/{key.name}"


def make_url(name: str, namespace: str, gateway: Gateway) -> str:
    """Return the URL of a service or component by its host name."""
    return f"{gateway.scheme}://{name}.{namespace}.{gateway.domain}{_port(gateway)}"


def make_address(key: ServiceKey, gateway: Gateway) -> str:
    """Return the URL that needs no name resolution, for callers on this platform."""
    return f"{gateway.scheme}://{gateway.domain}{_port(gateway)}{make_path_prefix(key)}"


def _port(gateway: Gateway) -> str:
    return "" if _DEFAULT_PORTS.get(gateway.scheme) == gateway.port else f":{gateway.port}"
