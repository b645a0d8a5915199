"""The iris classifier over REST: V1 and V2 JSON, the tail, one connection, and no model at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.ask import Ask
from bench.peers import PEER_NAME
from bench.processes import tree_of
from bench.row import Goal, Row, make_row
from bench.server_rows.rounds import CONNECTIONS, Rounds, measure_rounds
from bench.servers import MODELS, Up, kserve_iris, mlserver_iris, ours_iris, serving
from bench.setting import Setting

from bench import iris

MLSERVER_NAME = "mlserver 1.7.1 with mlserver-sklearn 1.7.1"
BARE_NAME = "an asyncio protocol on llhttp and orjson (bench/peer_bare.py)"
BARE = Path(__file__).parents[1] / "peer_bare.py"
NOOP_TRIED = (
    "tried: a known head read once (Python's part 19 to 9 us), metrics folded in batches, head and "
    "body in one write; without metrics, ids or header texts it would be 0.4 to 0.6 us less each"
)
NOOP_ASK = Ask(iris.V1.path, iris.V1.body)


def v1_kserve(setting: Setting) -> Iterator[Row]:
    """V1 JSON at 16 connections: the rate, and the tail."""
    with serving(setting, iris.V1, ours_iris(setting), kserve_iris(setting)) as sides:
        rounds = measure_rounds(setting, iris.V1, sides, CONNECTIONS)
    words = {"peer_is": PEER_NAME, "note": rounds.note}
    yield _rate_row("V1 JSON, 16 connections", rounds, Goal(ratio=18), PEER_NAME)
    tails = rounds.values(lambda load: load.p99)
    yield make_row("V1 JSON, p99", "ms", *tails, Goal(ratio=12), **words)


def one_connection(setting: Setting) -> Iterator[Row]:
    """V1 JSON at one connection: what one client waits."""
    with serving(setting, iris.V1, ours_iris(setting), kserve_iris(setting)) as sides:
        rounds = measure_rounds(setting, iris.V1, sides, 1)
    words = {"peer_is": PEER_NAME, "note": rounds.note}
    middles = rounds.values(lambda load: load.p50)
    yield make_row("V1 JSON, 1 connection, p50", "ms", *middles, Goal(ratio=1 / 0.45), **words)


def v2_kserve(setting: Setting) -> Iterator[Row]:
    """V2 JSON against KServe."""
    with serving(setting, iris.V2, ours_iris(setting), kserve_iris(setting)) as sides:
        rounds = measure_rounds(setting, iris.V2, sides, CONNECTIONS)
    yield _rate_row("V2 JSON, 16 connections", rounds, Goal(ratio=20), PEER_NAME)


def v2_mlserver(setting: Setting) -> Iterator[Row]:
    """V2 JSON against MLServer."""
    with serving(setting, iris.V2, ours_iris(setting), mlserver_iris(setting)) as sides:
        processes = mlserver_note(sides[1])
        rounds = measure_rounds(setting, iris.V2, sides, CONNECTIONS)
    name = "V2 JSON, 16 connections, against mlserver"
    yield _rate_row(name, rounds, Goal(ratio=18), MLSERVER_NAME, processes)


def no_op(setting: Setting) -> Iterator[Row]:
    """A model that does nothing, against a protocol that parses and answers the same JSON."""

    def bare(ports) -> list[str]:
        return [setting.python, str(BARE), str(ports.http)]

    def ours(ports) -> list[str]:
        return [setting.python, str(MODELS / "noop.py"), str(ports.http)]

    with serving(setting, NOOP_ASK, ours, bare) as sides:
        rounds = measure_rounds(setting, NOOP_ASK, sides, CONNECTIONS)
    name = "no-op model, V1, against a bare protocol"
    yield _rate_row(name, rounds, Goal(ratio=0.6), BARE_NAME, NOOP_TRIED)


def _rate_row(name: str, rounds: Rounds, goal: Goal, peer_is: str, more: str = "") -> Row:
    note = f"{rounds.note}; {more}" if more else rounds.note
    rates = rounds.values(lambda load: load.rate)
    return make_row(name, "requests/s", *rates, goal, peer_is=peer_is, note=note)


def mlserver_note(peer: Up) -> str:
    """Return how many processes a running MLServer has: it predicts in workers by default."""
    return f"mlserver ran as {len(tree_of(peer.pid))} processes (parallel_workers by default)"
