"""How soon an applied service is planned, and whether all who watch see it."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench.control_plane_rows.client import SERVICES, ask, open_watch, read_event
from bench.control_plane_rows.daemons import MANY, Up, crowded
from bench.control_plane_rows.stage import make_service
from bench.row import Goal, Row, make_row
from bench.setting import Setting

WRITES_PER_SECOND = 10
SECONDS = 20
WATCHERS = 50


def apply(setting: Setting) -> Iterator[Row]:
    """From sending a service to its first status, and the events that watchers got meanwhile."""
    with crowded(setting) as (daemon, folder):
        waits, wrong, events = asyncio.run(_measure(daemon, folder / "iris"))
    told = f"{len(waits)} writes, median {statistics.median(waits):.1f} ms; {MANY} services, Envoy"
    tail = statistics.quantiles(waits, n=100)[98]
    name = f"applied to planned, p99 at {WRITES_PER_SECOND} writes a second"
    yield make_row(name, "ms", [tail], [], Goal(limit=50), note=told)
    name = f"events lost, doubled or out of order, of {WATCHERS} watchers"
    told = f"{events} events each"
    yield make_row(name, "events", [float(wrong)], [], Goal(limit=0), note=told)


async def _measure(daemon: Up, model: Path) -> tuple[list[float], int, int]:
    """Return milliseconds of each write, the watchers' faults, and how many events each got."""
    _, listed = await ask(daemon, "GET", f"{SERVICES}?limit=1")
    version = listed["metadata"]["resourceVersion"]
    watches = [await open_watch(daemon, version) for _ in range(WATCHERS)]
    heard: list[list[bytes]] = [[] for _ in watches]
    planned: dict[str, float] = {}
    tasks = [
        asyncio.create_task(_listen(watch, lines, planned if n == 0 else None))
        for n, (watch, lines) in enumerate(zip(watches, heard, strict=True))
    ]
    sent = await _write(daemon, model)
    async with asyncio.timeout(60):
        while not set(sent) <= set(planned):  # noqa: ASYNC110 # watchers must cost little
            await asyncio.sleep(0.1)
    await asyncio.sleep(3.0)  # what follows a first plan
    for task in tasks:
        task.cancel()
    told = [[json.loads(line) for line in lines] for lines in heard]
    versions = [[int(e["object"]["metadata"]["resourceVersion"]) for e in one] for one in told]
    # They are cut off one after the other while events still come: what all had come to counts.
    end = min(one[-1] for one in versions)
    versions = [[v for v in one if v <= end] for one in versions]
    longest = max(versions, key=len)
    wrong = sum(len(set(longest) ^ set(one)) for one in versions)
    wrong += sum(one != sorted(set(one)) for one in versions)
    return [1000 * (planned[name] - at) for name, at in sent.items()], wrong, len(longest)


async def _write(daemon: Up, model: Path) -> dict[str, float]:
    """Apply services at a steady pace; return when each was sent."""
    began, sent = time.perf_counter(), {}
    for number in range(WRITES_PER_SECOND * SECONDS):
        await asyncio.sleep(began + number / WRITES_PER_SECOND - time.perf_counter())
        name = f"late-{number:04d}"
        sent[name] = time.perf_counter()
        status, told = await ask(daemon, "POST", SERVICES, make_service(name, model))
        if status != 201:
            raise RuntimeError(f"POST {name} answers {status}: {told}")
    return sent


async def _listen(
    watch: asyncio.StreamReader, lines: list[bytes], planned: dict[str, float] | None
) -> None:
    """Keep the events; the one who measures notes when a service's first status is told."""
    while True:
        line = await read_event(watch)
        now = time.perf_counter()
        lines.append(line)
        if planned is not None:
            obj = json.loads(line)["object"]
            if (obj.get("status") or {}).get("conditions"):
                planned.setdefault(obj["metadata"]["name"], now)
