"""A Sequence of three scikit-learn models in the router's process, over the same in servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from statistics import median

from bench.ask import Ask
from bench.graph_rows.sides import start, start_router
from bench.iris import V1, model_folder
from bench.processes import tree_of, usage_of
from bench.row import Goal, Row, make_row
from bench.server_rows.rounds import CONNECTIONS, LOAD_SECONDS, WARM_SECONDS
from bench.servers import Up, ours_iris, serving
from bench.setting import Setting
from bench.wrk import run_wrk

ROOT = Ask("/", V1.body)


def sequence(setting: Setting) -> Iterator[Row]:
    """Sequences a second at 16 connections."""
    with ExitStack() as stack:
        ours = [ours_iris(setting)] * 3
        servers = stack.enter_context(serving(setting, V1, *ours))
        steps = [{"serviceUrl": f"{one.http}{V1.path}"} for one in servers]
        apart = stack.enter_context(start_router(setting, "Sequence", steps, V1.body))
        together = stack.enter_context(_fused(setting))
        apart_too = [apart, *servers]
        cpu: tuple[list[float], list[float]] = ([], [])
        rates = setting.alternate(
            lambda: _rate([together], cpu[0]), lambda: _rate(apart_too, cpu[1])
        )
    name = "Sequence of 3 scikit-learn models, fused against apart"
    peer = "the same graph, each model in a server of its own"
    fused, each = (median(side) for side in cpu)
    note = (
        f"CPU of all processes: {fused:.0f} us a sequence against {each:.0f}, {each / fused:.3g} x"
    )
    yield make_row(name, "sequences/s", *rates, Goal(ratio=4), peer_is=peer, note=note)


def _fused(setting: Setting) -> AbstractContextManager[Up]:
    steps = [{"serviceUrl": f"local:/v1/models/m{n}:predict"} for n in range(3)]
    graph = {"nodes": {"root": {"routerType": "Sequence", "steps": steps}}}
    folder = model_folder(setting)
    command = [setting.python, "-m", "sampan.app.route", f"--graph-json={json.dumps(graph)}"]
    command += [f"--model=m{n}={folder}" for n in range(3)]
    command += ["--runtime=sklearn", "--shutdown-delay=0", "--port"]
    return start(setting, "graph-fused", command, [], V1.body)


def _rate(sides: list[Up], cpu: list[float]) -> float:
    """Return the requests a second of the first; note the CPU microseconds that all took."""
    trees = [tree_of(side.pid) for side in sides]
    run_wrk(sides[0].http, ROOT, CONNECTIONS, WARM_SECONDS)
    before = sum(usage_of(tree).cpu_seconds for tree in trees)
    load = run_wrk(sides[0].http, ROOT, CONNECTIONS, LOAD_SECONDS)
    took = sum(usage_of(tree).cpu_seconds for tree in trees) - before
    cpu.append(1e6 * took / load.requests)
    return load.rate
