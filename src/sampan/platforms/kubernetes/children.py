"""From the objects that are there to those that should be: what to apply, take over and delete.

Server-side apply makes an object what the plan says and leaves other managers' fields alone; what
is equal already costs no call. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sampan.machinery.errors import Invalid
from sampan.machinery.field_sets import FieldPath, FieldSet, fields_of, keyed_items, path_text
from sampan.machinery.managed_fields import APPLY, UPDATE, owned_part, read_managers
from sampan.machinery.patch.merge_keys import ATOMIC_MAPS
from sampan.machinery.quantity import QuantityError, parse_quantity
from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.kinds import CONFIG_MAPS, KNATIVE_SERVICES, kind_of

AUTOSCALER = "serving.sampan.dev/autoscaler"
"""The label of what the activator follows, with the value `sampan`: Deployments, and Services with
their EndpointSlices (`sampan.platforms.kubernetes.serverless`)."""

MANAGER = "sampan-operator"
"""Our name in `managedFields`."""

FORMER_MANAGERS = frozenset({"manager", "kserve-controller-manager"})
"""KServe's controller writes under the name of its binary."""

ChildKey: TypeAlias = tuple[str, str, str]
"""apiVersion, kind, name; all are of their owner's namespace."""

_REPLICAS = fields_of({"spec": {"replicas": 1}})

# Quantities are written by the server in its own way ("1000m" as "1").
_QUANTITIES = frozenset({"limits", "requests", "averageValue", "sizeLimit", "capacity"})


@dataclass(frozen=True, slots=True)
class ApplyChild:
    """Apply an object as it should be. `takes_over`: its fields were KServe's controller's."""

    obj: JsonObject
    takes_over: bool = False


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Delete an object that is not rendered any more, and no other one of its name."""

    obj: JsonObject


@dataclass(frozen=True, slots=True)
class Occupied:
    """A name that is taken by an object of somebody else, which is left alone."""

    obj: JsonObject
    message: str


ChildStep: TypeAlias = ApplyChild | DeleteChild | Occupied


def child_key(obj: Mapping[str, Any]) -> ChildKey:
    """Return what tells an object from the others of its owner."""
    return str(obj["apiVersion"]), str(obj["kind"]), str(obj["metadata"]["name"])


def diff_children(
    desired: Iterable[JsonObject], live: Mapping[ChildKey, JsonObject], owner: Mapping[str, Any]
) -> tuple[ChildStep, ...]:
    """Return the steps from `live`, the objects of these names and those that `owner` controls.

    What is on its way out is left alone until it has gone.
    """
    steps: list[ChildStep] = []
    wanted = {child_key(obj): obj for obj in desired}
    uid = str(owner["metadata"].get("uid", ""))
    for key, obj in wanted.items():
        found = live.get(key)
        if found is None:
            steps.append(ApplyChild(obj))
        elif found["metadata"].get("deletionTimestamp"):
            continue
        elif _controller(found) != uid:
            steps.append(Occupied(found, _occupied(found)))
        elif changes_kind(obj, found):
            steps.append(DeleteChild(found))
        elif needs_apply(settled := settle(obj, found), found):
            steps.append(ApplyChild(settled, takes_over=is_former(found)))
    for key, found in live.items():
        gone = found["metadata"].get("deletionTimestamp")
        if key not in wanted and _controller(found) == uid and not gone:
            steps.append(DeleteChild(found))
    return tuple(steps)


def changes_kind(desired: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Return whether an object must be made anew: a Service that leads to the activator has no
    selector, and where one is taken off or put on, what was written of its endpoints before would
    stay. With the Service it goes.
    """
    if (desired.get("apiVersion"), desired.get("kind")) != ("v1", "Service"):
        return False
    marks = [AUTOSCALER in (obj["metadata"].get("labels") or {}) for obj in (desired, live)]
    return marks[0] != marks[1]


def settle(desired: JsonObject, live: Mapping[str, Any]) -> JsonObject:
    """Return what can still be asked of an object that is there.

    A Service's address cannot be changed (KServe keeps it too), and the list of models of a
    multi-model service belongs to its TrainedModels. A number of replicas that was ours, and is to
    be an autoscaler's, stays until that has written one: what is applied no more by its only owner
    goes, and the Deployment would fall to one replica (Kubernetes, Server-Side Apply, "Transferring
    ownership").
    """
    kind = kind_of(desired).resource
    if kind.id == CONFIG_MAPS.id:
        return {**desired, "data": live.get("data") or desired.get("data")}
    spec = desired.get("spec") or {}
    if kind.kind == "Service" and "clusterIP" in spec:
        address = (live.get("spec") or {}).get("clusterIP")
        return {**desired, "spec": {**spec, "clusterIP": address or spec["clusterIP"]}}
    if kind.kind == "Deployment" and "replicas" not in spec and _leaves_asleep(desired, live):
        return {**desired, "spec": {**spec, "replicas": 1}}
    if kind.kind == "Deployment" and "replicas" not in spec and _is_ours_alone(live, _REPLICAS):
        count = live["spec"]["replicas"]
        if count > 1:  # of none an autoscaler would never make one
            return {**desired, "spec": {**spec, "replicas": count}}
    return desired


def _leaves_asleep(desired: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Return whether a Deployment that sleeps is not the activator's any more: no other autoscaler
    makes one of none (Kubernetes, HorizontalPodAutoscaler, "Implicit maintenance-mode
    deactivation").
    """
    marks = [AUTOSCALER in (obj["metadata"].get("labels") or {}) for obj in (desired, live)]
    return marks == [False, True] and (live.get("spec") or {}).get("replicas") == 0


def _is_ours_alone(live: Mapping[str, Any], fields: FieldSet) -> bool:
    """Return whether nobody else wrote or applied these fields, and we did."""
    owners = [m for m, owned in read_managers(live).items() if fields & owned.fields]
    return [(m.name, m.operation) for m in owners] == [(MANAGER, APPLY)]


def needs_apply(desired: JsonObject, live: Mapping[str, Any]) -> bool:
    """Return whether an object lacks what it should have, or has what we once gave it and do not
    want any more, or is still another controller's.
    """
    managers = read_managers(live)
    ours = [o.fields for m, o in managers.items() if (m.name, m.operation) == (MANAGER, APPLY)]
    if not ours or is_former(live):
        return True
    mine = fields_of(owned_part(desired, "", split_status=True))
    return bool(ours[0] - mine) or not is_within(desired, live)


def is_former(live: Mapping[str, Any]) -> bool:
    """Return whether KServe's controller owns fields of an object."""
    return any(_is_former(entry) for entry in live["metadata"].get("managedFields") or ())


def find_overwritten(desired: JsonObject, live: Mapping[str, Any]) -> tuple[str, str]:
    """Return a field of ours that another manager changed since, and its name; "" for none.

    Whoever changes a field by hand becomes its owner, and takes it from us.
    """
    managers = read_managers(live)
    ours = [o.fields for m, o in managers.items() if (m.name, m.operation) == (MANAGER, APPLY)]
    if not ours:
        return "", ""
    lost = fields_of(owned_part(desired, "", split_status=True)) - ours[0]
    found: list[tuple[FieldPath, str]] = sorted(
        (path, manager.name)
        for manager, owned in managers.items()
        if manager.name not in FORMER_MANAGERS and not manager.subresource
        for path in owned.fields & lost
    )
    return (path_text(found[0][0]).lstrip("."), found[0][1]) if found else ("", "")


def make_takeover(live: Mapping[str, Any]) -> tuple[JsonObject, ...]:
    """Return the JSON patch by which the fields of KServe's controller become nobody's.

    Whatever the plan still wants we own by then. What it does not want stays as it is, for who
    wrote it is not known.
    """
    entries = live["metadata"].get("managedFields") or []
    kept = [entry for entry in entries if not _is_former(entry)]
    version = live["metadata"]["resourceVersion"]
    return (
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/metadata/managedFields", "value": kept},
    )


def _is_former(entry: Mapping[str, Any]) -> bool:
    whole = entry.get("operation") == UPDATE and not entry.get("subresource")
    return whole and entry.get("manager") in FORMER_MANAGERS


def is_within(desired: Any, live: Any, name: str = "") -> bool:
    """Return whether everything that is desired is so; a server adds defaults of its own.

    An empty value is the same as none: Go leaves it out. Items of a list stand in their order.
    """
    if isinstance(desired, dict):
        held = live if isinstance(live, dict) else {}
        if name in ATOMIC_MAPS and held.keys() - desired.keys():
            return False
        if name in _QUANTITIES and all(not isinstance(v, dict | list) for v in desired.values()):
            return all(_same_quantity(v, held.get(k)) for k, v in desired.items())
        return (live is not None or _is_empty(desired)) and all(
            is_within(v, held.get(k), k) for k, v in desired.items() if k != "creationTimestamp"
        )
    if isinstance(desired, list):
        return _is_list_within(desired, live if isinstance(live, list) else [], name)
    if name in _QUANTITIES:
        return _same_quantity(desired, live)
    return desired == live or (live is None and _is_empty(desired))


def _is_list_within(desired: list[Any], live: list[Any], name: str) -> bool:
    """Items that are told apart by keys may stand beside others' items; any other list is whole."""
    wanted, there = keyed_items(name, desired), keyed_items(name, live)
    if wanted and there is not None:
        return all(is_within(item, there.get(element)) for element, item in wanted.items())
    same_length = len(desired) == len(live)
    return same_length and all(is_within(d, h) for d, h in zip(desired, live, strict=True))


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(v) for v in value.values())
    return value is None or value == "" or value is False or value == []


def _same_quantity(one: Any, other: Any) -> bool:
    if one == other:
        return True
    try:
        return parse_quantity(one) == parse_quantity(other)
    except (QuantityError, Invalid):
        return False


def _controller(obj: Mapping[str, Any]) -> str:
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((str(o.get("uid", "")) for o in owners if o.get("controller")), "")


def _occupied(obj: JsonObject) -> str:
    name, kind = obj["metadata"]["name"], obj["kind"]
    owners = [o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")]
    whose = f'{owners[0].get("kind")} "{owners[0].get("name")}"' if owners else "no controller"
    what = "Knative Service" if obj["apiVersion"] == KNATIVE_SERVICES.api_version else kind
    return (
        f'{what} "{name}" is there and belongs to {whose}; delete it, or give this service '
        "another name"
    )
