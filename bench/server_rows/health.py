"""How long health takes to answer while a model computes, asked as a kubelet asks."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from bench.ask import Ask
from bench.row import Goal, Row, make_row
from bench.servers import KSERVE_FILE_NAME, Up, kserve_file, ours_file, serving
from bench.setting import Setting

ASK = Ask("/v1/models/slow:predict", b'{"instances": [[1]]}')
HEALTH = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PROBE_SECONDS = 3
PROBES_PER_SECOND = 50


def while_predicting(setting: Setting) -> Iterator[Row]:
    """The p99 of `GET /v2/health/live` while one-second predictions follow each other."""
    both = ours_file(setting, "slow.py"), kserve_file(setting, "slow.py")
    with serving(setting, ASK, *both) as sides:
        tails = setting.alternate(lambda: _tail(sides[0]), lambda: _tail(sides[1]))
        idle = _tail(sides[0], predicting=False)
    told = (
        f"ours idle: {idle:.1f} ms; "
        f"{PROBES_PER_SECOND} probes a second on connections of their own, each timed from when it "
        "was due; the model computes in plain Python"
    )
    name = "health, p99 while a 1 s predict runs"
    yield make_row(name, "ms", *tails, Goal(limit=50), peer_is=KSERVE_FILE_NAME, note=told)


def _tail(side: Up, *, predicting: bool = True) -> float:
    return asyncio.run(_measure(side, predicting=predicting))


async def _measure(side: Up, *, predicting: bool) -> float:
    """Return the p99 of the probes in milliseconds."""
    port = urlsplit(side.http).port or 80
    beside = asyncio.create_task(_predict(port) if predicting else asyncio.sleep(0))
    await asyncio.sleep(0.2)  # the prediction has begun
    start = time.perf_counter()
    probes = []
    for number in range(PROBE_SECONDS * PROBES_PER_SECOND):
        due = start + number / PROBES_PER_SECOND
        await asyncio.sleep(due - time.perf_counter())
        probes.append(asyncio.create_task(_probe(port, due)))
    waited = await asyncio.gather(*probes)
    beside.cancel()
    with suppress(asyncio.CancelledError):
        await beside
    return 1000 * statistics.quantiles(waited, n=100)[98]


async def _probe(port: int, due: float) -> float:
    """Return the seconds from when a probe was due to its answer."""
    answer = await _exchange(port, HEALTH)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"health is not answered well: {answer[:100]!r}")
    return time.perf_counter() - due


async def _predict(port: int) -> None:
    """Have one prediction after the other run."""
    head = f"POST {ASK.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(ASK.body)}\r\n\r\n"
    while True:
        answer = await _exchange(port, head.encode() + ASK.body)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"predict is not answered well: {answer[:200]!r}")


async def _exchange(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
