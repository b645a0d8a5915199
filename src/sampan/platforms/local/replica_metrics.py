"""What replicas tell of themselves at `/metrics`, remembered as far back as queries reach.

Each series gets the labels that a cluster's Prometheus gives it: `namespace`, `deployment` and
`pod`. What a replica's devices do is there as well, by the names of DCGM's exporter.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from sampan.autoscaler.errors import MetricError
from sampan.autoscaler.exposition import Series, make_series, parse_samples
from sampan.autoscaler.queries import Asked
from sampan.autoscaler.query import LONGEST_RANGE
from sampan.autoscaler.query_value import Point, Told
from sampan.gateway.ask import Address, ask
from sampan.plan.observed import ObservedReplica

ANSWER_SECONDS = 5.0
LARGEST_BYTES = 16 << 20
_FAMILY = re.compile(r"^# TYPE (\S+)", re.MULTILINE)
_SLACK_SECONDS = 20.0
"""A range still has a value that was read a moment late."""
DEVICES = "DCGM_FI_"
"""How the names of what devices do begin."""

Sample: TypeAlias = tuple[Series, float]
FindPort: TypeAlias = Callable[[str, int], int]
"""Of a replica by its name; 0: its container has no such port (a runtime may be annotated for an
image whose metrics are apart, and serve them with its requests here)."""


class DeviceMetrics(Protocol):
    """Who tells what the devices of replicas do."""

    async def read(self, pids: Sequence[int]) -> Mapping[int, Sequence[Sample]]:
        """Return the samples of each replica's devices; raise MetricError without any device."""


class ReplicaMetrics:
    """What the replicas of each workload told lately."""

    def __init__(self, devices: DeviceMetrics, find_port: FindPort = lambda _, __: 0) -> None:
        """`find_port` tells at which port of this machine a port of a replica's container is."""
        self._devices = devices
        self._find_port = find_port
        self._told: dict[tuple[str, frozenset[str]], dict[Series, deque[Point]]] = {}
        self._read_at: dict[tuple[str, frozenset[str]], float] = {}
        self.known: dict[str, frozenset[str]] = {}
        """The names of all metrics that a workload's replicas told, to name the nearest one."""

    async def read(self, asked: Asked, names: Collection[str], seconds: float, now: float) -> Told:
        """Return the series of these metrics, new values included; raise MetricError.

        `seconds` is how far back the queries reach.
        """
        samples = await self._gather(asked, names)
        key = asked.workload, frozenset(names)
        self._read_at[key] = now
        self._forget(now)
        kept = self._told.get(key, {})
        told = {}
        for series, value in samples:
            points = told[series] = kept.get(series) or deque()
            points.append((now, value))
            while points[0][0] < now - seconds - _SLACK_SECONDS:
                points.popleft()
        self._told[key] = told  # what nobody tells any more is gone
        return told

    def _forget(self, now: float) -> None:
        """Forget workloads that nobody asks about any more."""
        for key, at in tuple(self._read_at.items()):
            if at < now - LONGEST_RANGE:
                del self._told[key], self._read_at[key]
        asked = {workload for workload, _ in self._read_at}
        self.known = {name: known for name, known in self.known.items() if name in asked}

    async def _gather(self, asked: Asked, names: Collection[str]) -> list[Sample]:
        devices = {name for name in names if name.startswith(DEVICES)}
        own = set(names) - devices
        found = await self._gather_devices(asked, devices) if devices else []
        return found + (await self._gather_own(asked, own) if own else [])

    async def _gather_devices(self, asked: Asked, names: set[str]) -> list[Sample]:
        found: list[Sample] = []
        told = await self._devices.read([r.pid for r in asked.replicas])
        for replica in asked.replicas:
            samples = (s for s in told.get(replica.pid, ()) if s[0].name in names)
            found += _labelled(samples, asked, replica)
        return found

    async def _gather_own(self, asked: Asked, names: set[str]) -> list[Sample]:
        ports = [self._find_port(r.name, asked.port) for r in asked.replicas]
        scraping = (_scrape(r, p, asked.path) for r, p in zip(asked.replicas, ports, strict=True))
        texts = await asyncio.gather(*scraping)
        families = (name for text in texts for name in _FAMILY.findall(text))
        self.known[asked.workload] = frozenset(families)
        found: list[Sample] = []
        for replica, text in zip(asked.replicas, texts, strict=True):
            samples = await asyncio.to_thread(_parse, text, names)
            found += _labelled(samples, asked, replica)
        return found


async def _scrape(replica: ObservedReplica, port: int, path: str) -> str:
    """Return what a replica tells, at `port` or (0) where it takes requests; raise MetricError."""
    host, _, own = replica.address.rpartition(":")
    where = f'replica "{replica.name}" tells no metrics at {path}'
    try:
        address = Address(host=host, port=port or int(own))
        answer = await ask(address, path, "localhost", ANSWER_SECONDS)
    except (OSError, ValueError) as error:
        raise MetricError(f"{where}: {error or 'no answer'}") from error
    if answer.status != 200:
        raise MetricError(
            f"{where}: it answers {answer.status}; where they are elsewhere, say so in the "
            'annotations "prometheus.kserve.io/path" and "prometheus.kserve.io/port"'
        )
    if len(answer.body) > LARGEST_BYTES:
        raise MetricError(f"{where} that could be read: {len(answer.body)} bytes are too many")
    return answer.body.decode("utf-8", "replace")


def _parse(text: str, names: Collection[str]) -> tuple[Sample, ...]:
    return tuple(parse_samples(text, names))


def _labelled(samples: Iterable[Sample], asked: Asked, replica: ObservedReplica) -> list[Sample]:
    namespace, _, deployment = asked.workload.partition("/")
    own = {"namespace": namespace, "deployment": deployment, "pod": replica.name}
    return [(make_series(s.name, {**dict(s.labels), **own}), value) for s, value in samples]
