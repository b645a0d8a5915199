"""Under which names clients reach a service.

Each service answers at the platform's own name (`iris.default.localhost`), at KServe's (the form
with dots, and the operator's domain template), at those of its components, and under a path that
needs no name resolution (KServe, Standard mode with the Gateway API). Its own names lead to the
transformer where there is one, else to the predictor; `:explain` leads to the explainer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api.config import Config
from sampan.plan.placeholders import PlaceholderError, make_metadata_root, render_text
from sampan.plan.service import component_name, component_spec, components_of, service_key
from sampan.plan.types import (
    Backend,
    Blocked,
    Component,
    ComponentRoute,
    Gateway,
    Route,
    ServiceKey,
)

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
    """Return the route of a service; `workload` is the predictor's."""
    key, present = service_key(service), components_of(service)
    names = {c: component_name(service, c) for c in present}
    backends = {c: (Backend(workload if c is Component.PREDICTOR else names[c]),) for c in present}
    try:
        own = tuple(_hosts(key.name, service, gateway, config))
        hosts = {c: tuple(_hosts(names[c], service, gateway, config)) for c in present}
    except PlaceholderError as error:
        text = f'domainTemplate "{config.domain_template}": {error}'
        return Routing(blocked=Blocked("InvalidDomainTemplate", text))
    wrong = _first_wrong((*own, *(host for found in hosts.values() for host in found)))
    if wrong is not None:
        return Routing(blocked=wrong)
    alone = len(present) == 1
    told = set(own)  # a template without the name gives one host to several; the first keeps it
    front = Component.TRANSFORMER if Component.TRANSFORMER in present else Component.PREDICTOR
    return Routing(
        Route(
            hosts=_each_once((*own, *(hosts[front] if alone else ()))),
            path_prefix=make_path_prefix(key),
            backends=backends[front],
            timeout_seconds=_timeout(service, front),
            components=tuple(
                ComponentRoute(c, _new(hosts[c], told), backends[c], _timeout(service, c))
                for c in (() if alone else present)
            ),
        )
    )


def make_plain_route(
    obj: Mapping[str, Any], workload: str, gateway: Gateway, config: Config
) -> Routing:
    """Return the route of an object that answers at its own name alone, by one workload."""
    key = service_key(obj)
    try:
        hosts = _each_once(tuple(_hosts(key.name, obj, gateway, config)))
    except PlaceholderError as error:
        text = f'domainTemplate "{config.domain_template}": {error}'
        return Routing(blocked=Blocked("InvalidDomainTemplate", text))
    timeout = obj["spec"].get("timeout")
    seconds = int(timeout) if timeout is not None else None
    route = Route(hosts, make_path_prefix(key), (Backend(workload),), seconds)
    return Routing(route, _first_wrong(hosts))


def _first_wrong(hosts: tuple[str, ...]) -> Blocked | None:
    wrong = next((host for host in hosts if not _HOST.fullmatch(host)), None)
    if wrong is None:
        return None
    text = (
        f'"{wrong}" is no host name; it is made of the service\'s name and namespace by the '
        "domain settings of inferenceservice-config, change those"
    )
    return Blocked("InvalidDomainTemplate", text)


def _each_once(hosts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(hosts))


def _new(hosts: tuple[str, ...], told: set[str]) -> tuple[str, ...]:
    """Return the hosts that nobody has yet, and note that they are taken."""
    found = tuple(host for host in _each_once(hosts) if host not in told)
    told.update(found)
    return found


def _timeout(service: Mapping[str, Any], component: Component) -> int | None:
    timeout = component_spec(service, component).get("timeout")
    return int(timeout) if timeout is not None else None


def _hosts(
    name: str, service: Mapping[str, Any], gateway: Gateway, config: Config
) -> Iterator[str]:
    namespace = service_key(service).namespace
    yield f"{name}.{namespace}.{gateway.domain}"
    for domain in (config.ingress_domain, *config.additional_ingress_domains):
        yield f"{name}.{namespace}.{domain}"
        root = make_metadata_root({**service["metadata"], "name": name, "namespace": namespace})
        yield render_text(config.domain_template, {**root, "IngressDomain": domain})


def make_tag_hosts(
    tag: str, base: str, service: Mapping[str, Any], gateway: Gateway, config: Config
) -> tuple[str, ...]:
    """Return the hosts that lead to one revision alone: `prev-iris-predictor.default.localhost`.

    A name that is too long for a host is left out.
    """
    found = _each_once(tuple(_hosts(f"{tag}-{base}", service, gateway, config)))
    return tuple(host for host in found if _HOST.fullmatch(host))


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
