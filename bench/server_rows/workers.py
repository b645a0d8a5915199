"""What `--workers` gives: requests a second of a model that computes, and memory of a large one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from bench.ask import Ask
from bench.processes import proportional_bytes, tree_of, wait_first_answer
from bench.row import Goal, Row, make_row
from bench.server_rows.rounds import CONNECTIONS, measure_round
from bench.servers import Up, ours_file, serving
from bench.setting import CannotMeasure, Setting

WORK = Ask("/v1/models/work:predict", b'{"instances": [[1]]}')
WEIGHTS = Ask("/v1/models/weights:predict", b'{"instances": [[1]]}')
WORKERS = 4
BURN = "n = 0\nfor i in range(8_000_000): n += i"
FREE_CORES = 1.8
"""From how many times the work of one process two must get done, for rates to tell of servers."""


def rates(setting: Setting) -> Iterator[Row]:
    """Two workers against one: the rate where two cores are free, else the CPU time a request."""
    both = ours_file(setting, "work.py", "--workers=2"), ours_file(setting, "work.py")
    cpu: tuple[list[float], list[float]] = ([], [])
    gains: list[float] = []
    with serving(setting, WORK, *both) as sides:

        def measure(side: int) -> float:
            one = measure_round(sides[side], WORK, CONNECTIONS)
            cpu[side].append(one.cpu)
            return one.load.rate

        def two() -> float:
            gains.append(_two_against_one())
            return measure(0)

        measured = setting.alternate(two, lambda: measure(1))
    note = (
        f"two plain processes get {median(gains):.2f} x the work of one done here; "
        f"CPU a request {median(cpu[0]):.2f} ms with 2 workers, {median(cpu[1]):.2f} ms with 1"
    )
    one = "1 worker"
    if (os.cpu_count() or 1) >= 2 and median(gains) >= FREE_CORES:
        name, goal = "2 workers against 1, CPU-bound model", Goal(ratio=1.6)
        yield make_row(name, "requests/s", *measured, goal, peer_is=one, note=note)
        return
    # 1.6 times the rate on two cores is 2 / 1.6 times the CPU a request at most: a ratio of 0.8.
    name = "2 workers against 1, CPU-bound model, CPU a request"
    note += "; the rate would tell of the machine: " + "; ".join(
        f"{who} {median(values):.0f} requests/s"
        for who, values in zip(("2 workers", one), measured, strict=True)
    )
    yield make_row(name, "ms", *cpu, Goal(ratio=0.8), peer_is=one, note=note)


def _two_against_one() -> float:
    """Return how many times the work of one plain process two get done in the same time."""
    one = _seconds(1)
    return 2 * one / _seconds(2)


def _seconds(count: int) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-IS", "-c", BURN]
    for process in [subprocess.Popen(command) for _ in range(count)]:
        process.wait()
    return time.perf_counter() - began


def memory(setting: Setting) -> Iterator[Row]:
    """Four workers against four servers, each with a model of 500 MB that has been used."""
    shared = ours_file(setting, "weights.py", f"--workers={WORKERS}")
    alone = [ours_file(setting, "weights.py")] * WORKERS
    with serving(setting, WEIGHTS, shared, *alone) as (together, *apart):
        used = use_all(together, WORKERS)
        for side in apart:
            use_all(side, 1)
        ours = proportional_bytes(tree_of(together.pid)) / 1e6
        peer = sum(proportional_bytes(tree_of(side.pid)) for side in apart) / 1e6
    note = (
        f"PSS of all processes, after predictions in each of {used} workers; the model is "
        "an array of 450 MB and 50 MB of Python objects, and a prediction reads all of it"
    )
    peer_is = f"{WORKERS} servers of 1 worker"
    name = f"memory of {WORKERS} workers, 500 MB model"
    yield make_row(name, "MB", [ours], [peer], Goal(ratio=2), peer_is=peer_is, note=note)


def use_all(side: Up, count: int, seconds: float = 60) -> int:
    """Predict until every worker has; CannotMeasure when one gets no request."""
    seen: set[int] = set()

    def ask() -> int:
        url = side.http + WEIGHTS.path
        return int(json.loads(wait_first_answer(url, WEIGHTS.body, None))["process"])

    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(4 * count) as pool:
        while len(seen) < count:
            if time.monotonic() > deadline:
                raise CannotMeasure(f"only {len(seen)} of {count} workers answered in {seconds} s")
            seen |= set(pool.map(lambda _: ask(), range(4 * count)))
    return len(seen)
