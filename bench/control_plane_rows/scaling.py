"""What one service costs among many, and a start with many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median

from bench.control_plane_rows.daemons import FEW, MANY, fresh_folder, names, starting
from bench.control_plane_rows.stage import Stage, playing
from bench.row import Goal, Row, make_row
from bench.setting import Setting

BATCH = 100
SOME = 250


def reconcile(setting: Setting) -> Iterator[Row]:
    """CPU of one reconcile, and of one status write, at 1,000 services against at 100."""
    few = asyncio.run(_costs(setting, FEW))
    many = asyncio.run(_costs(setting, MANY))
    for number, what in enumerate(("one reconcile", "one reconcile that writes status")):
        ratios = [big[number] / median(f[number] for f in few) for big in many]
        told = f"{median(f[number] for f in few):.2f} ms of CPU at {FEW} services"
        name = f"{what} at {MANY} services against at {FEW}"
        yield make_row(name, "x", ratios, [], Goal(limit=1.3), note=told)


async def _costs(setting: Setting, count: int) -> list[tuple[float, float]]:
    """Return milliseconds of each round, without and with a change of status."""
    with fresh_folder() as folder:
        async with playing(folder) as stage:
            await stage.fill(folder / "iris", *names(count))
            await asyncio.sleep(2.0)  # what the start left to do
            return [
                (await _cpu(_same, stage, round_), await _cpu(_turned, stage, round_))
                for round_ in range(setting.rounds)
            ]


async def _cpu(work: Callable[[Stage, str], Awaitable[None]], stage: Stage, round_: int) -> float:
    everyone = names(FEW)
    began = time.process_time()
    for number in range(BATCH):
        await work(stage, everyone[(number + round_) % FEW])
    return 1000 * (time.process_time() - began) / BATCH


async def _same(stage: Stage, name: str) -> None:
    await stage.reconcile(name)


async def _turned(stage: Stage, name: str) -> None:
    """Lose a service's replica and find it again: two changes of status, two tables."""
    stage.turn(name)
    await stage.reconcile(name)
    stage.turn(name)
    await stage.reconcile(name)


def restart(setting: Setting) -> Iterator[Row]:
    """CPU of a start until each service has been planned, at 1,000 against at 250."""
    used: dict[int, list[float]] = {SOME: [], MANY: []}
    took: dict[int, list[float]] = {SOME: [], MANY: []}
    for count in (SOME, MANY):
        with fresh_folder() as folder:
            asyncio.run(_fill(folder, count))
            for _ in range(min(setting.rounds, 3)):
                with starting(setting, folder) as daemon:
                    used[count].append(daemon.cpu)
                    took[count].append(daemon.seconds)
    ratios = [many / median(used[SOME]) for many in used[MANY]]
    told = (
        f"{median(took[MANY]):.1f} s on the clock at {MANY}, {median(took[SOME]):.1f} s at {SOME}"
    )
    name = f"a start until all is planned, at {MANY} services against at {SOME}"
    yield make_row(name, "x", ratios, [], Goal(limit=4.4), note=told)


async def _fill(folder: Path, count: int) -> None:
    async with playing(folder) as stage:
        await stage.fill(folder / "iris", *names(count))
