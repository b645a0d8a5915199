"""What it costs to list a thousand services as kubectl does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from bench.control_plane_rows.client import SERVICES, TABLE, ask
from bench.control_plane_rows.daemons import MANY, Up, crowded
from bench.processes import usage_of
from bench.row import Goal, Row, make_row
from bench.setting import Setting

LISTS = 10
CHUNK = 100


def lists(setting: Setting) -> Iterator[Row]:
    """CPU of the server for each object listed, and its memory while it is listed in chunks."""
    with crowded(setting) as (daemon, _):
        costs = [asyncio.run(_cost(daemon)) for _ in range(setting.rounds)]
        before = usage_of([daemon.pid]).resident
        asyncio.run(_chunked(daemon))
        grown = (usage_of([daemon.pid]).resident - before) / 1e6
    name = f"kubectl get isvc -A over {MANY}: CPU of the daemon an object"
    told = "all that the daemon does besides is counted with it"
    yield make_row(name, "us", costs, [], Goal(limit=100), note=told)
    told = f"{LISTS} lists in chunks of {CHUNK}; a list at once is some 2 MB of JSON"
    yield make_row("listed in chunks: memory grows by", "MB", [grown], [], Goal(limit=5), note=told)


async def _cost(daemon: Up) -> float:
    """Return microseconds of CPU an object."""
    before = usage_of([daemon.pid]).cpu_seconds
    for _ in range(LISTS):
        _, told = await ask(daemon, "GET", f"{SERVICES}?limit=5000", accept=TABLE)
        if len(told["rows"]) < MANY:
            raise RuntimeError(f"{len(told['rows'])} rows of {MANY}")
    used = usage_of([daemon.pid]).cpu_seconds - before
    return 1e6 * used / (LISTS * MANY)


async def _chunked(daemon: Up) -> None:
    for _ in range(LISTS):
        token = ""
        while True:
            path = f"{SERVICES}?limit={CHUNK}&continue={token}"
            _, told = await ask(daemon, "GET", path, accept=TABLE)
            token = told["metadata"].get("continue", "")
            if not token:
                break
