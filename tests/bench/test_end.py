"""Nothing that a bench started outlives it, however the bench ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from bench.processes import tree_of

ROOT = Path(__file__).parents[2]
STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "subprocess.Popen(['sleep', '300'])\n"
    "time.sleep(300)"
)
WILLING = "import subprocess; subprocess.run(['sleep', '300'])"
BENCH = """
import sys, time
from pathlib import Path
from bench.processes import running
with running([sys.executable, "-c", sys.argv[1]], Path(sys.argv[2])):
    print("started", flush=True)
    time.sleep(300)
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text()
        return text[text.rindex(")") + 2] != "Z"
    return False


@contextmanager
def bench_with(server: str, log: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A bench that has a server running, and the processes below it once there are three."""
    command = [sys.executable, "-c", BENCH, server, str(log)]
    below: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            deadline = time.monotonic() + 30
            while len(below := tree_of(process.pid)[1:]) < 3:  # guard, server, its child
                assert time.monotonic() < deadline, "the server did not start its child"
                time.sleep(0.05)
            yield process, below
        finally:
            process.kill()
            for pid in below:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("number", "server"),
    [
        pytest.param(signal.SIGKILL, WILLING, id="killed, with a server that ends when asked"),
        pytest.param(signal.SIGTERM, WILLING, id="terminated"),
        pytest.param(signal.SIGINT, WILLING, id="interrupted"),
        pytest.param(signal.SIGKILL, STUBBORN, id="killed, with a server that does not listen"),
    ],
)
def test_a_bench_that_is_ended_leaves_no_process(
    number: signal.Signals, server: str, tmp_path: Path
) -> None:
    with bench_with(server, tmp_path / "log") as (process, below):
        process.send_signal(number)
        deadline = time.monotonic() + 45
        while left := [pid for pid in below if is_alive(pid)]:
            assert time.monotonic() < deadline, f"{len(left)} of {len(below)} processes are left"
            time.sleep(0.05)
