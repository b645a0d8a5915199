"""Thousands of services at rest: a start among them, a look at each, and what they take."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass

from bench.operator_rows.stage import RunningOperator, operating, service, stage
from bench.progress import note
from bench.row import Goal, Row, make_row
from bench.setting import Setting
from tests.operator.played_cluster import PlayedCluster

from sampan.machinery.store import Key

MANY = int(os.environ.get("SAMPAN_BENCH_SERVICES", "5000"))
FEW = max(MANY // 10, 1)
CONFIG = Key("configmaps", "kserve", "inferenceservice-config")


@dataclass(frozen=True)
class Crowd:
    """What was measured with a number of services; milliseconds of CPU a service."""

    look_ms: float
    start_seconds: float
    start_writes: int
    look_calls: int
    resident: int


def crowd(setting: Setting) -> Iterator[Row]:
    """CPU of looking at each service and of a start, and memory, at many and at a tenth."""
    del setting
    few, many = asyncio.run(_crowd(FEW)), asyncio.run(_crowd(MANY))
    at = f"at {MANY} services"
    told = f"{few.look_ms:.2f} ms at {FEW}"
    yield make_row(
        f"a look at a service {at}: CPU", "ms", [many.look_ms], [], Goal(limit=4), note=told
    )
    calls = [float(many.look_calls)]
    yield make_row(f"calls of a look at all {MANY} services", "calls", calls, [], Goal(limit=0))
    ratio = many.look_ms / few.look_ms
    yield make_row(f"a look {at} against at {FEW}", "x", [ratio], [], Goal(limit=1.3))
    told = f"{many.start_writes} writes"
    started = [many.start_seconds]
    yield make_row(
        f"a start until all rests {at}: CPU", "s", started, [], Goal(limit=60), note=told
    )
    writes = [float(many.start_writes)]
    yield make_row(f"writes of a start {at}", "writes", writes, [], Goal(limit=0))
    resident = [many.resident / 1e6]
    yield make_row(f"resident memory {at}", "MB", resident, [], Goal(limit=300))


async def _crowd(count: int) -> Crowd:
    async with stage() as cluster:
        async with operating(cluster) as operator:
            await _fill(cluster, operator, count)
        cluster.door.forget()
        async with operating(cluster) as operator:
            started = await operator.rest()
            writes = sum(cluster.door.writes.values())
            cluster.door.forget()
            await _touch_configuration(cluster)
            looked = await operator.rest()
            used = looked.cpu_seconds - started.cpu_seconds
            calls = len(cluster.door.log)
            return Crowd(1000 * used / count, started.cpu_seconds, writes, calls, looked.resident)


async def _fill(cluster: PlayedCluster, operator: RunningOperator, count: int) -> None:
    note(f"{count} services are made ...")
    for number in range(count):
        await cluster.create(service(number))
        if number % 50 == 0:
            await asyncio.sleep(0.1)  # the API server answers the operator meanwhile
    await operator.rest()


async def _touch_configuration(cluster: PlayedCluster) -> None:
    """Change what means nothing: the operator looks at every service all the same."""
    found = await cluster.store.get(CONFIG)
    metadata = {**found["metadata"], "labels": {"touched": "true"}}
    metadata.pop("resourceVersion")
    await cluster.store.update(CONFIG.resource, {**found, "metadata": metadata})
