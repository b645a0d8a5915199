"""The usage of replicas as the API server's source of `kubectl top`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sampan.apiserver.pod_metrics import make_pod_metrics
from sampan.machinery.clock import Clock
from sampan.machinery.errors import ApiError
from sampan.machinery.registry import JsonObject
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.pods import make_pod
from sampan.platforms.local.usage import PROC, observe_usage

WINDOW_SECONDS = 0.5
"""Between two looks at the CPU time: short enough for who waits, fifty of the kernel's ticks."""


class UsageUnknown(ApiError):
    """This system does not tell what a process uses."""

    code, reason = 503, "ServiceUnavailable"


class ReplicaUsage:
    """Implements `sampan.apiserver.pod_metrics.MetricsSource`; measures only when asked."""

    def __init__(self, launcher: Launcher, clock: Clock) -> None:
        self._launcher = launcher
        self._clock = clock

    async def metrics(self) -> Iterable[JsonObject]:
        """Return the metrics of every replica that runs, measured over half a second."""
        if not PROC.joinpath("self/stat").exists():
            raise UsageUnknown('what a process uses is read from "/proc", which is not here')
        states = [state for state in self._launcher.states() if state.running]
        pids = [state.pid for state in states]
        before, start = await asyncio.to_thread(observe_usage, pids), self._clock.now()
        await self._clock.sleep(WINDOW_SECONDS)
        after, end = await asyncio.to_thread(observe_usage, pids), self._clock.now()
        found = []
        for state in states:
            if state.pid in before and state.pid in after:
                spent = after[state.pid].cpu_seconds - before[state.pid].cpu_seconds
                cores = max(spent, 0.0) / (end - start)
                memory = after[state.pid].memory_bytes
                found.append(make_pod_metrics(make_pod(state), cores, memory, (start, end)))
        return found
