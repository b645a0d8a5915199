"""The router of an InferenceGraph against the backend alone, and against one in FastAPI and httpx.

Backends answer a constant on loopback, on our own wire. A Sequence of three makes three calls, so a
third of the backend's requests a second is the bound, and three times its p50.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.graph_rows import fused, grpc
from bench.graph_rows.sides import ASK, CONSTANT, start, start_backend, start_router
from bench.peers import peer_python
from bench.processes import wait_first_answer
from bench.row import Goal, Row, make_row
from bench.server_rows.rounds import CONNECTIONS, measure_round
from bench.servers import Up
from bench.setting import Setting

FASTAPI = ("fastapi==0.115.12", "httpx==0.28.1", "uvicorn[standard]==0.34.2")
LARGE = 10_000_000


def sequence_rate(setting: Setting) -> Iterator[Row]:
    """Sequences a second at 16 connections, over a third of the backend's requests a second."""
    yield from _sequence(setting, CONNECTIONS, "rate", Goal(ratio=0.40))


def sequence_p50(setting: Setting) -> Iterator[Row]:
    """The median of a sequence at one connection, over three times the backend's."""
    yield from _sequence(setting, 1, "p50", Goal(ratio=1 / 1.4))


def _sequence(setting: Setting, connections: int, figure: str, goal: Goal) -> Iterator[Row]:
    with serving_sequence(setting) as (router, backend):
        mine, alone = [], []

        def ours() -> float:
            mine.append(measure_round(router, ASK, connections))
            return float(getattr(mine[-1].load, figure))

        def bound() -> float:
            alone.append(measure_round(backend, ASK, connections))
            value = float(getattr(alone[-1].load, figure))
            return value / 3 if figure == "rate" else 3 * value

        sides = setting.alternate(ours, bound)
    cpu, bare = (statistics.median(one.cpu for one in side) for side in (mine, alone))
    unit = "sequences/s" if figure == "rate" else "ms"
    name = f"Sequence of 3, {connections} connections, {figure} against the bound"
    note = f"CPU: {1000 * cpu:.0f} us a sequence of the router, {1000 * bare:.0f} us a backend call"
    yield make_row(name, unit, *sides, goal, peer_is="a third of the backend alone", note=note)


def fastapi(setting: Setting) -> Iterator[Row]:
    """The same sequence by a router written with FastAPI and httpx."""
    with ExitStack() as stack:
        router, backend = stack.enter_context(serving_sequence(setting))
        python = peer_python(setting, FASTAPI)
        script = str(CONSTANT.with_name("peer_fastapi_graph.py"))
        peer = stack.enter_context(
            start(setting, "graph-fastapi", [python, script], [f"{backend.http}/"])
        )
        rates = setting.alternate(lambda: _rate(router), lambda: _rate(peer))
    name = "Sequence of 3, 16 connections, against FastAPI and httpx"
    yield make_row(name, "sequences/s", *rates, Goal(ratio=15), peer_is=", ".join(FASTAPI))


def ensemble(setting: Setting) -> Iterator[Row]:
    """The median of an Ensemble of 8 over that of its slowest call, which takes 5 ms."""
    with ExitStack() as stack:
        backend = stack.enter_context(start_backend(setting, "graph-slow", "0", "5"))
        steps = [{"serviceUrl": f"{backend.http}/{n}", "name": f"s{n}"} for n in range(8)]
        router = stack.enter_context(start_router(setting, "Ensemble", steps))
        medians = setting.alternate(
            lambda: measure_round(router, ASK, 1).load.p50,
            lambda: measure_round(backend, ASK, 1).load.p50,
        )
    name = "Ensemble of 8, 1 connection, p50 against one call"
    yield make_row(name, "ms", *medians, Goal(ratio=1 / 1.5), peer_is="one call of 5 ms")


def large_body(setting: Setting) -> Iterator[Row]:
    """Copies of a 10 MB body that the router holds at its peak: growth of its resident memory."""
    with ExitStack() as stack:
        backend = stack.enter_context(start_backend(setting, "graph-large", str(LARGE)))
        steps = [{"serviceUrl": f"{backend.http}/{n}", "data": "$response"} for n in range(3)]
        router = stack.enter_context(start_router(setting, "Sequence", steps))
        before = _peak(router.pid)
        body = b'{"pad":"' + b"y" * (LARGE - 10) + b'"}'
        copies = []
        for _ in range(setting.rounds):
            answer = wait_first_answer(f"{router.http}/", body, None)
            assert len(answer) == LARGE
            copies.append((_peak(router.pid) - before) / LARGE)
    yield make_row("Sequence of 3, a body of 10 MB", "copies", copies, [], Goal(limit=3.0))


def _rate(side: Up) -> float:
    return measure_round(side, ASK, CONNECTIONS).load.rate


def _peak(pid: int) -> int:
    """Return the most memory that a process ever had resident, in bytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@contextmanager
def serving_sequence(setting: Setting) -> Iterator[tuple[Up, Up]]:
    """Start a backend, and a router of three steps that each ask it."""
    with ExitStack() as stack:
        backend = stack.enter_context(start_backend(setting, "graph-backend"))
        steps = [
            {"serviceUrl": f"{backend.http}/{n}", **({"data": "$response"} if n else {})}
            for n in range(3)
        ]
        yield stack.enter_context(start_router(setting, "Sequence", steps)), backend


benches = {
    "sequence": sequence_rate,
    "one connection": sequence_p50,
    "fastapi": fastapi,
    "ensemble": ensemble,
    "large body": large_body,
    "grpc": grpc.sequence,
    "fused": fused.sequence,
}
