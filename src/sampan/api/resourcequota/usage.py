"""What the objects of a namespace count against its quotas. Pure.

Objects count one by one (`count/configmaps`, `count/inferenceservices.serving.kserve.io`, and
`configmaps`, `secrets` by themselves). Replicas count as pods, with what their containers ask for;
of an InferenceService as many as it may grow to: `maxReplicas` where that is more than
`minReplicas`, so that a quota also bounds its autoscaling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sampan.machinery.quantity import Form, Quantity, QuantityError, parse_quantity
from sampan.machinery.registry import JsonObject

SERVICES = "inferenceservices.serving.kserve.io"
PODS = "pods"
COUNT = "count/"
OWN_NAMES = frozenset({"configmaps", "secrets"})
"""Resources that also count under their own name (Kubernetes, "Object count quota")."""

_COMPUTE = ("cpu", "memory")
_COMPONENTS = ("predictor", "transformer", "explainer")
_REPLICA_FIELDS = {"minReplicas", "maxReplicas"}


@dataclass(frozen=True, slots=True)
class Missing:
    """A container that asks for nothing of what its quota limits."""

    resource: str
    container: str


Amounts = dict[str, Quantity]
"""Amounts by the names that a quota uses: `pods`, `requests.memory`, `limits.nvidia.com/gpu`."""


def is_counted(name: str) -> bool:
    """Whether a name in `spec.hard` is one that is counted here."""
    if name == PODS or name in OWN_NAMES or name in _COMPUTE or name.startswith(COUNT):
        return True
    bound, _, resource = name.partition(".")
    return bound in ("requests", "limits") and (resource in _COMPUTE or "/" in resource)


def is_counted_by(resource: str, name: str) -> bool:
    """Whether objects of a resource count under this name of a quota."""
    if name.startswith(COUNT) or name in OWN_NAMES:
        return name.removeprefix(COUNT) == resource
    return resource == SERVICES


def derive_usage(resource: str, objects: Iterable[JsonObject]) -> Amounts:
    """Return what the objects of one resource use together."""
    used: Amounts = {}
    for obj in objects:
        used = add(used, usage_of(resource, obj))
    return used


def usage_of(resource: str, obj: JsonObject) -> Amounts:
    """Return what one object uses."""
    used = {COUNT + resource: _number(1)}
    if resource in OWN_NAMES:
        used[resource] = _number(1)
    if resource == SERVICES:
        for component in _components(obj):
            used = add(used, _usage_of_component(component))
    return used


def missing_amounts(obj: JsonObject, limited: Iterable[str]) -> list[Missing]:
    """Return the limits that a service's containers say nothing of, as Kubernetes insists."""
    found = []
    for name in limited:
        bound, _, resource = _bound(name)
        for component in _components(obj):
            found += [
                Missing(name, container.get("name") or "kserve-container")
                for container in _containers(component)
                if resource in _COMPUTE and _amount(container, bound, resource) is None
            ]
    return list(dict.fromkeys(found))


def add(one: Mapping[str, Quantity], other: Mapping[str, Quantity]) -> Amounts:
    """Return the sum of two usages."""
    return {name: _sum(one.get(name), other.get(name)) for name in dict.fromkeys((*one, *other))}


def _components(obj: JsonObject) -> list[JsonObject]:
    spec = obj.get("spec") or {}
    if (obj["metadata"].get("annotations") or {}).get("serving.kserve.io/stop") == "true":
        return []
    return [spec[name] for name in _COMPONENTS if spec.get(name)]


def _usage_of_component(component: JsonObject) -> Amounts:
    least = component.get("minReplicas")
    least = 1 if least is None else least
    replicas = max(int(least), int(component.get("maxReplicas") or 0))
    used = {PODS: _number(replicas)}
    for container in _containers(component):
        for name, amount in _amounts(container):
            used = add(used, {name: Quantity(amount.value * replicas, amount.form)})
    return used


def _containers(component: JsonObject) -> list[JsonObject]:
    """Return the model, in whatever field it stands, and the containers beside it."""
    listed = component.get("containers") or []
    models = [
        part
        for name, part in component.items()
        if isinstance(part, dict) and ("resources" in part or name == "model")
    ]
    return [*models, *listed]


def _amounts(container: JsonObject) -> Iterator[tuple[str, Quantity]]:
    resources = container.get("resources") or {}
    names = {*(resources.get("requests") or {}), *(resources.get("limits") or {})}
    for resource in sorted(names):
        for bound in ("requests", "limits"):
            amount = _amount(container, bound, resource)
            if amount is None:
                continue
            yield f"{bound}.{resource}", amount
            if bound == "requests" and resource in _COMPUTE:
                yield resource, amount


def _amount(container: JsonObject, bound: str, resource: str) -> Quantity | None:
    """Return what a container asks for; a request that is not given equals the limit."""
    resources: dict[str, Any] = container.get("resources") or {}
    given = (resources.get(bound) or {}).get(resource)
    if given is None and bound == "requests":
        given = (resources.get("limits") or {}).get(resource)
    try:
        return None if given is None else parse_quantity(given)
    except QuantityError:  # told by the schema
        return None


def _bound(name: str) -> tuple[str, str, str]:
    bound, dot, resource = name.partition(".")
    return (bound, dot, resource) if dot else ("requests", "", name)


def _number(amount: int) -> Quantity:
    return Quantity(Decimal(amount))


def _sum(one: Quantity | None, other: Quantity | None) -> Quantity:
    if one is None or other is None:
        return one or other or Quantity(Decimal(0), Form.DECIMAL)
    return Quantity(one.value + other.value, one.form)
