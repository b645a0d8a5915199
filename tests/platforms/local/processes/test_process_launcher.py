"""Real processes under the launcher: start, crash, restart, stop."""

import asyncio
import itertools
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sampan.machinery.errors import AlreadyExists, NotFound
from sampan.plan.observed import LinkState
from sampan.platforms.local.launcher import Launcher

Make = Callable[..., Any]

SLEEP = ("sleep", "300")


async def test_a_process_gets_its_port_and_environment_and_nothing_else(
    launcher: Launcher, make: Make, settled: Any, tmp_path: Path
) -> None:
    program = "env > seen; echo $0 > argument; exec sleep 300"
    spec = make(
        "a", "sh", "-c", program, "$(SAMPAN_PORT_8080)", env={"URL": ":$(SAMPAN_PORT_8080)/v1"}
    )
    await launcher.start(spec)
    state = await settled(launcher, "a", lambda s: s.ready and (tmp_path / "argument").exists())
    port = str(state.ports[8080])
    seen = dict(v.split("=", 1) for v in (tmp_path / "seen").read_text().splitlines())
    assert (tmp_path / "argument").read_text() == f"{port}\n"
    assert seen["URL"] == f":{port}/v1"
    assert seen["SAMPAN_PORT_8080"] == port
    ours = {"SAMPAN_PORT_8080", "SAMPAN_REPLICA_UID", "SAMPAN_TERMINATION_LOG", "NOTIFY_SOCKET"}
    assert set(seen) - ours - {"PWD", "SHLVL", "_", "OLDPWD"} == set(spec.env)


async def test_the_process_leads_a_session_of_its_own(
    launcher: Launcher, make: Make, settled: Any
) -> None:
    await launcher.start(make("a", *SLEEP))
    state = await settled(launcher, "a", lambda s: s.running)
    assert os.getsid(state.pid) == os.getpgid(state.pid) == state.pid


async def test_an_unknown_command_is_told_with_the_path_searched(
    launcher: Launcher, make: Make, settled: Any
) -> None:
    await launcher.start(make("a", "no-such-server", env={"PATH": "/usr/bin"}))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.code == 128
    assert state.last_exit.reason == "StartError"
    assert '"no-such-server" is not found on PATH "/usr/bin"' in state.last_exit.message


async def test_variables_that_double_each_other_are_told_and_take_no_memory(
    launcher: Launcher, make: Make, settled: Any
) -> None:
    env = {"A0": "0123456789"} | {f"A{n}": f"$(A{n - 1})$(A{n - 1})" for n in range(1, 60)}
    await launcher.start(make("a", *SLEEP, env=env))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert (state.last_exit.code, state.last_exit.reason) == (128, "StartError")
    assert 'the references of "$(A13)$(A13)" make over 131072 letters' in state.last_exit.message


async def test_a_missing_working_folder_is_named(
    launcher: Launcher, make: Make, settled: Any
) -> None:
    await launcher.start(make("a", *SLEEP, cwd="/no/such/folder"))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.reason == "StartError"
    assert '"/no/such/folder"' in state.last_exit.message


async def test_a_crash_is_told_with_code_message_and_last_lines(
    launcher: Launcher, make: Make, settled: Any
) -> None:
    told = '{"reason":"Bad","message":"m"}'
    program = f"seq 1 30; echo '{told}' >$SAMPAN_TERMINATION_LOG; exit 3"
    await launcher.start(make("a", "sh", "-c", program))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    found = state.last_exit
    assert (found.code, found.signal, found.reason, found.message) == (3, "", "Bad", "m")
    assert found.last_lines == tuple(str(n) for n in range(11, 31))
    assert found.started_at <= found.finished_at
    again = await settled(launcher, "a", lambda s: s.back_off_until)
    assert (again.load.state, again.load.reason) == (LinkState.FAILED, "Bad")


async def test_a_crash_loop_restarts_at_once_and_then_ever_more_slowly(
    launcher: Launcher, make: Make, settled: Any, tmp_path: Path
) -> None:
    await launcher.start(make("a", "sh", "-c", "date +%s.%N >> starts; exit 1"))
    await settled(launcher, "a", lambda s: s.restarts >= 4)
    state = await settled(launcher, "a", lambda s: s.back_off_until)
    starts = [float(line) for line in (tmp_path / "starts").read_text().split()]
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    # 0, 0.25, 0.5 and 1 s; a busy machine adds to each, and takes from none.
    assert gaps[0] < gaps[3]
    assert gaps[1] >= 0.2
    assert gaps[2] >= 0.4
    assert gaps[3] >= 0.8
    assert state.load.retry_at == state.back_off_until > state.last_exit.finished_at


async def test_a_signal_is_named(launcher: Launcher, make: Make, settled: Any) -> None:
    await launcher.start(make("a", *SLEEP))
    state = await settled(launcher, "a", lambda s: s.running)
    os.kill(state.pid, signal.SIGSEGV)
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert (state.last_exit.code, state.last_exit.signal) == (139, "SIGSEGV")


async def test_a_kill_for_want_of_memory_is_told_as_one(
    launcher: Launcher, make: Make, settled: Any, tmp_path: Path
) -> None:
    """The kernel's counter is the edge here: a file stands for it, the kill is real."""
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("oom_kill 3\n")
    memory = launcher._around.memory
    memory._vmstat = vmstat
    memory.tick()
    memory.tick()
    for kills, reason in ((3, "Error"), (4, "OOMKilled")):
        await launcher.start(make("a", *SLEEP))
        state = await settled(launcher, "a", lambda s: s.running)
        vmstat.write_text(f"oom_kill {kills}\n")
        os.kill(state.pid, signal.SIGKILL)
        state = await settled(launcher, "a", lambda s: s.last_exit)
        assert state.last_exit.reason == reason
        await launcher.stop("a", 1)
        await launcher.wait_stopped("a")


async def test_a_stop_is_graceful_and_leaves_nothing(
    launcher: Launcher, make: Make, settled: Any, tmp_path: Path, state_dir: Path
) -> None:
    program = "trap 'echo drained > drained; exit 0' TERM; touch up; while :; do sleep 0.02; done"
    await launcher.start(make("a", "sh", "-c", program))
    await settled(launcher, "a", lambda _: (tmp_path / "up").exists())
    await launcher.stop("a", 10)
    assert launcher.state("a").draining
    assert not launcher.state("a").ready
    await launcher.wait_stopped("a")
    assert (tmp_path / "drained").exists()
    assert not list((state_dir / "replicas").iterdir())
    assert not list((state_dir / "logs/default/iris").iterdir())
    with pytest.raises(NotFound):
        launcher.state("a")


async def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(
    launcher: Launcher, make: Make, settled: Any, tmp_path: Path
) -> None:
    program = "trap '' TERM; touch up; while :; do sleep 0.02; done"
    await launcher.start(make("a", "sh", "-c", program))
    await settled(launcher, "a", lambda _: (tmp_path / "up").exists())
    begun = time.monotonic()
    await launcher.stop("a", 0.3)
    await launcher.wait_stopped("a")
    assert 0.3 <= time.monotonic() - begun < 2


async def test_a_stop_that_is_asked_again_signals_once_and_takes_the_shorter_grace(
    launcher: Launcher, make: Make, settled: Any, tmp_path: Path
) -> None:
    program = "trap 'echo signal >> signals' TERM; touch up; while :; do sleep 0.02; done"
    await launcher.start(make("a", "sh", "-c", program))
    await settled(launcher, "a", lambda _: (tmp_path / "up").exists())
    begun = time.monotonic()
    for grace in (30, 0.4, 30):
        await launcher.stop("a", grace)
        await asyncio.sleep(0.1)
    await launcher.wait_stopped("a")
    assert 0.4 <= time.monotonic() - begun < 3
    assert (tmp_path / "signals").read_text() == "signal\n"


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param("", id="in the same group"),
        pytest.param("os.setpgid(0, 0)", id="in a group of its own"),
        pytest.param("os.setsid()", id="in a session of its own"),
    ],
)
async def test_grandchildren_go_with_their_replica(
    launcher: Launcher,
    make: Make,
    settled: Any,
    tmp_path: Path,
    python: tuple[str, ...],
    leave: str,
) -> None:
    program = f"""
import os, signal, time
if os.fork() == 0:
    {leave or "pass"}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("grandchild", "w").write(str(os.getpid()))
    time.sleep(300)
while not os.path.exists("grandchild") or not open("grandchild").read():
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL) if os.path.exists("die") else time.sleep(300)
"""
    await launcher.start(make("a", *python, program))
    child = tmp_path / "grandchild"
    await settled(launcher, "a", lambda _: child.exists() and child.read_text())
    pid = int(child.read_text())
    os.kill(pid, 0)
    await launcher.stop("a", 5)
    await launcher.wait_stopped("a")
    with pytest.raises(ProcessLookupError):
        _kill_zombie_aware(pid)


def _kill_zombie_aware(pid: int) -> None:
    """Raise ProcessLookupError for a zombie too: it is dead and only waits for init."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        raise ProcessLookupError from None
    if state in "ZX":
        raise ProcessLookupError


async def test_twenty_start_at_once_each_with_its_own_port(
    launcher: Launcher, make: Make, settled: Any
) -> None:
    names = [f"r{n}" for n in range(20)]
    await asyncio.gather(*(launcher.start(make(name, *SLEEP)) for name in names))
    for name in names:
        await settled(launcher, name, lambda s: s.ready)
    states = launcher.states()
    assert len({s.pid for s in states}) == 20
    assert len({s.ports[8080] for s in states}) == 20


async def test_a_stop_during_the_back_off_ends_the_waiting(
    launch: Callable[..., Launcher], make: Make, settled: Any
) -> None:
    launcher = launch()
    await launcher.start(make("a", "false"))
    await settled(launcher, "a", lambda s: s.restarts >= 2)
    begun = time.monotonic()
    await launcher.stop("a", 30)
    await launcher.wait_stopped("a")
    assert time.monotonic() - begun < 0.5


async def test_a_stop_right_after_the_start_leaves_nothing(launcher: Launcher, make: Make) -> None:
    for n in range(60):
        await launcher.start(make(f"r{n}", *SLEEP))
        await asyncio.sleep(0.0002 * n)
        await launcher.stop(f"r{n}", 30)
    async with asyncio.timeout(10):  # less than the grace: each has heard its SIGTERM
        await asyncio.gather(*(launcher.wait_stopped(f"r{n}") for n in range(60)))
    assert launcher.states() == ()


async def test_a_start_of_the_same_spec_changes_nothing(
    launcher: Launcher, make: Make, settled: Any
) -> None:
    await launcher.start(make("a", *SLEEP))
    pid = (await settled(launcher, "a", lambda s: s.running)).pid
    assert (await launcher.start(make("a", *SLEEP))).pid == pid
    with pytest.raises(AlreadyExists, match='"a" is there already'):
        await launcher.start(make("a", "sleep", "1"))


async def test_a_port_taken_by_a_stranger_is_left_to_him(
    launcher: Launcher, make: Make, settled: Any, python: tuple[str, ...], tmp_path: Path
) -> None:
    program = """
import os, socket, sys, time
while not os.path.exists("go"):
    time.sleep(0.01)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(300)
"""
    probe = {"tcpSocket": {"port": 8080}}
    await launcher.start(make("a", *python, program, "$(SAMPAN_PORT_8080)", readiness=probe))
    first = (await settled(launcher, "a", lambda s: s.running)).ports[8080]
    with socket.create_server(("127.0.0.1", first)) as stranger:
        (tmp_path / "go").touch()
        state = await settled(launcher, "a", lambda s: s.restarts == 1 and s.ready)
        assert state.ports[8080] != first
        assert "Address already in use" in state.last_exit.last_lines[-1]
        assert stranger.fileno() >= 0


async def test_each_change_is_announced(
    make: Make, launch: Callable[..., Launcher], settled: Any
) -> None:
    heard: list[tuple[bool, bool] | None] = []

    def hear(_: object) -> None:
        heard.append(next(((s.running, s.ready) for s in launcher.states()), None))

    launcher = launch(on_change=hear)
    await launcher.start(make("a", *SLEEP))
    await settled(launcher, "a", lambda s: s.ready)
    await launcher.stop("a", 5)
    await launcher.wait_stopped("a")
    await asyncio.sleep(0)
    assert (True, False) in heard
    assert (True, True) in heard
    assert heard[-1] is None


async def test_a_restart_keeps_the_log_of_the_run_before(
    launcher: Launcher, make: Make, settled: Any
) -> None:
    spec = make("a", "sh", "-c", "date +%N; [ -e second ] || { touch second; exit 1; }; sleep 300")
    await launcher.start(spec)
    state = await settled(launcher, "a", lambda s: s.restarts == 1 and s.running)
    await asyncio.sleep(0.1)
    now = [line async for line in launcher.logs.tail(spec.service, "a")]
    before = [line async for line in launcher.logs.tail(spec.service, "a", previous=True)]
    assert len(now) == len(before) == 1
    assert now != before
    assert tuple(before) == state.last_exit.last_lines


async def test_a_full_disk_is_told_and_outlived(
    launcher: Launcher, make: Make, settled: Any, state_dir: Path, tmp_path: Path
) -> None:
    """A folder that is a file stands for the disk that takes nothing: the same OSError path."""
    (state_dir / "logs").mkdir(parents=True, exist_ok=True)
    (state_dir / "logs/default").touch()
    await launcher.start(make("a", *SLEEP))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.reason == "StartError"
    assert "logs/default" in state.last_exit.message
    (state_dir / "logs/default").unlink()
    await settled(launcher, "a", lambda s: s.ready)


async def test_a_mistake_of_ours_ends_the_replica_and_is_told(
    launcher: Launcher, make: Make, settled: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await launcher.start(make("a", *SLEEP, env={"NOT_TEXT": 1}))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.reason == "InternalError"
    assert "TypeError" in state.last_exit.message
    assert "Traceback" in caplog.text


async def test_the_record_of_a_running_replica_names_its_process(
    launcher: Launcher, make: Make, settled: Any, state_dir: Path
) -> None:
    await launcher.start(make("a", *SLEEP))
    state = await settled(launcher, "a", lambda s: s.running)
    record = json.loads((state_dir / "replicas/a/record.json").read_text())
    lock = json.loads((state_dir / "replicas/a/lock").read_text())
    assert record["state"]["pid"] == lock["pid"] == state.pid
    assert record["state"]["start_ticks"] == lock["ticks"] == state.start_ticks > 0
    assert record["uid"] == lock["uid"]
