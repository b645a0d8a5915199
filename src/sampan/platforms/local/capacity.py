"""How much a replica takes on at once, from a workload to the arguments of its server. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sampan.plan.pod_metadata import BATCHER, BATCHER_LATENCY, BATCHER_SIZE
from sampan.plan.types import Workload
from sampan.platforms.local.images import LocalCommand

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_FIELDS = ("containerConcurrency", "batcher")
_NOBODY = "the server that runs here has no argument for it, so it has no effect"


def make_capacity(workload: Workload) -> dict[str, str]:
    """Return what the service sets, by the names that `capacity_arguments` use."""
    annotations = (workload.template.get("metadata") or {}).get("annotations") or {}
    concurrency = workload.container_concurrency
    values = {
        "containerConcurrency": str(concurrency) if concurrency else None,
        "batcher": annotations.get(BATCHER),
        "maxBatchSize": annotations.get(BATCHER_SIZE),
        "maxLatency": annotations.get(BATCHER_LATENCY),
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def make_capacity_arguments(command: LocalCommand, capacity: Mapping[str, str]) -> list[str]:
    """Return the arguments whose value is set, filled in."""
    filled = []
    for argument in command.capacity_arguments:
        names = _PLACEHOLDER.findall(argument)
        if all(name in capacity for name in names):
            filled.append(_PLACEHOLDER.sub(lambda found: capacity[found[1]], argument))
    return filled


def capacity_warnings(
    workload: Workload, command: LocalCommand | None, root: str
) -> Iterator[tuple[str, str]]:
    """Yield each field that the server of this machine cannot be told of."""
    taken = {
        name
        for argument in (command.capacity_arguments if command else ())
        for name in _PLACEHOLDER.findall(argument)
    }
    capacity = make_capacity(workload)
    for name in _FIELDS:
        if name in capacity and name not in taken:
            yield f"{root}.{name}", _NOBODY
