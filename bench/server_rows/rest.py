"""The iris classifier over REST: V1 and V2 JSON, the tail, one connection, and no model at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bench.ask import Ask
from bench.peers import PEER_NAME
from bench.processes import tree_of
from bench.row import Goal, Row, make_row
from bench.servers import (
    MODELS,
    Up,
    kserve_iris,
    mlserver_iris,
    ours_iris,
    serving,
)
from bench.setting import Setting
from bench.wrk import Load, run_wrk

from bench import iris

CONNECTIONS = 16
LOAD_SECONDS = 3
MLSERVER_NAME = "mlserver 1.7.1 with mlserver-sklearn 1.7.1"
BARE = Path(__file__).parents[1] / "peer_bare.py"
NOOP_ASK = Ask(iris.V1.path, iris.V1.body)


def v1_kserve(setting: Setting) -> Iterator[Row]:
    """V1 JSON at 16 connections: the rate, and the tail."""
    with serving(setting, iris.V1, ours_iris(setting), kserve_iris(setting)) as sides:
        ours, peer = rounds(setting, iris.V1, sides, CONNECTIONS)
    yield make_row("V1 JSON, 16 connections", "requests/s", *_rates(ours, peer), Goal(ratio=18),
                   peer_is=PEER_NAME)  # fmt: skip
    tails = [load.p99 for load in ours], [load.p99 for load in peer]
    yield make_row("V1 JSON, p99", "ms", *tails, Goal(ratio=12), peer_is=PEER_NAME)


def one_connection(setting: Setting) -> Iterator[Row]:
    """V1 JSON at one connection: what one client waits."""
    with serving(setting, iris.V1, ours_iris(setting), kserve_iris(setting)) as sides:
        ours, peer = rounds(setting, iris.V1, sides, 1)
    middles = [load.p50 for load in ours], [load.p50 for load in peer]
    goal = Goal(ratio=1 / 0.45)
    yield make_row("V1 JSON, 1 connection, p50", "ms", *middles, goal, peer_is=PEER_NAME)


def v2_kserve(setting: Setting) -> Iterator[Row]:
    """V2 JSON against KServe."""
    with serving(setting, iris.V2, ours_iris(setting), kserve_iris(setting)) as sides:
        rates = _rates(*rounds(setting, iris.V2, sides, CONNECTIONS))
    goal = Goal(ratio=20)
    yield make_row("V2 JSON, 16 connections", "requests/s", *rates, goal, peer_is=PEER_NAME)


def v2_mlserver(setting: Setting) -> Iterator[Row]:
    """V2 JSON against MLServer."""
    with serving(setting, iris.V2, ours_iris(setting), mlserver_iris(setting)) as sides:
        note = mlserver_note(sides[1])
        rates = _rates(*rounds(setting, iris.V2, sides, CONNECTIONS))
    name = "V2 JSON, 16 connections, against mlserver"
    yield make_row(name, "requests/s", *rates, Goal(ratio=18), peer_is=MLSERVER_NAME, note=note)


def no_op(setting: Setting) -> Iterator[Row]:
    """A model that does nothing, against a protocol that parses and answers the same JSON."""

    def bare(ports) -> list[str]:
        return [setting.python, str(BARE), str(ports.http)]

    def ours(ports) -> list[str]:
        return [setting.python, str(MODELS / "noop.py"), str(ports.http)]

    with serving(setting, NOOP_ASK, ours, bare) as sides:
        rates = _rates(*rounds(setting, NOOP_ASK, sides, CONNECTIONS))
    yield make_row(
        "no-op model, V1, against a bare protocol",
        "requests/s",
        *rates,
        Goal(ratio=0.6),
        peer_is="an asyncio protocol on llhttp and orjson (bench/peer_bare.py)",
    )


def rounds(
    setting: Setting, ask: Ask, sides: list[Up], connections: int
) -> tuple[list[Load], list[Load]]:
    """Return what wrk tells of both sides, round by round, taken in turn."""
    kept: tuple[list[Load], list[Load]] = ([], [])

    def measure(side: int) -> Callable[[], float]:
        def once() -> float:
            kept[side].append(run_wrk(sides[side].http, ask, connections, LOAD_SECONDS))
            return kept[side][-1].rate

        return once

    setting.alternate(measure(0), measure(1))
    return kept


def mlserver_note(peer: Up) -> str:
    """Return how many processes a running MLServer has: it predicts in workers by default."""
    return f"mlserver ran as {len(tree_of(peer.pid))} processes (parallel_workers by default)"


def _rates(ours: list[Load], peer: list[Load]) -> tuple[list[float], list[float]]:
    return [load.rate for load in ours], [load.rate for load in peer]
