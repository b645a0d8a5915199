"""Kill -9 at random: replicas, zygotes, and one launcher after the other."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sampan.platforms.local.backoff import BackOff
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.process import Zygote

Make = Callable[..., Any]

MODULE = "import time\ndef main(arguments):\n    time.sleep(3000)\n"

NAMES = tuple(f"r{number}" for number in range(8))


def carriers(state_dir: Path) -> dict[str, list[int]]:
    """Return which living processes hold each replica's lock."""
    found: dict[str, list[int]] = {name: [] for name in NAMES}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            links = {str(fd.readlink()) for fd in (entry / "fd").iterdir()}
        except OSError:
            continue
        for name in NAMES:
            if str(state_dir.resolve() / "replicas" / name / "lock") in links:
                found[name].append(int(entry.name))
    return found


async def faults(launcher: Launcher, dice: random.Random) -> None:
    """Kill a few replicas and now and then a zygote."""
    for _ in range(dice.randint(1, 6)):
        running = [s.pid for s in launcher.states() if s.running]
        zygotes = [c.pid for c in launcher._around.zygotes.connections()]
        pool = zygotes if dice.random() < 0.3 else running
        if pool:
            with suppress(ProcessLookupError):  # it has just been killed already
                os.kill(dice.choice(pool), signal.SIGKILL)
        await asyncio.sleep(dice.random() * 0.2)


async def settled(launcher: Launcher, state_dir: Path) -> None:
    """Wait until all are ready and each is held by one process.

    One that was killed a moment ago is still told to be ready, and held by none.
    """
    deadline = asyncio.get_running_loop().time() + 30
    while True:
        holders = carriers(state_dir)
        ready = all(state.ready for state in launcher.states())
        if ready and all(len(pids) == 1 for pids in holders.values()):
            return
        assert asyncio.get_running_loop().time() < deadline, (holders, launcher.states())
        await asyncio.sleep(0.05)


async def run(
    launch: Callable[..., Launcher], state_dir: Path, specs: list[Any], rounds: int
) -> None:
    """Let one launcher after the other take over, amid faults."""
    dice = random.Random(5)
    for _ in range(rounds):
        launcher = launch(back_off=BackOff(0.02, 0.1), zygote_idle_seconds=5.0)
        await launcher.adopt()
        for spec in specs:
            await launcher.start(spec)
        await faults(launcher, dice)
        if dice.random() < 0.5:
            await settled(launcher, state_dir)
        await launcher.close(stop_all=False)


@pytest.fixture
def specs(make: Make, tmp_path: Path) -> list[Any]:
    """Half plain commands, half forks of a zygote."""
    (tmp_path / "program.py").write_text(MODULE)
    zygote = Zygote(sys.executable, ("program",), "program:main")
    return [
        make(name, "sleep", "3000", zygote=zygote if number % 2 else None)
        for number, name in enumerate(NAMES)
    ]


async def test_a_few_rounds_leave_each_replica_once(
    launch: Callable[..., Launcher], state_dir: Path, specs: list[Any]
) -> None:
    await run(launch, state_dir, specs, 6)
    last = launch()
    await last.adopt()
    await last.close(stop_all=True)


@pytest.mark.soak
async def test_many_rounds_leave_each_replica_once(
    launch: Callable[..., Launcher], state_dir: Path, specs: list[Any]
) -> None:
    await run(launch, state_dir, specs, 150)
    last = launch()
    await last.adopt()
    await last.close(stop_all=True)
