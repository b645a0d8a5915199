"""Forking replicas from a process that has imported for them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sampan.machinery.clock import SystemClock
from sampan.platforms.local import zygote_child
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.process import Zygote
from sampan.platforms.local.zygote import make_key, shared_env

Make = Callable[..., Any]

SLEEPER = """
import time

def main(arguments):
    time.sleep(300)
"""


@pytest.fixture
def zygote(tmp_path: Path) -> Callable[..., Zygote]:
    """Write a module `program`, and return a zygote whose entry is its `main`."""

    def write(body: str = SLEEPER, *preload: str) -> Zygote:
        (tmp_path / "program.py").write_text(body)
        return Zygote(sys.executable, preload or ("program",), "program:main")

    return write


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


async def test_the_entry_runs_with_arguments_environment_and_folder_of_the_replica(
    launcher: Launcher, make: Make, zygote: Any, settled: Any, tmp_path: Path
) -> None:
    body = """
import json, os, signal, sys, threading

def main(arguments):
    print(json.dumps({
        "arguments": arguments, "argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(),
        "threads": threading.active_count(), "main": __name__,
        "term": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "files": len(os.listdir("/proc/self/fd")),
    }))
    return 7
"""
    spec = make("a", "serve", "--port", "$(SAMPAN_PORT_8080)", zygote=zygote(body), env={"X": "1"})
    await launcher.start(spec)
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.code == 7
    seen = json.loads(state.last_exit.last_lines[-1])
    port = str(state.ports[8080])
    assert seen["argv"] == ["serve", "--port", port]
    assert seen["arguments"] == ["--port", port]
    assert seen["cwd"] == str(tmp_path)
    ours = {"SAMPAN_PORT_8080", "SAMPAN_REPLICA_UID", "SAMPAN_TERMINATION_LOG"}
    # No socket stands at a path that is too long for one.
    assert set(seen["env"]) - {"NOTIFY_SOCKET"} == set(spec.env) | ours
    assert (seen["threads"], seen["term"]) == (1, True)
    assert seen["files"] == 5  # three outputs, the lock, and the listing itself


async def test_replicas_share_what_was_imported(
    launcher: Launcher, make: Make, zygote: Any, settled: Any
) -> None:
    body = "import os, time\nborn = os.getpid()\ndef main(a):\n    print(born)\n    time.sleep(300)"
    shared = zygote(body)
    for name in ("a", "b"):
        await launcher.start(make(name, "x", zygote=shared))
    pids = [(await settled(launcher, n, lambda s: s.running)).pid for n in ("a", "b")]
    assert parent(pids[0]) == parent(pids[1])
    for name in ("a", "b"):
        await settled(
            launcher,
            name,
            lambda s: (
                launcher.logs.last_lines(s.spec.service, s.spec.replica, 1)
                == (str(parent(pids[0])),)
            ),
        )


async def test_random_numbers_differ_between_replicas(
    launcher: Launcher, make: Make, zygote: Any, settled: Any
) -> None:
    body = """
import random, numpy

def main(arguments):
    print(random.random(), numpy.random.rand())
"""
    shared = zygote(body)
    drawn = []
    for name in ("a", "b"):
        await launcher.start(make(name, "x", zygote=shared))
        state = await settled(launcher, name, lambda s: s.last_exit)
        drawn.extend(state.last_exit.last_lines[0].split())
    assert len(set(drawn)) == 4


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(("def main(a):\n    return 4", 4, '"4"'), id="a returned number"),
        pytest.param(("def main(a):\n    pass", 0, '"0"'), id="nothing returned"),
        pytest.param(("def main(a):\n    raise SystemExit(5)", 5, '"5"'), id="SystemExit"),
        pytest.param(
            ("def main(a):\n    raise ValueError('no model')", 1, "ValueError: no model"),
            id="raised",
        ),
        pytest.param(("import os\ndef main(a):\n    os._exit(6)", 6, '"6"'), id="a hard exit"),
        pytest.param(("", 1, "has no attribute 'main'"), id="no such entry"),
    ],
)
async def test_the_end_of_an_entry_is_the_exit_of_the_replica(
    launcher: Launcher, make: Make, zygote: Any, settled: Any, row: tuple[str, int, str]
) -> None:
    body, code, message = row
    await launcher.start(make("a", "x", zygote=zygote(body)))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.code == code
    assert message in state.last_exit.message


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            ("import nosuch", "ImportFailed", 'importing "program" raised'), id="no such module"
        ),
        pytest.param(("raise SystemExit(3)", "ImportFailed", "SystemExit: 3"), id="exit on import"),
        pytest.param(
            ("import os\nprint('dying', flush=True)\nos._exit(9)", "ZygoteDied", "ended"),
            id="sudden death",
        ),
    ],
)
async def test_an_import_that_does_not_work_is_told_and_tried_again(
    launcher: Launcher,
    make: Make,
    zygote: Any,
    settled: Any,
    row: tuple[str, str, str],
) -> None:
    body, reason, message = row
    await launcher.start(make("a", "x", zygote=zygote(body)))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.reason == reason
    assert message in state.last_exit.message
    assert state.last_exit.last_lines
    zygote(SLEEPER)
    await settled(launcher, "a", lambda s: s.ready)


async def test_an_interpreter_that_is_not_there_is_named(
    launcher: Launcher, make: Make, settled: Any
) -> None:
    await launcher.start(make("a", "x", zygote=Zygote("/no/python", ("json",), "json:loads")))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert state.last_exit.reason == "StartError"
    assert '"/no/python"' in state.last_exit.message


async def test_imports_that_start_threads_are_not_forked_but_run(
    launcher: Launcher, make: Make, zygote: Any, settled: Any, caplog: pytest.LogCaptureFixture
) -> None:
    body = """
import sys, threading, time
threading.Thread(target=time.sleep, args=(300,), daemon=True, name="busy").start()

def main(arguments):
    print(threading.active_count(), sys.argv)
    return 3
"""
    await launcher.start(make("a", "serve", "one", zygote=zygote(body)))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    assert (state.last_exit.code, state.last_exit.last_lines) == (3, ("2 ['serve', 'one']",))
    assert "started without a fork" in caplog.text


async def test_blas_threads_do_not_keep_a_framework_from_forking(
    launcher: Launcher, make: Make, zygote: Any, settled: Any
) -> None:
    body = """
import os, numpy

def main(arguments):
    before = len(os.listdir("/proc/self/task"))
    numpy.ones((600, 600)) @ numpy.ones((600, 600))
    print(before, len(os.listdir("/proc/self/task")))
"""
    await launcher.start(make("a", "x", zygote=zygote(body, "numpy", "program")))
    state = await settled(launcher, "a", lambda s: s.last_exit)
    before, after = map(int, state.last_exit.last_lines[-1].split())
    assert before == 1
    assert after == len(os.sched_getaffinity(0))


async def test_a_killed_zygote_leaves_its_replicas_running_and_is_replaced(
    launcher: Launcher, make: Make, zygote: Any, settled: Any
) -> None:
    shared = zygote()
    await launcher.start(make("a", "x", zygote=shared))
    first = await settled(launcher, "a", lambda s: s.ready)
    old = parent(first.pid)
    os.kill(old, signal.SIGKILL)
    await launcher.start(make("b", "x", zygote=shared))
    second = await settled(launcher, "b", lambda s: s.ready)
    assert launcher.state("a").running
    assert launcher.state("a").pid == first.pid
    assert parent(second.pid) != old


async def test_a_zygote_whose_daemon_is_gone_ends_once_it_has_no_children(
    launch: Callable[..., Launcher], make: Make, zygote: Any, settled: Any
) -> None:
    launcher = launch(zygote_idle_seconds=0.3)
    await launcher.start(make("a", "x", zygote=zygote()))
    pid = (await settled(launcher, "a", lambda s: s.ready)).pid
    forked_from = parent(pid)
    await launcher.close(stop_all=False)
    await asyncio.sleep(0.6)
    assert _lives(forked_from)
    os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(0.8)
    assert not _lives(forked_from)


def _lives(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(") ")[2][0] not in "ZX"


async def test_a_warmed_zygote_has_imported_before_the_start(
    launcher: Launcher, make: Make, zygote: Any, settled: Any, until: Any
) -> None:
    spec = make("a", "x", zygote=zygote("import time\nborn = time.time()\n" + SLEEPER))
    launcher.warm(spec)
    pool = launcher._around.zygotes
    await until(pool.connections)
    (warm,) = pool.connections()
    await launcher.start(spec)
    state = await settled(launcher, "a", lambda s: s.running)
    assert parent(state.pid) == warm.pid


async def test_a_state_folder_may_have_a_path_longer_than_a_socket_address(
    state_dir: Path, make: Make, settled: Any
) -> None:
    folder = state_dir / ("a-long-name-" * 12)
    for _ in range(2):
        launcher = Launcher(folder, SystemClock(), lambda _: None)
        await launcher.adopt()
        await launcher.start(make("a", "sleep", "300"))
        await settled(launcher, "a", lambda s: s.ready)
        await launcher.close(stop_all=False)
    last = Launcher(folder, SystemClock(), lambda _: None)
    (adopted,) = await last.adopt()
    assert adopted.restarts == 0
    await last.close(stop_all=True)


async def test_too_many_zygotes_retire_the_one_used_longest_ago(
    launch: Callable[..., Launcher], make: Make, zygote: Any, settled: Any
) -> None:
    launcher = launch(most_zygotes=2)
    shared = zygote("def main(a):\n    return 0")
    parents = []
    for number in range(3):
        name = f"r{number}"
        await launcher.start(make(name, "x", zygote=shared, env={"FLAVOUR": name}))
        await settled(launcher, name, lambda s: s.last_exit)
        parents = [c.pid for c in launcher._around.zygotes.connections()]
        await launcher.stop(name, 1)
    await asyncio.sleep(0.3)
    assert [_lives(p) for p in parents].count(True) == 2


async def test_a_fork_whose_zygote_dies_before_it_answers_is_not_left_behind(
    launcher: Launcher, make: Make, zygote: Any, settled: Any, tmp_path: Path
) -> None:
    once = f"""
import os, pathlib, sys, time

def die_once():
    killed = pathlib.Path({str(tmp_path / "killed")!r})
    if sys._getframe(1).f_code.co_name == "_fork" and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), 9)

os.register_at_fork(after_in_parent=die_once)

def main(arguments):
    with open({str(tmp_path / "started")!r}, "a") as out:
        out.write(f"{{os.getpid()}}\\n")
    time.sleep(300)
"""
    await launcher.start(make("r", zygote=zygote(once)))
    state = await settled(launcher, "r", lambda s: s.running)
    await asyncio.sleep(0.3)
    assert state.restarts == 1
    pids = [int(line) for line in (tmp_path / "started").read_text().split()]
    assert [pid for pid in pids if _lives(pid)] == [state.pid]


def test_replicas_share_a_zygote_when_only_their_own_variables_differ() -> None:
    shared = Zygote("python", ("numpy",), "a:b")

    def key(**env: str) -> str:
        return make_key(shared, shared_env(env))

    assert key(A="1", MODEL_NAME="x", SAMPAN_Y="1") == key(A="1", MODEL_NAME="z", SAMPAN_Y="2")
    assert key(INFERENCE_SERVICE_NAME="a", HOSTNAME="a-0") == key(INFERENCE_SERVICE_NAME="b")
    assert key(A="1", URL=":$(SAMPAN_PORT_1)") == key(A="1", URL="x:$(SAMPAN_PORT_2)")
    assert key(A="1") != key(A="2")
    assert key(OMP_NUM_THREADS="1") != key(OMP_NUM_THREADS="2")


def test_the_program_imports_nothing_but_the_standard_library() -> None:
    script = f"""
import runpy, sys
runpy.run_path({zygote_child.__file__!r}, run_name="zygote")
print([m for m in sys.modules if m.partition(".")[0] in ("sampan", "pydantic", "numpy")])
"""
    out = subprocess.run(
        (sys.executable, "-I", "-S", "-c", script), capture_output=True, text=True, check=True
    )
    assert out.stdout == "[]\n"


async def test_a_fork_is_much_sooner_ready_than_an_import(
    launcher: Launcher,
    make: Make,
    zygote: Any,
    settled: Any,
    record_property: Callable[[str, object], None],
) -> None:
    body = """
import socket, sys
import sklearn.svm

def main(arguments):
    server = socket.create_server(("127.0.0.1", int(arguments[0])))
    while True:
        connection, _ = server.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
        connection.close()
"""
    shared = zygote(body)
    probe = {"httpGet": {"port": 8080}}
    times = []
    for number in range(4):
        begun = time.perf_counter()
        spec = make(f"r{number}", "x", "$(SAMPAN_PORT_8080)", zygote=shared, readiness=probe)
        await launcher.start(spec)
        await settled(launcher, spec.replica, lambda s: s.ready)
        times.append(time.perf_counter() - begun)
    first, *later = times
    record_property("first_ms", round(first * 1000))
    record_property("later_ms", [round(t * 1000) for t in later])
    assert min(later) < 0.2
    assert min(later) * 3 < first
