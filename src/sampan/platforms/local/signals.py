"""What this machine tells an autoscaler: traffic, use of CPU and memory, and how much room is left.

Implements `sampan.controllers.autoscaling.Signals`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sampan.autoscaler.outcome import Room
from sampan.autoscaler.queries import Asked, Readings
from sampan.autoscaler.signal import Traffic
from sampan.gateway.errors import GatewayError
from sampan.gateway.traffic import ClusterTraffic
from sampan.machinery.clock import Clock
from sampan.platforms.local.counted_door import OwnRequests
from sampan.platforms.local.memory_limit import show_bytes
from sampan.platforms.local.metric_readings import MetricReadings
from sampan.platforms.local.room import Memory, count_fitting, observe_memory
from sampan.platforms.local.usage import observe_usage

log = logging.getLogger(__name__)

_GRPC = "/grpc"
REPLICAS_A_CORE = 2
"""Replicas of a workload a core at most, where nothing is known of the memory."""
_FORGET_SECONDS = 60.0
"""A look at a process is no beginning of an average after so long."""


class ClusterReader(Protocol):
    """What is needed of a gateway (`sampan.gateway.traffic.TrafficReader`)."""

    async def read(self) -> Mapping[str, ClusterTraffic]:
        """Return the traffic of every cluster; raise GatewayError."""


class LocalSignals:
    """The signals of this machine. `own` are our own requests, by workload; `readings` answers
    what is asked of metrics.
    """

    def __init__(
        self,
        reader: ClusterReader,
        own: Mapping[str, OwnRequests],
        clock: Clock,
        readings: MetricReadings,
        memory: Callable[[], Memory | None] = observe_memory,
    ) -> None:
        self._reader = reader
        self._own = own
        self._clock = clock
        self._observe_memory = memory
        self._readings = readings
        self._counted: dict[str, tuple[int, int]] = {}
        self._looks: dict[int, tuple[float, float]] = {}

    async def traffic(self) -> Mapping[str, Traffic] | None:
        """Return the requests of each workload that was ever asked, without our own."""
        try:
            clusters = await self._reader.read()
        except GatewayError as error:
            log.debug("no traffic is known: %s", error.message)
            return None
        told = make_workload_traffic(clusters)
        return {name: self._without_own(name, traffic) for name, traffic in told.items()}

    def _without_own(self, workload: str, told: Traffic) -> Traffic:
        """Take our own requests off, and what an Envoy that is gone has counted on."""
        last, base = self._counted.get(workload, (0, 0))
        base += last if told.total < last else 0
        self._counted[workload] = (told.total, base)
        own = self._own.get(workload, OwnRequests())
        return Traffic(max(0, told.active - own.active), base + told.total - own.total)

    async def use(self, pids: Sequence[int]) -> Mapping[str, float]:
        """Return the average use of these replicas: cores since the last look, bytes now."""
        usages, now = await asyncio.to_thread(observe_usage, pids), self._clock.now()
        cores = []
        for pid, usage in usages.items():
            before = self._looks.get(pid)
            if before and now > before[0]:
                cores.append(max(0.0, usage.cpu_seconds - before[1]) / (now - before[0]))
            self._looks[pid] = (now, usage.cpu_seconds)
        self._looks = {
            pid: look for pid, look in self._looks.items() if now - look[0] < _FORGET_SECONDS
        }
        if not usages:
            return {}
        used = {"memory": sum(u.memory_bytes for u in usages.values()) / len(usages)}
        return used | ({"cpu": sum(cores) / len(cores)} if cores else {})

    async def readings(self, asked: Asked) -> Readings:
        """Return what queries come to."""
        return await self._readings.read(asked)

    async def room(self, pids: Sequence[int]) -> Room | None:
        """Return how many replicas like these the machine holds; None where they have just ended.

        A system that does not tell its memory is not let run as many as a flood would ask for.
        """
        usages, memory = await asyncio.to_thread(observe_usage, pids), self._observe_memory()
        if memory is None:
            fitting = REPLICAS_A_CORE * (os.cpu_count() or 1)
            return Room(fitting, "this system does not tell its free memory; set maxReplicas")
        if not usages:
            return None
        each = max(usage.memory_bytes for usage in usages.values())
        because = (
            f"one takes {show_bytes(each)} of memory and {show_bytes(memory.available)} are free"
        )
        return Room(count_fitting(memory, each, len(usages)), because)


def make_workload_traffic(clusters: Mapping[str, ClusterTraffic]) -> Mapping[str, Traffic]:
    """Return the traffic by workload, REST and gRPC together. Pure."""
    found: dict[str, Traffic] = {}
    for name, told in clusters.items():
        workload = name.removesuffix(_GRPC)
        before = found.get(workload, Traffic(0, 0))
        found[workload] = Traffic(before.active + told.active, before.total + told.total)
    return found
