"""Rules about routes, gateways, groups and the scheduler (upstream's webhook, in its words)."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.llminferenceservice.review import invalid, required, router
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject

_HTTP = "spec.router.route.http"
_REFS, _SPEC = f"{_HTTP}.refs", f"{_HTTP}.spec"
_GATEWAY = "spec.router.gateway"
_ROUTE = "spec.router.route"
_SCHEDULER = "spec.router.scheduler"


def routes_one_way(service: JsonObject) -> Iterator[FieldError]:
    """Routes are named or written, and go through gateways that fit."""
    way = router(service)
    http = (way.get("route") or {}).get("http")
    if http is None:
        return
    refs, spec, gateway = http.get("refs"), http.get("spec"), way.get("gateway")
    if refs and spec is not None:
        yield invalid(
            _HTTP,
            http,
            f"unsupported configuration: cannot use both custom HTTPRoute refs ('{_REFS}') and an "
            f"inline route spec ('{_SPEC}'); choose one",
        )
    if refs and gateway is not None and not gateway.get("refs"):
        yield invalid(
            _REFS,
            refs,
            f"unsupported configuration: custom HTTP routes ('{_REFS}') cannot be used with a "
            f"managed gateway ('{_GATEWAY}'); either remove '{_REFS}' or set '{_GATEWAY}.refs'",
        )
    if _parents_are_said_twice(service) and not _parents_agree(service):
        yield invalid(
            _SPEC,
            spec,
            f"unsupported configuration: managed HTTP route spec ('{_SPEC}') has parentRefs that "
            f"conflict with custom gateway refs ('{_GATEWAY}.refs'); either remove "
            f"'{_GATEWAY}.refs' or '{_SPEC}.parentRefs'",
        )


def router_warnings(service: JsonObject) -> Iterator[str]:
    """Yield where something is said twice."""
    if _parents_are_said_twice(service) and _parents_agree(service):
        yield (
            f"{_SPEC}.parentRefs can be omitted when {_GATEWAY}.refs is set; parentRefs will be "
            "derived automatically from gateway refs"
        )


def _parents(service: JsonObject) -> tuple[list[JsonObject], list[JsonObject]]:
    way = router(service)
    spec = ((way.get("route") or {}).get("http") or {}).get("spec") or {}
    return spec.get("parentRefs") or [], (way.get("gateway") or {}).get("refs") or []


def _parents_are_said_twice(service: JsonObject) -> bool:
    return all(_parents(service))


def _parents_agree(service: JsonObject) -> bool:
    """Whether both name the same gateways and listeners, in whatever order."""
    fields = ("namespace", "name", "sectionName")
    mine, theirs = (
        sorted(tuple(ref.get(field) or "" for field in fields) for ref in refs)
        for refs in _parents(service)
    )
    return mine == theirs


def shares_traffic_in_a_group(service: JsonObject) -> Iterator[FieldError]:
    """A group needs a weight, and routes that the controller makes."""
    way = router(service)
    route = way.get("route") or {}
    group, weight = route.get("group"), route.get("weight")
    if group is None and weight is None:
        return
    if way.get("ingress") is not None:
        text = (
            "traffic splitting requires Gateway API routing; the controller manages HTTPRoutes, "
            "not Ingress resources"
        )
        yield invalid(f"{_ROUTE}.group", group or "", text)
    elif group is None:
        yield required(f"{_ROUTE}.group", "weight requires group")
    elif weight is None:
        yield required(f"{_ROUTE}.weight", "group requires weight")
    elif (route.get("http") or {}).get("refs"):
        text = (
            "traffic splitting cannot be used with custom HTTPRoute refs; controller-managed "
            "routes (route.http.spec or route.http: {}) are required"
        )
        yield invalid(f"{_ROUTE}.group", group, text)


def runs_a_scheduler(service: JsonObject) -> Iterator[FieldError]:
    """There is at least one scheduler."""
    replicas = (router(service).get("scheduler") or {}).get("replicas")
    if replicas is not None and replicas <= 0:
        text = "scheduler replicas must be greater than zero"
        yield invalid(f"{_SCHEDULER}.replicas", replicas, text)


def configures_the_scheduler_once(service: JsonObject) -> Iterator[FieldError]:
    """A scheduler's configuration is written or named."""
    config = (router(service).get("scheduler") or {}).get("config")
    if config is None:
        return
    path = f"{_SCHEDULER}.config"
    inline, ref = config.get("inline"), config.get("ref")
    if inline is None and ref is None:
        yield invalid(path, config, "either inline or ref is required")
    if inline is not None and ref is not None:
        text = "both inline and ref are set, either specify inline or ref"
        yield invalid(path, config, text)
    if inline == {}:
        yield invalid(f"{path}.inline", inline, "inline configuration is invalid")
    if ref is not None and not ref.get("name"):
        yield invalid(f"{path}.ref.name", ref, "name is empty")
