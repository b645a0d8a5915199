"""The daemon's own log does not grow without end."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from sampan.app.own_log import apply_cut

DAEMON = """
import asyncio, sys
from pathlib import Path
from sampan.app.own_log import keep_small

class Clock:
    looks = 0

    async def sleep(self, seconds):
        print("x" * 99, file=sys.stderr, flush=True)
        self.looks += 1
        if self.looks == 50:
            raise asyncio.CancelledError

async def main():
    keeping = asyncio.create_task(keep_small(Path(sys.argv[1]), Clock(), 1000))
    await asyncio.wait({keeping})
    print("kept" if keeping.cancelled() else "left alone")

asyncio.run(main())
"""


def test_a_log_within_its_size_is_left_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_bytes(b"a line\n")
    apply_cut(log, 7)
    assert log.read_bytes() == b"a line\n"
    assert list(tmp_path.iterdir()) == [log]


def test_a_log_that_is_too_large_becomes_the_old_one_and_who_appends_goes_on(
    tmp_path: Path,
) -> None:
    log, old = tmp_path / "daemon.log", tmp_path / "daemon.log.1"
    old.write_bytes(b"of long ago\n")
    log.write_bytes(b"before\n")
    with log.open("ab") as held:
        apply_cut(log, 6)
        held.write(b"after\n")
    assert (old.read_bytes(), log.read_bytes()) == (b"before\n", b"after\n")
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


def test_of_a_log_that_is_far_too_large_the_end_is_kept(tmp_path: Path) -> None:
    log, old = tmp_path / "daemon.log", tmp_path / "daemon.log.1"
    log.write_bytes(b"x" * 5000 + b"the last line\n")
    apply_cut(log, 10)
    assert (old.stat().st_size, log.stat().st_size) == (40, 0)
    assert old.read_bytes().endswith(b"xthe last line\n")


def test_a_process_keeps_the_file_small_that_its_errors_go_to(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    assert _run(log, log) == "kept"
    assert log.stat().st_size <= 1100
    assert 1000 < (tmp_path / "daemon.log.1").stat().st_size <= 1100


def test_a_file_that_somebody_else_writes_is_not_touched(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_bytes(b"y" * 5000)
    assert _run(log, tmp_path / "terminal") == "left alone"
    assert log.stat().st_size == 5000


def _run(log: Path, errors: Path) -> str:
    file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    command = [sys.executable, "-c", DAEMON, str(log)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=file, text=True, check=True)
    os.close(file)
    return done.stdout.strip()
