"""The bench harness measures what it says: rows, CPU, processes, requests a second."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench.row import Goal, Row, make_row
from bench.setting import CannotMeasure, Setting

from bench import load, processes, run

ROWS = [
    ("half the time is twice as good", "s", [1.0], [2.0], Goal(ratio=1), 2.0, True),
    ("twice the rate is twice as good", "requests/s", [20.0], [10.0], Goal(ratio=3), 2.0, False),
    ("the median stands for the rounds", "s", [1.0, 9.0, 2.0], [4.0], Goal(ratio=2), 2.0, True),
    ("a limit is held by ours, whatever the peer", "ms", [90.0], [9.0], Goal(limit=100), 0.1, True),
    ("a limit can be broken", "ms", [101.0], [], Goal(limit=100), None, False),
    ("without a goal nothing is held or broken", "MB", [50.0], [], Goal(), None, None),
    ("without rounds nothing is held", "s", [], [], Goal(ratio=1), None, None),
]


@pytest.mark.parametrize(
    ("unit", "ours", "peer", "goal", "ratio", "holds"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_a_row_tells(
    unit: str,
    ours: list[float],
    peer: list[float],
    goal: Goal,
    ratio: float | None,
    holds: bool | None,
) -> None:
    row = make_row("name", unit, ours, peer, goal)
    assert (row.ratio, row.holds) == (ratio, holds)


def test_a_row_always_has_the_promised_fields() -> None:
    promised = {"name", "unit", "ours", "peer", "ratio", "goal", "holds"}
    assert promised <= set(Row(name="x", unit="s", skipped="no peer").as_json())
    assert json.dumps(make_row("x", "s", [1.0], [2.0], Goal(ratio=1), note="n").as_json())


def test_rounds_alternate_between_the_sides() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return 1.0

    Setting(rounds=2).alternate(lambda: side("ours"), lambda: side("peer"))
    assert order == ["ours", "peer", "ours", "peer"]


def test_what_cannot_be_measured_is_a_row_and_the_next_is_still_run() -> None:
    def missing(_: Setting):
        raise CannotMeasure("no peer")
        yield

    def broken(_: Setting):
        raise ValueError("odd")
        yield

    (skipped,) = run._rows("a", missing, Setting())
    (failed,) = run._rows("b", broken, Setting())
    assert (skipped.skipped, skipped.error) == ("no peer", "")
    assert (failed.skipped, failed.error) == ("", "ValueError: odd")


def test_cpu_is_counted_and_sleep_is_not() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    assert processes.cpu_of_command([sys.executable, "-c", busy]) >= 300
    assert processes.cpu_of_command([sys.executable, "-c", "import time; time.sleep(0.3)"]) < 250


def test_a_tree_holds_its_grandchildren_and_their_memory(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.run(['sleep', '30'])"
    with processes.running([sys.executable, "-c", code], tmp_path / "log") as server:
        deadline = time.monotonic() + 5
        while len(tree := processes.tree_of(server.process.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert processes.usage_of(tree).resident > 5_000_000
    deadline = time.monotonic() + 5
    while processes.usage_of(tree).resident:
        assert time.monotonic() < deadline, "a grandchild outlived its group"
        time.sleep(0.02)


def test_a_server_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no model here')"]
    port = processes.free_port()
    with (
        processes.running(command, tmp_path / "log") as server,
        pytest.raises(RuntimeError, match=r"exited with 1.*no model here"),
    ):
        processes.wait_first_answer(f"http://127.0.0.1:{port}/", b"{}", server)


@pytest.mark.parametrize("generator", ["wrk", "our own"])
async def test_requests_are_counted_and_refusals_are_an_error(
    generator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if generator == "our own":
        monkeypatch.setenv("PATH", "")
    elif load.find_command("wrk") is None:
        pytest.skip("wrk is not installed")
    status, counted = b"200 OK", 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal counted
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n{}")
                counted += 1
                writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ask = (f"http://127.0.0.1:{port}/x", b"{}", 2, 1)
        rate = await asyncio.to_thread(load.requests_per_second, *ask)
        # One second of load; what was on its way at the end is counted by one side only.
        assert counted * 0.8 <= rate <= counted * 1.05
        status = b"503 Busy"
        with pytest.raises(RuntimeError, match="answered well"):
            await asyncio.to_thread(load.requests_per_second, *ask)


def test_an_unknown_bench_is_named_with_what_there_is() -> None:
    command = [sys.executable, "-m", "bench.run", "spinal"]
    root = Path(__file__).parents[2]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert ended.returncode == 2
    assert ended.stdout == ""
    told, _, known = ended.stderr.strip().partition("; there is: ")
    assert told.endswith('no bench "spinal"')
    assert {"cold_start", "server", "spine"} <= set(known.split(", "))
