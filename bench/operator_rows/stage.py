"""A played cluster in this process, and the operator as a process beside it."""

from __future__ import annotations

import asyncio
import itertools
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

from sampan.machinery.errors import NotFound
from sampan.machinery.store import Key
from sampan.operator.operator import LEASE
from sampan.platforms.kubernetes.kinds import LEASES

QUIET_SECONDS = 2.0
QUIET_LOOKS = 3
LEAST_CPU = 0.05
"""Seconds of CPU in `QUIET_SECONDS` that a resting operator stays below: it renews its lease."""


LEASE_KEY = Key(LEASES.id, "kserve", LEASE)
_NUMBERS = itertools.count()


class RunningOperator:
    """The operator's process."""

    def __init__(
        self, process: subprocess.Popen[bytes], cluster: PlayedCluster, identity: str
    ) -> None:
        self._process = process
        self._cluster = cluster
        self.identity = identity

    def usage(self) -> Usage:
        """Return CPU and memory used so far."""
        return usage_of([self._process.pid])

    async def rest(self, seconds: float = 1800) -> Usage:
        """Wait until it acts, and neither computes nor asks; return what it has used by then.

        On a busy machine a process that wants to compute looks quiet, too: it must not want to,
        and be quiet several times.
        """
        end = time.monotonic() + seconds
        before, asked, quiet = self.usage(), -1, 0
        while time.monotonic() < end:
            await asyncio.sleep(QUIET_SECONDS)
            now, calls = self.usage(), len(self._cluster.door.log)
            still = calls == asked and now.cpu_seconds - before.cpu_seconds < LEAST_CPU
            acts = still and await self._holds_the_lease()
            quiet = quiet + 1 if acts and not self._wants_to_run() else 0
            if quiet == QUIET_LOOKS:
                return before
            before, asked = now, calls
        raise TimeoutError(f"the operator did not come to rest in {seconds:.0f} s")

    async def _holds_the_lease(self) -> bool:
        try:
            lease = await self._cluster.store.get(LEASE_KEY)
        except NotFound:
            return False
        return bool(lease["spec"].get("holderIdentity") == self.identity)

    def _wants_to_run(self) -> bool:
        """Whether the kernel has it on a queue (proc(5), the state in `stat`)."""
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        return text.rpartition(")")[2].split()[0] == "R"

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
async def operating(cluster: PlayedCluster, *more: str) -> AsyncIterator[RunningOperator]:
    """The operator as `sampan operator` runs it, without webhooks unless `more` says so."""
    identity = f"bench-{next(_NUMBERS)}"
    command = [
        *(sys.executable, "-m", "sampan.app.operator", "--kubeconfig", str(cluster.kubeconfig)),
        *("--webhook-port=0", "--health-port=0", f"--identity={identity}", *more),
    ]
    process = await asyncio.to_thread(subprocess.Popen, command, stderr=subprocess.DEVNULL)
    running = RunningOperator(process, cluster, identity)
    try:
        yield running
    finally:
        await running.stop()


def service(number: int) -> dict[str, Any]:
    """Return an InferenceService; a hundred share a namespace."""
    made: dict[str, Any] = json.loads(json.dumps(IRIS))
    made["metadata"] = {"name": f"iris-{number}", "namespace": f"team-{number // 100}"}
    return made
