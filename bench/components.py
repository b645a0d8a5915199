"""Components of one service: a transformer in its predictor's replica against one beside it.

Both are asked through the gateway. Beside it, the transformer asks its predictor through the
gateway too; in one replica it asks on loopback.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.ask import Ask
from bench.iris import BODY, check, make_service, model_folder
from bench.processes import wait_first_answer
from bench.row import Goal, Row, make_row
from bench.sampan_home import Daemon, daemon_up, find_home
from bench.server_rows.rounds import CONNECTIONS, Round, measure_round
from bench.servers import Up
from bench.setting import Setting

_PROGRAM = Path(__file__).with_name("models") / "plain_transformer.py"
_TRIES = 150  # of half a second or so each
_PEER = "transformer and predictor as two workloads"


def rate(setting: Setting) -> Iterator[Row]:
    """Requests a second at 16 connections: collocated against two services."""
    yield from _measure(setting, CONNECTIONS, "rate", "requests/s", Goal(ratio=1.3))


def p50(setting: Setting) -> Iterator[Row]:
    """The median at one connection: collocated against two services."""
    yield from _measure(setting, 1, "p50", "ms", Goal(ratio=1.3))


def _measure(
    setting: Setting, connections: int, figure: str, unit: str, goal: Goal
) -> Iterator[Row]:
    sides: dict[str, list[Round]] = {"together": [], "apart": []}
    with daemon_up(find_home(setting)) as daemon, _serving(setting, daemon):

        def once(name: str) -> float:
            up = Up(f"http://127.0.0.1:{daemon.port}", "", daemon.pid)
            sides[name].append(measure_round(up, _ask(name), connections))
            return float(getattr(sides[name][-1].load, figure))

        rounds = setting.alternate(lambda: once("together"), lambda: once("apart"))
    cpu = {name: sorted(one.cpu for one in side)[len(side) // 2] for name, side in sides.items()}
    note = f"CPU a request, everything: {cpu['together']:.3g} ms against {cpu['apart']:.3g} ms"
    name = f"transformer and predictor in one replica, {connections} connections, {figure}"
    yield make_row(name, unit, *rounds, goal, peer_is=_PEER, note=note)


@contextmanager
def _serving(setting: Setting, daemon: Daemon) -> Iterator[None]:
    """Serve both forms with the same model and the same program, and have both answer rightly."""
    for service in (_apart(setting), _together(setting)):
        name = service["metadata"]["name"]
        daemon.create(service)
        _wait_ready(daemon, name)
        check(wait_first_answer(daemon.url(name), BODY, None))
    yield
    for name in ("apart", "together"):
        daemon.delete(name)


def _wait_ready(daemon: Daemon, name: str) -> None:
    """Wait until all components answer: a transformer may be up before its predictor."""
    for _ in range(_TRIES):
        try:
            daemon.home.sampan("why", name)
        except RuntimeError as error:
            last = error
            time.sleep(0.2)
        else:
            return
    raise last


def _ask(name: str) -> Ask:
    return Ask(f"/serving/default/{name}/v1/models/{name}:predict", BODY, check=check)


def _apart(setting: Setting) -> dict[str, Any]:
    service: dict[str, Any] = make_service("apart", model_folder(setting))
    service["spec"]["transformer"] = {"containers": [_container(setting, "kserve-container")]}
    return service


def _together(setting: Setting) -> dict[str, Any]:
    service: dict[str, Any] = make_service("together", model_folder(setting))
    words = ("--model_name=together", "--predictor_host=localhost:8085", "--http_port=8080")
    container = _container(setting, "transformer-container", *words)
    container["ports"] = [{"containerPort": 8080, "protocol": "TCP"}]
    service["spec"]["predictor"]["model"]["args"] = ["--http_port=8085"]
    service["spec"]["predictor"]["containers"] = [container]
    return service


def _container(setting: Setting, name: str, *words: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": "example/plain-transformer",
        "command": [setting.python, str(_PROGRAM)],
        "args": list(words),
    }


benches = {"collocated: rate": rate, "collocated: p50": p50}
