"""Where the Services of workloads lead: EndpointSlices with the activators' addresses. Pure.

The port that a slice names is the workload's door; it is remembered nowhere else, so that it stays
whoever writes next.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.gateway.table import Endpoint
from sampan.machinery.registry import JsonObject
from sampan.plan.scaling import SAMPAN
from sampan.platforms.kubernetes.children import AUTOSCALER
from sampan.platforms.kubernetes.kinds import ENDPOINT_SLICES
from sampan.platforms.kubernetes.serverless_table import (
    ACTIVATOR,
    MANAGED_BY,
    SERVICE_NAME,
    Served,
    door_of,
    is_ours,
)

SLICE_SUFFIX = "-activator"


@dataclass(frozen=True, slots=True)
class Doors:
    """From which to which port (both included) doors are given out."""

    first: int = 20_000
    last: int = 32_000


def choose_doors(
    served: Iterable[Served], doors: Doors, known: Mapping[str, int] | None = None
) -> Mapping[str, int]:
    """Return the door of each workload by key: the one that it has, else the lowest free one.

    Of two that say that they have the same, as after a restored backup, only one keeps it: the one
    that is `known` to have it, so that nobody takes over requests of others by writing a slice. One
    that is not among `doors` is not kept. Those for which there is none are left out.
    """
    found: dict[str, int] = {}
    taken: set[int] = set()
    waiting = []
    known = known or {}
    for one in sorted(served, key=lambda one: known.get(one.key) != one.door):
        if doors.first <= one.door <= doors.last and one.door not in taken:
            found[one.key] = one.door
            taken.add(one.door)
        else:
            waiting.append(one.key)
    free = (port for port in range(doors.first, doors.last + 1) if port not in taken)
    return found | dict(zip(waiting, free, strict=False))


def make_slice(one: Served, port: int, names: Iterable[str], addresses: list[str]) -> JsonObject:
    """Return the slice that leads the ports of these names to a door at these addresses.

    It belongs to the Deployment, and goes with it.
    """
    metadata = one.deployment["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": one.name}
    labels = {SERVICE_NAME: one.name, MANAGED_BY: ACTIVATOR, AUTOSCALER: SAMPAN}
    ports = [{"name": name, "port": port, "protocol": "TCP"} for name in sorted(set(names))]
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": {
            "name": one.name + SLICE_SUFFIX,
            "namespace": one.namespace,
            "labels": labels,
            "ownerReferences": [{**owner, "uid": metadata["uid"]}],
        },
        "addressType": _family(addresses),
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
        "ports": ports,
    }


def diff_slices(
    wanted: Iterable[JsonObject], there: Iterable[JsonObject], unread: Iterable[str] = ()
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return the slices to write, and those of ours to delete. Those of workloads (by key) whose
    terms cannot be read now stay: with them would go what tells their doors.
    """
    ours = {_place(one): one for one in there if is_ours(one)}
    desired = {_place(one): one for one in wanted}
    kept = {(key.partition("/")[0], key.partition("/")[2] + SLICE_SUFFIX) for key in unread}
    writes = [one for place, one in desired.items() if not _same(one, ours.get(place))]
    gone = [one for place, one in ours.items() if place not in desired and place not in kept]
    return writes, gone


def select_addresses(
    slices: Iterable[JsonObject], namespace: str, service: str = ACTIVATOR
) -> list[str]:
    """Return the addresses at which activators are ready, of one family, in order."""
    found = sorted(set(_addresses(slices, namespace, service)))
    return [address for address in found if _family([address]) == _family(found)]


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where activators tell of themselves: those that serve, also on their way out, and others that
    are there. Beside one whose process has ended its Envoy may go on passing requests.
    """

    serving: frozenset[Endpoint] = frozenset()
    others: frozenset[Endpoint] = frozenset()


def select_peers(
    slices: Iterable[JsonObject], namespace: str, service: str = ACTIVATOR
) -> Whereabouts:
    """Return where activators are asked of what they see."""
    serving, there = set(), set()
    for one in _slices_of(slices, namespace, service):
        port = door_of(one)
        for endpoint in one.get("endpoints") or () if port else ():
            addresses = {Endpoint(str(address), port) for address in endpoint["addresses"]}
            there |= addresses
            conditions = endpoint.get("conditions") or {}
            if conditions.get("serving", conditions.get("ready")) is not False:
                serving |= addresses
    return Whereabouts(frozenset(serving), frozenset(there - serving))


def _addresses(slices: Iterable[JsonObject], namespace: str, service: str) -> Iterator[str]:
    for one in _slices_of(slices, namespace, service):
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                yield from map(str, endpoint["addresses"])


def _slices_of(slices: Iterable[JsonObject], namespace: str, service: str) -> Iterator[JsonObject]:
    for one in slices:
        metadata = one["metadata"]
        named = (metadata.get("labels") or {}).get(SERVICE_NAME)
        if (metadata["namespace"], named) == (namespace, service):
            yield one


def _family(addresses: list[str]) -> str:
    six = bool(addresses) and ipaddress.ip_address(addresses[0]).version == 6
    return "IPv6" if six else "IPv4"


def _place(one: Mapping[str, Any]) -> tuple[str, str]:
    return str(one["metadata"]["namespace"]), str(one["metadata"]["name"])


def _same(wanted: Mapping[str, Any], there: Mapping[str, Any] | None) -> bool:
    if there is None or door_of(wanted) != door_of(there) or _owner(wanted) != _owner(there):
        return False
    return all(_plain(wanted.get(k)) == _plain(there.get(k)) for k in ("endpoints", "ports"))


def _owner(one: Mapping[str, Any]) -> str:
    owners = one["metadata"].get("ownerReferences") or ()
    return next((str(owner.get("uid") or "") for owner in owners), "")


def _plain(items: Any) -> list[tuple[Any, ...]]:
    """What matters of endpoints and ports; a server adds fields of its own."""
    return sorted(
        (
            *(tuple(item.get("addresses") or ()), str(item.get("name") or "")),
            *(item.get("port") or 0, (item.get("conditions") or {}).get("ready") is not False),
        )
        for item in items or ()
    )
