"""Ending what a daemon that was killed left serving: found by its records, never by guessing."""

from __future__ import annotations

import asyncio

from sampan.app.daemon_lock import DaemonLock
from sampan.app.paths import Paths
from sampan.gateway.envoy import stop_left_behind
from sampan.machinery.clock import SystemClock
from sampan.plan.types import ServiceKey
from sampan.platforms.local.launcher import Launcher


def stop_orphans(paths: Paths) -> int:
    """Stop the replicas and the gateway of a daemon that is gone; return how many there were."""
    if not paths.state.exists():
        return 0
    lock = DaemonLock(paths.lock_file)
    lock.acquire()
    try:
        return asyncio.run(_stop_all(paths))
    finally:
        lock.release()


async def _stop_all(paths: Paths) -> int:
    # In the order of a daemon's own end: requests end at the gateway before the replicas go.
    gateway = await stop_left_behind(paths.state / "gateway")
    launcher = Launcher(paths.state, SystemClock(), _nobody_listens)
    states = await launcher.adopt()
    await launcher.close(stop_all=True)
    return sum(state.running for state in states) + int(gateway)


def _nobody_listens(_service: ServiceKey) -> None:
    """Take a change that no controller is there to act on."""
