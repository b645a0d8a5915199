"""Under which names clients reach a service.

Each service answers at the platform's own name (`iris.default.localhost`), at KServe's (both the
form with dots and the one of Standard mode's domain template), at those of its predictor, and under
a path that needs no name resolution (KServe, Standard ingress).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.api.config import Config
from sampan.plan.service import component_name, component_spec, service_key
from sampan.plan.types import Backend, Component, Gateway, Route, ServiceKey

_DEFAULT_PORTS = {"http": 80, "https": 443}


def make_route(
    service: Mapping[str, Any], workload: str, gateway: Gateway, config: Config
) -> Route:
    """Return the route of a service whose every request goes to one workload."""
    key = service_key(service)
    names = (key.name, component_name(service, Component.PREDICTOR))
    timeout = component_spec(service, Component.PREDICTOR).get("timeout")
    return Route(
        hosts=tuple(
            host for name in names for host in _hosts(name, key.namespace, gateway, config)
        ),
        path_prefix=make_path_prefix(key),
        backends=(Backend(workload),),
        timeout_seconds=int(timeout) if timeout is not None else None,
    )


def _hosts(name: str, namespace: str, gateway: Gateway, config: Config) -> tuple[str, ...]:
    hosts = (
        f"{name}.{namespace}.{gateway.domain}",
        f"{name}.{namespace}.{config.ingress_domain}",
        f"{name}-{namespace}.{config.ingress_domain}",
    )
    return tuple(dict.fromkeys(hosts))


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
