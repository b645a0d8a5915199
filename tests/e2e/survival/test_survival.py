"""What happens when parts die, ends are abrupt, and the machine is not as it should be."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

SAMPAN = str(Path(sys.executable).parent / "sampan")


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def kill_daemon(sampan: Any) -> int:
    pid = int(sampan.daemon["pid"])
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 5, "the daemon is gone")
    return pid


def pods(sampan: Any) -> dict[str, int]:
    """Return the pid of each replica, as its record says."""
    found = {}
    for path in (sampan.state / "replicas").glob("*/record.json"):
        state = json.loads(path.read_text())["state"]
        found[state["spec"]["replica"]] = state["pid"]
    return found


def test_models_answer_while_the_daemon_is_dead_and_the_next_daemon_adopts_them(
    make_sampan: Callable[[], Any],
    isvc: Callable[..., str],
    iris: Path,
    load: Callable[..., AbstractContextManager[Any]],
) -> None:
    sampan = make_sampan()
    sampan.up()
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    envoy = json.loads((sampan.state / "gateway" / "envoy.json").read_text())["pid"]
    before = pods(sampan)
    with load(sampan.port, "iris") as sent:
        time.sleep(0.3)
        kill_daemon(sampan)
        time.sleep(1.0)
        sampan.up()
        sampan.wait_ready("iris", 10)
        time.sleep(0.5)
    assert sent.failures == []
    assert sent.answers > 100
    assert pods(sampan) == before
    assert json.loads((sampan.state / "gateway" / "envoy.json").read_text())["pid"] == envoy
    assert sampan.why("iris")["ready"]


def test_a_new_daemon_never_says_not_ready_of_a_service_that_serves(
    make_sampan: Callable[[], Any],
    isvc: Callable[..., str],
    iris: Path,
    make_api: Callable[[Any], Any],
) -> None:
    sampan = make_sampan()
    sampan.up()
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    before = sampan.kubectl("get", "isvc", "iris", "-o", "jsonpath={.status}")
    kill_daemon(sampan)
    sampan.up()
    # Answered from the first moment on, and not one condition has changed its time.
    assert sampan.kubectl("get", "isvc", "iris", "-o", "jsonpath={.status}") == before


def test_down_after_the_daemon_died_leaves_nothing(
    make_sampan: Callable[[], Any],
    isvc: Callable[..., str],
    iris: Path,
    living: Callable[[Path], list[int]],
) -> None:
    sampan = make_sampan()
    sampan.up()
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    kill_daemon(sampan)
    assert living(sampan.home) != []
    told = sampan.cli("down")
    assert "of a daemon that had died" in told
    assert living(sampan.home) == []


@pytest.mark.slow
def test_what_was_applied_comes_back_after_down_and_up(
    make_sampan: Callable[[], Any], isvc: Callable[..., str], iris: Path
) -> None:
    sampan = make_sampan()
    sampan.up()
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    sampan.cli("down")
    sampan.up()
    sampan.wait_ready("iris", 20)
    assert sampan.predict("iris", {"instances": [[6.8, 2.8, 4.8, 1.4]]}) == (
        200,
        {"predictions": [1]},
    )


def run_in_terminal(sampan: Any, file: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start `sampan run` as the leader of a terminal of its own; return it and the other end."""
    ours, theirs = pty.openpty()
    command = [SAMPAN, "run", str(file), "--port", str(sampan.port)]
    process = subprocess.Popen(
        # setsid -c makes standard input the controlling terminal: closing it sends SIGHUP
        ["setsid", "--ctty", "--wait", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**sampan.env, "TMPDIR": str(sampan.home)},
    )
    os.close(theirs)
    return process, ours


ENDINGS = {
    "Ctrl-C": signal.SIGINT,
    "SIGTERM": signal.SIGTERM,
    "SIGHUP": signal.SIGHUP,
    "SIGKILL of the command itself": signal.SIGKILL,
}


@pytest.mark.parametrize("ending", [*ENDINGS, "its terminal is closed", "Ctrl-C at once"])
def test_however_run_ends_no_process_and_no_folder_is_left(
    ending: str,
    make_sampan: Callable[[], Any],
    isvc: Callable[..., str],
    iris: Path,
    tmp_path: Path,
    living: Callable[[Path], list[int]],
) -> None:
    sampan = make_sampan()
    file = tmp_path / "isvc.yaml"
    file.write_text(isvc("iris", iris))
    process, terminal = run_in_terminal(sampan, file)
    states = lambda: list(sampan.home.glob("sampan-run-*"))  # noqa: E731 # asked many times below
    if ending == "Ctrl-C at once":
        wait_until(lambda: bool(states()), 10, "the folder is made")
        os.write(terminal, b"\x03")
    else:
        wait_for_output(terminal, b"serving until Ctrl-C", 30)
        if ending == "Ctrl-C":
            os.write(terminal, b"\x03")
        elif ending in ENDINGS:
            os.kill(child_of(process.pid), ENDINGS[ending])
    began = time.monotonic()
    os.close(terminal) if ending == "its terminal is closed" else None
    process.wait(20)
    wait_until(lambda: living(sampan.home) == [], 10, f"nothing is left: {living(sampan.home)}")
    wait_until(lambda: states() == [], 10, f"no folder is left: {states()}")
    assert time.monotonic() - began < 4
    if ending != "its terminal is closed":
        os.close(terminal)


def wait_for_output(terminal: int, text: bytes, seconds: float) -> None:
    said, deadline = b"", time.monotonic() + seconds
    while text not in said:
        ready, _, _ = select.select([terminal], [], [], deadline - time.monotonic())
        assert ready, f"not said within {seconds} s: {said.decode()}"
        try:
            said += os.read(terminal, 65536)
        except OSError:
            raise AssertionError(f"ended, saying: {said.decode()}") from None


def child_of(pid: int) -> int:
    """Return the command that setsid runs: itself, or the child it forked as a group's leader."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return int(children[0]) if command.startswith(b"setsid") else pid


def test_a_second_daemon_on_one_state_folder_says_so_and_the_first_is_unharmed(
    make_sampan: Callable[[], Any], isvc: Callable[..., str], iris: Path
) -> None:
    sampan = make_sampan()
    sampan.up()
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    before, first = pods(sampan), sampan.daemon
    second = subprocess.run(
        [sys.executable, "-m", "sampan.app.local", "--state", str(sampan.state), "--port", "0"],
        env=sampan.env,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 3
    assert f"another daemon (pid {first['pid']}) uses the state folder" in second.stderr
    assert "Traceback" not in second.stderr
    assert sampan.daemon == first
    assert pods(sampan) == before
    assert sampan.why("iris")["ready"]
    assert f"up already (pid {first['pid']})" in sampan.run("up").stderr


def test_a_taken_gateway_port_is_named_with_who_holds_it(
    make_sampan: Callable[[], Any], living: Callable[[Path], list[int]]
) -> None:
    sampan = make_sampan()
    with socket.create_server(("127.0.0.1", sampan.port)):
        told = sampan.run("up", "--port", str(sampan.port))
    assert told.returncode == 3
    assert f"port {sampan.port} on 127.0.0.1 is taken by process {os.getpid()}" in told.stderr
    assert "--port" in told.stderr
    assert living(sampan.home) == []


def test_a_taken_api_port_is_named(make_sampan: Callable[[], Any]) -> None:
    sampan = make_sampan()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = sampan.run("up", "--port", str(sampan.port), "--api-port", str(port))
    assert told.returncode == 3
    assert f"port {port}" in told.stderr
    assert "--api-port" in told.stderr


def test_a_state_folder_that_cannot_be_made_is_named(make_sampan: Callable[[], Any]) -> None:
    sampan = make_sampan()
    (sampan.home / "state").write_text("a file where the folder belongs")
    told = sampan.run("up", "--port", str(sampan.port))
    assert told.returncode == 3
    assert str(sampan.state) in told.stderr
    assert "Traceback" not in told.stderr


def test_a_full_disk_refuses_the_write_with_the_reason_and_the_daemon_stays_up(
    make_sampan: Callable[[], Any], make_api: Callable[[Any], Any]
) -> None:
    sampan = make_sampan()
    sampan.up()
    pid = sampan.daemon["pid"]
    api = make_api(sampan)
    maps = "/api/v1/namespaces/default/configmaps"
    size = max(p.stat().st_size for p in sampan.state.glob("store.db*"))
    # A limit on the size of files stands for the disk's: SQLite sees its write refused.
    subprocess.run(["prlimit", f"--fsize={size + 4096}:", "--pid", str(pid)], check=True)
    big = {"metadata": {"name": "big"}, "data": {"text": "x" * 200_000}}
    status, told = api.ask("POST", maps, big)
    assert status == 500, told
    assert "disk" in told["message"]
    subprocess.run(["prlimit", "--fsize=unlimited:", "--pid", str(pid)], check=True)
    assert api.ask("GET", f"{maps}/big")[0] == 404
    assert api.ask("POST", maps, big)[0] == 201
    assert sampan.daemon["pid"] == pid
    os.kill(pid, 0)


@pytest.mark.slow
def test_records_of_another_boot_are_started_anew_and_no_stranger_is_touched(
    make_sampan: Callable[[], Any],
    isvc: Callable[..., str],
    iris: Path,
    living: Callable[[Path], list[int]],
) -> None:
    """A reboot ends every process; their numbers may be strangers' afterwards."""
    sampan = make_sampan()
    sampan.up()
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    kill_daemon(sampan)
    for pid in living(sampan.home):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: living(sampan.home) == [], 5, "all has ended, as at a reboot")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        ticks = int(Path(f"/proc/{stranger.pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
        for path in (sampan.state / "replicas").glob("*/record.json"):
            record = json.loads(path.read_text())
            record["boot_id"] = "00000000-0000-0000-0000-000000000000"
            record["state"] |= {"pid": stranger.pid, "start_ticks": ticks}
            path.write_text(json.dumps(record))
        envoy = sampan.state / "gateway" / "envoy.json"
        envoy.write_text(
            json.dumps({**json.loads(envoy.read_text()), "pid": stranger.pid, "startTicks": ticks})
        )
        (sampan.state / "daemon.lock").write_text(f"{stranger.pid}\n")
        sampan.up()
        told = sampan.wait_ready("iris", 20)
        assert told["ready"]
        assert stranger.poll() is None
        sampan.cli("down")
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.slow
def test_an_upgrade_that_hashes_templates_anew_restarts_no_model(
    make_sampan: Callable[[], Any], isvc: Callable[..., str], iris: Path
) -> None:
    sampan = make_sampan()
    sampan.up()
    sampan.apply(isvc("iris", iris))
    sampan.wait_ready("iris")
    before = pods(sampan)
    kill_daemon(sampan)
    # As an older Sampan would have written it: other hashes, of another version.
    for path in [
        *(sampan.state / "replicas").glob("*/record.json"),
        *(sampan.state / "prepared").rglob("*.json"),
    ]:
        path.write_text(path.read_text().replace('"v1-', '"v0-'))
    sampan.up()
    sampan.wait_ready("iris", 10)
    time.sleep(1.0)
    assert pods(sampan) == before
    # From now on a change is a change again.
    sampan.apply(isvc("iris", iris, "      env: [{name: COLOUR, value: green}]"))
    wait_until(lambda: not set(pods(sampan)) & set(before), 20, "the change is rolled out")
    sampan.wait_ready("iris", 10)
