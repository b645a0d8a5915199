"""Ten services a second: how soon their objects are there, and how many calls that takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from bench.operator_rows.stage import operating, service, stage
from bench.row import Goal, Row, make_row
from bench.setting import Setting

PER_SECOND = 10
SERVICES = 150
CHILDREN = 5
"""Deployment, Service, HorizontalPodAutoscaler and two HTTPRoutes."""


def create(setting: Setting) -> Iterator[Row]:
    """Milliseconds from an apply to its last object, and calls for each object."""
    del setting
    took, writes, all_writes, cpu, played = asyncio.run(_create())
    late = sorted(took)[int(len(took) * 0.99)]
    middle, each_cpu = sorted(took)[len(took) // 2], 1000 * cpu / SERVICES
    told = f"p50 {middle:.0f} ms; {each_cpu:.1f} ms of CPU a service"
    told += f", and {1000 * played / SERVICES:.1f} of the played cluster, on the same processors"
    yield make_row("apply to all objects, p99", "ms", [late], [], Goal(limit=150), note=told)
    told = f"{all_writes / SERVICES:.1f} writes a service in all: finalizer, statuses, events"
    each = writes / (SERVICES * CHILDREN)
    yield make_row("writes for each object", "writes", [each], [], Goal(limit=1), note=told)


async def _create() -> tuple[list[float], int, int, float, float]:
    """Return milliseconds, writes of objects, all writes, and CPU seconds of both processes."""
    async with stage() as cluster, operating(cluster) as operator:
        before = await operator.rest()
        cluster.door.forget()
        began: dict[str, float] = {}
        ended: dict[str, float] = {}
        counted: dict[str, int] = {}

        async def note(request: object) -> None:
            path = str(getattr(request, "path", ""))
            if getattr(request, "method", "") == "PATCH":
                name = "-".join(path.rsplit("/", 1)[-1].split("-")[:2])
                counted[name] = counted.get(name, 0) + 1
                if counted[name] == CHILDREN:
                    ended[name] = time.monotonic()

        cluster.door.fault = note
        played = time.process_time()
        next_at = time.monotonic()
        for number in range(SERVICES):
            made = service(number)
            await cluster.ensure_namespace(made["metadata"]["namespace"])
            began[made["metadata"]["name"]] = time.monotonic()
            await cluster.create(made)
            next_at += 1 / PER_SECOND
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        used = (await operator.rest()).cpu_seconds - before.cpu_seconds
        played = time.process_time() - played
        took = [1000 * (ended[name] - began[name]) for name in began]
        return took, sum(counted.values()), sum(cluster.door.writes.values()), used, played
