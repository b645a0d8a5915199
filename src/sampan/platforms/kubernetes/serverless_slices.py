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


def choose_doors(served: Iterable[Served], doors: Doors) -> Mapping[str, int]:
    """Return the door of each workload by key: the one that it has, else the lowest free one.

    Two that have the same, as after a restored backup, do not keep it both. Those for which there
    is none are left out.
    """
    found: dict[str, int] = {}
    taken: set[int] = set()
    waiting = []
    for one in served:
        if one.door and one.door not in taken:
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
    wanted: Iterable[JsonObject], there: Iterable[JsonObject]
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return the slices to write, and those of ours to delete."""
    ours = {_place(one): one for one in there if is_ours(one)}
    desired = {_place(one): one for one in wanted}
    writes = [one for place, one in desired.items() if not _same(one, ours.get(place))]
    gone = [one for place, one in ours.items() if place not in desired]
    return writes, gone


def select_addresses(
    slices: Iterable[JsonObject], namespace: str, service: str = ACTIVATOR
) -> list[str]:
    """Return the addresses at which activators are ready, of one family, in order."""
    found = sorted(set(_addresses(slices, namespace, service)))
    return [address for address in found if _family([address]) == _family(found)]


def select_peers(
    slices: Iterable[JsonObject], namespace: str, service: str = ACTIVATOR
) -> frozenset[Endpoint]:
    """Return where activators tell of themselves: also those that are on their way out."""
    found = set()
    for one in _slices_of(slices, namespace, service):
        port = door_of(one)
        for endpoint in one.get("endpoints") or () if port else ():
            conditions = endpoint.get("conditions") or {}
            if conditions.get("serving", conditions.get("ready")) is not False:
                found |= {Endpoint(str(address), port) for address in endpoint["addresses"]}
    return frozenset(found)


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
    if there is None or door_of(wanted) != door_of(there):
        return False
    return all(_plain(wanted.get(k)) == _plain(there.get(k)) for k in ("endpoints", "ports"))


def _plain(items: Any) -> list[tuple[Any, ...]]:
    """What matters of endpoints and ports; a server adds fields of its own."""
    return sorted(
        (tuple(item.get("addresses") or ()), str(item.get("name") or ""), item.get("port") or 0)
        for item in items or ()
    )
