"""A played cluster in this process, and the operator as a process beside it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.processes import Usage, usage_of
from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map
from tests.operator.played_cluster import PlayedCluster, played_cluster

QUIET_SECONDS = 2.0
LEAST_CPU = 0.05
"""Seconds of CPU in `QUIET_SECONDS` that a resting operator stays below: it renews its lease."""


class RunningOperator:
    """The operator's process."""

    def __init__(self, process: subprocess.Popen[bytes], cluster: PlayedCluster) -> None:
        self._process = process
        self._cluster = cluster

    def usage(self) -> Usage:
        """Return CPU and memory used so far."""
        return usage_of([self._process.pid])

    async def rest(self, seconds: float = 1800) -> Usage:
        """Wait until it neither computes nor asks; return what it has used by then."""
        end = time.monotonic() + seconds
        before, asked = self.usage(), -1
        while time.monotonic() < end:
            await asyncio.sleep(QUIET_SECONDS)
            now, calls = self.usage(), len(self._cluster.door.log)
            if calls == asked and now.cpu_seconds - before.cpu_seconds < LEAST_CPU:
                return before
            before, asked = now, calls
        raise TimeoutError(f"the operator did not come to rest in {seconds:.0f} s")

    async def stop(self) -> None:
        """End it, and wait until it has gone."""
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)


@asynccontextmanager
async def stage() -> AsyncIterator[PlayedCluster]:
    """A cluster with a runtime and a configuration; pods are ready at once."""
    with tempfile.TemporaryDirectory() as folder:
        async with played_cluster(Path(folder)) as cluster:
            await cluster.create(config_map(CONFIG), RUNTIME)
            yield cluster


@asynccontextmanager
async def operating(cluster: PlayedCluster) -> AsyncIterator[RunningOperator]:
    """The operator as `sampan operator` runs it, without webhooks."""
    command = [
        *(sys.executable, "-m", "sampan.app.operator", "--kubeconfig", str(cluster.kubeconfig)),
        *("--webhook-port", "0", "--health-port", "0"),
    ]
    process = await asyncio.to_thread(subprocess.Popen, command, stderr=subprocess.DEVNULL)
    running = RunningOperator(process, cluster)
    try:
        yield running
    finally:
        await running.stop()


def service(number: int) -> dict[str, Any]:
    """Return an InferenceService; a hundred share a namespace."""
    made: dict[str, Any] = json.loads(json.dumps(IRIS))
    made["metadata"] = {"name": f"iris-{number}", "namespace": f"team-{number // 100}"}
    return made
