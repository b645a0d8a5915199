"""Whether requests from outside reach a service: `IngressReady` (KServe, Standard and Knative)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.inferenceservice.conditions import INGRESS_READY
from sampan.plan.types import Component
from sampan.platforms.kubernetes.hosts import VISIBILITY, is_internal
from sampan.platforms.kubernetes.kinds import HTTP_ROUTES, INGRESSES, VIRTUAL_SERVICES
from sampan.platforms.kubernetes.source import Source
from sampan.platforms.kubernetes.status.observed import ClusterObserved
from sampan.platforms.kubernetes.status.urls import select_front
from sampan.platforms.kubernetes.status.workloads import KNATIVE

_TRUE, _FALSE = ConditionStatus.TRUE, ConditionStatus.FALSE


def derive_ingress(
    source: Source, observed: ClusterObserved, components: tuple[Condition, ...], mode: str
) -> Condition:
    """Return the condition; `components` are those of the service, the predictor's first."""
    settings = source.settings.ingress
    if mode != KNATIVE and not has_routes(source):
        return Condition(INGRESS_READY, _TRUE)
    missing = next((c for c in components if c.status is not _TRUE), None)
    gateway = mode != KNATIVE and settings.gateway_api
    if missing is not None and not _stays_open(source, observed, mode):
        return _not_created(missing, mode, gateway=gateway)
    failure = observed.route_failure(source.name)
    if failure is not None:
        return Condition(INGRESS_READY, _FALSE, failure.reason, failure.message)
    if gateway:
        return _gateway_routes(source, observed, components)
    kind = VIRTUAL_SERVICES if mode == KNATIVE else INGRESSES
    if mode == KNATIVE and settings.disable_virtual_host:
        return Condition(INGRESS_READY, _TRUE)
    if observed.find(kind, source.name) is None:
        return Condition(INGRESS_READY, _FALSE, f"{kind.kind}NotCreated")
    return Condition(INGRESS_READY, _TRUE)


def has_routes(source: Source) -> bool:
    """Return whether a service of Standard mode is to be reached from outside."""
    return not (is_internal(source, VISIBILITY) or source.settings.ingress.disable_creation)


def _stays_open(source: Source, observed: ClusterObserved, mode: str) -> bool:
    """Whether a service is reached while a component is not ready: by the route that is there.

    In Knative mode the revision of before answers, if the component in front has had one.
    """
    settings = source.settings.ingress
    if mode != KNATIVE:
        return settings.gateway_api and observed.is_open(source.name)
    known = (source.service.get("status") or {}).get("components") or {}
    answers = bool((known.get(select_front(source).value) or {}).get("url"))
    return answers and (settings.disable_virtual_host or observed.is_open(source.name))


def _not_created(missing: Condition, mode: str, *, gateway: bool) -> Condition:
    name = missing.type.removesuffix("Ready")
    if gateway:
        text = f"{name} HTTPRoute not created"
        return Condition(INGRESS_READY, _FALSE, f"{name} Deployment NotReady", text)
    status = missing.status if mode == KNATIVE else _FALSE
    return Condition(INGRESS_READY, status, f"{name} ingress not created")


def _gateway_routes(
    source: Source, observed: ClusterObserved, components: Iterable[Condition]
) -> Condition:
    """Every route must be taken by its gateway: those of the components, then the service's own."""
    words = {f"{c.value.capitalize()}Ready": c for c in Component}
    names = [
        (f"{source.name}-{words[c.type].value}", words[c.type].value.capitalize())
        for c in components
    ]
    for name, spoken in (*names, (source.name, "TopLevel")):
        route = observed.find(HTTP_ROUTES, name)
        if route is None:
            text = f"{spoken} HTTPRoute not created"
            return Condition(INGRESS_READY, _FALSE, f"{spoken} Deployment NotReady", text)
        refused = _refused(route, spoken)
        if refused is not None:
            return refused
    return Condition(INGRESS_READY, _TRUE)


def _refused(route: Mapping[str, Any], spoken: str) -> Condition | None:
    parents = (route.get("status") or {}).get("parents") or ()
    if not parents:
        text = f"{spoken} HttpRouteNotReady"
        return Condition(INGRESS_READY, _FALSE, "ParentStatusNotAvailable", text)
    for parent in parents:
        for condition in parent.get("conditions") or ():
            if condition.get("status") == "False":
                reason, text = (
                    str(condition.get("reason") or ""),
                    str(condition.get("message") or ""),
                )
                return Condition(INGRESS_READY, _FALSE, reason, f"{spoken} {text}")
    return None
