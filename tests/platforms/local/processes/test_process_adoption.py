"""A daemon that dies by SIGKILL, and the next one, which takes over what it left."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sampan.platforms.local.launcher import Launcher

Make = Callable[..., Any]

DAEMON = """
import asyncio, os, signal, sys
from pathlib import Path
from sampan.machinery.clock import SystemClock
from sampan.plan.types import ServiceKey
from sampan.platforms.local.backoff import BackOff
from sampan.platforms.local.launcher import Launcher, LauncherOptions
from sampan.platforms.local.process import ProcessSpec, Zygote
from sampan.platforms.local.records import Records

state_dir, count, program, fault = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]

def spec(name, number):
    zygote = Zygote(sys.executable, (), "program:main") if number % 2 else None
    return ProcessSpec(
        ServiceKey("default", "iris"), "iris-predictor", "predictor", name, "v1-abc",
        ("sh", "-c", program), {"PATH": os.environ["PATH"], "PYTHONPATH": str(state_dir.parent)},
        str(state_dir.parent), (8080,), 8080, zygote, grace_seconds=5.0,
    )

write = Records.write

def write_and_die(self, record):
    if fault == "before the record is written" and record.state.pid:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, record)
    if fault == "after the intent is written":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "after the record is written" and record.state.pid:
        os.kill(os.getpid(), signal.SIGKILL)

Records.write = write_and_die

async def main():
    options = LauncherOptions(back_off=BackOff(0.2, 1.0), zygote_idle_seconds=2.0)
    launcher = Launcher(state_dir, SystemClock(), lambda _: None, options)
    await launcher.adopt()
    for number in range(count):
        await launcher.start(spec(f"r{number}", number))
    while not all(s.ready for s in launcher.states()):
        await asyncio.sleep(0.01)
    print("up", flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""

PROGRAM = "echo started >> starts-$(basename $(dirname $SAMPAN_TERMINATION_LOG)); exec sleep 300"

MODULE = """
import os, time
from pathlib import Path

def main(arguments):
    name = Path(os.environ["SAMPAN_TERMINATION_LOG"]).parent.name
    with open(f"starts-{name}", "a") as file:
        file.write("started\\\\n")
    time.sleep(300)
"""

Until = Callable[[Callable[[], object]], Any]
Daemon = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def daemon(state_dir: Path, tmp_path: Path) -> Iterator[Daemon]:
    """Start a daemon in a process of its own; returns once its replicas are ready, or it died."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "program.py").write_text(MODULE.replace("\\\\n", "\\n"))

    def start(count: int, fault: str = "", program: str = PROGRAM) -> subprocess.Popen[str]:
        escaped = program.replace("$(", "$$(")  # the shell's substitutions, not references
        argv = (sys.executable, "-c", DAEMON, str(state_dir), str(count), escaped, fault)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == ("" if fault else "up\n")
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def pids(state_dir: Path) -> dict[str, int]:
    records = (state_dir / "replicas").glob("*/lock")
    return {p.parent.name: json.loads(p.read_text())["pid"] for p in records}


def zygotes(replicas: dict[str, int]) -> set[int]:
    """Return the parents of the replicas, which are zygotes."""
    parents = {int(Path(f"/proc/{p}/stat").read_text().split()[3]) for p in replicas.values()}
    assert all("zygote_child" in Path(f"/proc/{p}/cmdline").read_text() for p in parents)
    return parents


def has_ended(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(") ")[2][0] in "ZX"


async def test_replicas_survive_and_are_adopted_without_a_second_start(
    launch: Callable[..., Launcher], daemon: Daemon, settled: Any, state_dir: Path, tmp_path: Path
) -> None:
    kill(daemon(6))
    before = pids(state_dir)
    launcher = launch()
    adopted = await launcher.adopt()
    assert {s.spec.replica: s.pid for s in adopted} == before
    assert all(s.running and not s.ready and s.restarts == 0 for s in adopted)
    for name in before:
        await settled(launcher, name, lambda s: s.ready)
    assert pids(state_dir) == before
    await settled(launcher, "r0", lambda _: len(list(tmp_path.glob("starts-*"))) == len(before))
    assert all((tmp_path / f"starts-{name}").read_text() == "started\n" for name in before)


async def test_the_exit_code_of_an_adopted_replica_is_known_and_it_restarts(
    launch: Callable[..., Launcher], daemon: Daemon, settled: Any
) -> None:
    kill(daemon(2))
    launcher = launch()
    for state in await launcher.adopt():
        os.kill(state.pid, signal.SIGABRT)
        name = state.spec.replica
        again = await settled(launcher, name, lambda s: s.restarts == 1 and s.ready)
        assert (again.last_exit.code, again.last_exit.signal) == (134, "SIGABRT")


async def test_what_ended_while_nobody_watched_is_told_and_restarts(
    launch: Callable[..., Launcher], daemon: Daemon, settled: Any, state_dir: Path
) -> None:
    kill(daemon(2))
    for pid in pids(state_dir).values():
        os.kill(pid, signal.SIGTERM)
    await asyncio.sleep(0.2)
    launcher = launch()
    await launcher.adopt()
    for name in ("r0", "r1"):
        state = await settled(launcher, name, lambda s: s.restarts == 1 and s.ready)
        assert (state.last_exit.code, state.last_exit.signal) == (143, "SIGTERM")


async def test_without_its_zygote_an_exit_is_seen_but_its_code_is_unknown(
    launch: Callable[..., Launcher], daemon: Daemon, settled: Any, state_dir: Path
) -> None:
    kill(daemon(2))
    replicas = pids(state_dir)
    for zygote in zygotes(replicas):
        os.kill(zygote, signal.SIGKILL)
    launcher = launch()
    adopted = await launcher.adopt()
    assert {s.spec.replica: s.pid for s in adopted} == replicas
    for name, pid in replicas.items():
        os.kill(pid, signal.SIGKILL)
        state = await settled(launcher, name, lambda s: s.restarts == 1 and s.ready)
        assert (state.last_exit.code, state.last_exit.reason) == (None, "ContainerStatusUnknown")


@pytest.mark.parametrize(
    "fault",
    [
        "after the intent is written",
        "before the record is written",
        "after the record is written",
    ],
)
async def test_a_daemon_killed_in_the_middle_of_a_start_leaves_one_process_in_the_end(
    launch: Callable[..., Launcher],
    daemon: Daemon,
    settled: Any,
    tmp_path: Path,
    fault: str,
) -> None:
    daemon(1, fault).wait()
    launcher = launch()
    await launcher.adopt()
    state = await settled(launcher, "r0", lambda s: s.ready and (tmp_path / "starts-r0").exists())
    assert state.restarts == 0
    assert state.started_at > 0
    assert (tmp_path / "starts-r0").read_text() == "started\n"


async def test_a_fork_that_the_dead_daemon_had_asked_for_does_not_happen_later(
    launch: Callable[..., Launcher],
    daemon: Daemon,
    settled: Any,
    state_dir: Path,
    tmp_path: Path,
    until: Until,
) -> None:
    process = daemon(1)
    starts = tmp_path / "starts-r0"
    await until(starts.exists)
    (zygote,) = zygotes(pids(state_dir))
    os.kill(zygote, signal.SIGSTOP)
    os.kill(pids(state_dir)["r0"], signal.SIGKILL)  # the daemon asks the stopped zygote again
    await asyncio.sleep(3)
    kill(process)
    launcher = launch()
    adopting = asyncio.create_task(launcher.adopt())
    await asyncio.sleep(0.2)
    os.kill(zygote, signal.SIGCONT)
    await adopting
    await settled(launcher, "r0", lambda s: s.ready and starts.read_text() != "started\n")
    await asyncio.sleep(0.3)
    assert starts.read_text() == "started\n" * 2


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is nobody's here."""
    with subprocess.Popen(("sleep", "300"), start_new_session=True) as process:
        yield process
        process.kill()


async def test_a_stranger_with_the_recorded_pid_is_not_touched(
    launch: Callable[..., Launcher],
    daemon: Daemon,
    settled: Any,
    state_dir: Path,
    stranger: subprocess.Popen[bytes],
) -> None:
    kill(daemon(2))
    ours = pids(state_dir)
    for name, pid in ours.items():
        os.kill(pid, signal.SIGKILL)
        _claim(state_dir / "replicas" / name, stranger.pid)
    await asyncio.sleep(0.2)
    launcher = launch()
    adopted = await launcher.adopt()
    assert all(s.pid != stranger.pid for s in adopted)
    for name in ours:
        await settled(launcher, name, lambda s: s.ready and s.restarts == 1)
    for name in ours:
        await launcher.stop(name, 1)
        await launcher.wait_stopped(name)
    assert stranger.poll() is None


def _claim(folder: Path, pid: int) -> None:
    """Make the files say that a stranger is the replica, his start time included."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19])
    record = json.loads((folder / "record.json").read_text())
    record["state"] |= {"pid": pid, "start_ticks": ticks}
    (folder / "record.json").write_text(json.dumps(record))
    lock = json.loads((folder / "lock").read_text())
    (folder / "lock").write_text(json.dumps(lock | {"pid": pid, "ticks": ticks}))


async def test_a_program_that_closes_all_its_files_is_still_known_by_its_mark(
    launch: Callable[..., Launcher], daemon: Daemon, state_dir: Path
) -> None:
    closing = "exec python3 -I -S -c 'import os,time; os.closerange(3, 99); time.sleep(300)'"
    kill(daemon(1, program=closing))
    await asyncio.sleep(0.5)
    before = pids(state_dir)
    (adopted,) = await launch().adopt()
    assert adopted.running
    assert adopted.pid == before["r0"]


async def test_an_ended_replica_does_not_leave_its_children_to_the_next_daemon(
    launch: Callable[..., Launcher],
    daemon: Daemon,
    settled: Any,
    state_dir: Path,
    tmp_path: Path,
    until: Until,
) -> None:
    process = daemon(1, program="setsid sleep 299 & echo $! > new; mv new child; exec sleep 300")
    written = tmp_path / "child"
    await until(written.exists)
    kill(process)
    child = int(written.read_text())
    os.kill(pids(state_dir)["r0"], signal.SIGKILL)
    await asyncio.sleep(0.1)
    launcher = launch()
    await launcher.adopt()
    await settled(launcher, "r0", lambda s: s.restarts == 1 and s.ready)
    assert has_ended(child)


async def test_a_stop_that_was_under_way_goes_on(
    launch: Callable[..., Launcher], daemon: Daemon, state_dir: Path, tmp_path: Path, until: Until
) -> None:
    process = daemon(1, program="trap '' TERM; touch up; while :; do sleep 0.05; done")
    await until((tmp_path / "up").exists)
    kill(process)
    first = launch()
    await first.adopt()
    await first.stop("r0", 1.0)
    await first.close(stop_all=False)
    second = launch()
    (state,) = await second.adopt()
    assert state.draining
    await asyncio.wait_for(second.wait_stopped("r0"), 3)
    assert not list((state_dir / "replicas").iterdir())


async def test_a_replica_in_its_back_off_goes_on_waiting(
    launch: Callable[..., Launcher], make: Make, settled: Any, tmp_path: Path
) -> None:
    first = launch()
    await first.adopt()
    await first.start(make("a", "sh", "-c", "echo started >> starts; exit 1"))
    before = await settled(first, "a", lambda s: s.restarts == 2 and s.back_off_until)
    await first.close(stop_all=False)
    second = launch()
    (state,) = await second.adopt()
    assert state.last_exit == before.last_exit
    assert state.back_off_until == before.back_off_until
    again = await settled(second, "a", lambda s: s.restarts == 3)
    assert again.restarts == 3
    assert time.time() >= before.back_off_until


async def test_a_record_that_cannot_be_read_is_forgotten_and_its_process_ended(
    launch: Callable[..., Launcher], daemon: Daemon, state_dir: Path
) -> None:
    kill(daemon(2))
    ours = pids(state_dir)
    (state_dir / "replicas/r1/record.json").write_text("{")
    (adopted,) = await launch().adopt()
    assert adopted.spec.replica == "r0"
    assert not (state_dir / "replicas/r1").exists()
    assert has_ended(ours["r1"])
