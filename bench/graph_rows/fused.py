"""A Sequence of three scikit-learn models in the router's process, over the same in servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

from bench.ask import Ask
from bench.graph_rows.sides import start, start_router
from bench.iris import V1, model_folder
from bench.row import Goal, Row, make_row
from bench.server_rows.rounds import CONNECTIONS, measure_round
from bench.servers import Up, ours_iris, serving
from bench.setting import Setting

ROOT = Ask("/", V1.body)


def sequence(setting: Setting) -> Iterator[Row]:
    """Sequences a second at 16 connections."""
    with ExitStack() as stack:
        ours = [ours_iris(setting)] * 3
        servers = stack.enter_context(serving(setting, V1, *ours))
        steps = [{"serviceUrl": f"{one.http}{V1.path}"} for one in servers]
        apart = stack.enter_context(start_router(setting, "Sequence", steps, V1.body))
        together = stack.enter_context(_fused(setting))
        rates = setting.alternate(lambda: _rate(together), lambda: _rate(apart))
    name = "Sequence of 3 scikit-learn models, fused against apart"
    peer = "the same graph, each model in a server of its own"
    yield make_row(name, "sequences/s", *rates, Goal(ratio=4), peer_is=peer)


def _fused(setting: Setting) -> AbstractContextManager[Up]:
    steps = [{"serviceUrl": f"local:/v1/models/m{n}:predict"} for n in range(3)]
    graph = {"nodes": {"root": {"routerType": "Sequence", "steps": steps}}}
    folder = model_folder(setting)
    command = [setting.python, "-m", "sampan.app.route", f"--graph-json={json.dumps(graph)}"]
    command += [f"--model=m{n}={folder}" for n in range(3)]
    command += ["--runtime=sklearn", "--shutdown-delay=0", "--port"]
    return start(setting, "graph-fused", command, [], V1.body)


def _rate(side: Up) -> float:
    return measure_round(side, ROOT, CONNECTIONS).load.rate
