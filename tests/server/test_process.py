"""The server as a process: start, load, refuse, drain. `python -m sampan.app.serve`."""

from __future__ import annotations

import http.client
import json
import operator
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

BODY = '{"instances":[[6.8,2.8,4.8,1.4],[6.0,3.4,4.5,1.6]]}'


class Started:
    """A server process."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.termination = folder.parent / "termination.json"
        environment = {**os.environ, "SAMPAN_TERMINATION_LOG": str(self.termination), **variables}
        port = () if any("http_port" in a for a in arguments) else (f"--http_port={self.port}",)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sampan.app.serve", f"--model_dir={folder}", *port, *arguments],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, path: str, body: str | None = None) -> tuple[int, str]:
        """Ask once."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST" if body else "GET", path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def until(self, path: str, status: int, seconds: float = 30) -> None:
        """Wait until the path answers with the status."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.ask(path)[0] == status:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"{path} never answered {status}")

    def ended(self) -> tuple[int, dict[str, Any], str]:
        """Return exit code, termination message and standard error."""
        _, errors = self.process.communicate(timeout=30)
        told = json.loads(self.termination.read_text()) if self.termination.exists() else {}
        return self.process.returncode, told, errors


@pytest.fixture
def start(tmp_path):
    """Start servers, and end them."""
    started: list[Started] = []

    def starter(folder: Path, *arguments: str, **variables: str) -> Started:
        started.append(Started(folder, *arguments, **variables))
        return started[-1]

    yield starter
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate()


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the tutorial's model."""
    place = tmp_path / "models"
    place.mkdir()
    joblib.dump(SVC(gamma="scale").fit(*load_iris(return_X_y=True)), place / "model.joblib")
    return place


def test_it_serves_kserves_arguments_and_ends_with_0(start, folder):
    server = start(folder, "--model_name", "iris", "--max_threads=4", "--nonsense")
    server.until("/v2/health/ready", 200)
    assert server.ask("/v1/models/iris:predict", BODY) == (200, '{"predictions":[1,1]}')
    server.process.send_signal(signal.SIGTERM)
    code, told, errors = server.ended()
    assert (code, told) == (0, {})
    assert 'argument "--max_threads" is not honoured' in errors
    assert 'argument "--nonsense" is not honoured' in errors


class Sleep:
    """Sleeps while it is unpickled: a load that takes long."""

    def __reduce__(self) -> Any:
        return time.sleep, (1.5,)


class Second:
    """Unpickles as the estimator, once the sleep before it is over."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def __reduce__(self) -> Any:
        return operator.getitem, ([Sleep(), self.estimator], 1)


def test_health_answers_while_the_model_loads(start, folder):
    estimator = joblib.load(folder / "model.joblib")
    (folder / "model.joblib").write_bytes(pickle.dumps(Second(estimator)))
    server = start(folder, "--model_name=iris", "--trust")
    server.until("/", 200)
    for path in ("/v2/health/ready", "/v1/models/iris", "/v2/models/iris/ready"):
        assert server.ask(path)[0] == 503
    assert server.ask("/v1/models/iris:predict", BODY)[0] == 503
    server.until("/v2/health/ready", 200)
    assert server.ask("/v1/models/iris:predict", BODY)[0] == 200


def test_sigterm_finishes_the_request_that_is_being_sent(start, folder):
    server = start(folder, "--model_name=iris")
    server.until("/v2/health/ready", 200)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /v1/models/iris:predict HTTP/1.1\r\nHost: a\r\n"
            + f"Content-Length: {len(BODY)}\r\n\r\n".encode()
            + BODY[:10].encode()
        )
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        connection.sendall(BODY[10:].encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.endswith(b'{"predictions":[1,1]}')
    assert b"connection: close" in answer
    assert server.ended()[0] == 0


def test_the_grace_period_ends_the_wait(start, folder):
    server = start(folder, "--model_name=iris", "--grace_period=0.2")
    server.until("/v2/health/ready", 200)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        code, _, errors = server.ended()
    assert code == 0
    assert "1 connections were cut off" in errors


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.weights", b"x", "ModelMissing"),
        ("model.bst", b"x", "ModelCorrupt"),
        ("model.pkl", b"junk", "ModelCorrupt"),
        ("model.pkl", b"cposix\nsystem\n\x8c\x04true\x85R.", "ModelUntrusted"),
    ],
)
def test_a_model_that_cannot_be_served_ends_the_process_with_the_reason(
    start, tmp_path, name, content, reason
):
    place = tmp_path / "models"
    place.mkdir()
    (place / name).write_bytes(content)
    server = start(place, "--model_name=m")
    code, told, errors = server.ended()
    assert (code, told["reason"]) == (1, reason)
    assert told["message"] in errors
    assert server.termination.stat().st_mode & 0o777 == 0o600


def test_a_taken_port_is_named(start, folder):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        code, told, _ = start(folder, f"--http_port={port}").ended()
    assert (code, told["reason"]) == (3, "PortTaken")
    assert str(port) in told["message"]


@pytest.mark.parametrize("arguments", [("--http_port=x",), ("--runtime=nope",)])
def test_a_wrong_value_is_a_usage_error(start, folder, arguments):
    assert start(folder, *arguments).ended()[0] == 2


@pytest.mark.parametrize(
    ("variable", "value"), [("SAMPAN_TRUST", "perhaps"), ("KSERVE_LOGLEVEL", "LOUD")]
)
def test_a_wrong_variable_is_a_usage_error_that_names_the_value(start, folder, variable, value):
    code, _, errors = start(folder, **{variable: value}).ended()
    assert code == 2
    assert value in errors


def test_folders_in_the_folder_are_models_and_a_broken_one_harms_no_other(start, folder, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "broken").mkdir()
    (root / "good").mkdir()
    (folder / "model.joblib").rename(root / "good" / "model.joblib")
    server = start(root)
    server.until("/v1/models/good", 200)
    assert server.ask("/v1/models/good:predict", BODY)[0] == 200
    status, text = server.ask("/v1/models/broken")
    assert (status, "no model file" in text) == (503, True)
    assert server.ask("/v2/repository/models/..%2Fgood/load", "{}")[0] in {404, 503}
    assert server.ask("/v2/repository/models/../load", "{}")[0] in {404, 503}


def test_loopback_is_the_default(start, folder):
    server = start(folder, "--model_name=iris")
    server.until("/", 200)
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{server.port:04X}" in listening
    assert f"00000000:{server.port:04X}" not in listening


def test_a_fork_with_the_modules_imported_serves(folder, tmp_path):
    """What a zygote does: import everything, fork, call the entry."""
    code = (
        "import importlib, os, sys\n"
        "from sampan.runtimes.sklearn import RUNTIME\n"
        "for name in RUNTIME.preload: importlib.import_module(name)\n"
        "module, _, entry = RUNTIME.entry.partition(':')\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os._exit(getattr(sys.modules[module], entry)(sys.argv[1:]))\n"
        "print(pid, flush=True)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    zygote = subprocess.Popen(
        [sys.executable, "-c", code, *("--runtime=sklearn", "--model_name=iris"),
         f"--model_dir={folder}", f"--http_port={port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    try:
        child = int(zygote.stdout.readline())
        server = Started.__new__(Started)
        server.port, server.process = port, zygote
        server.until("/v2/health/ready", 200)
        assert server.ask("/v1/models/iris:predict", BODY) == (200, '{"predictions":[1,1]}')
        os.kill(child, signal.SIGTERM)
        assert zygote.wait(10) == 0
    finally:
        zygote.kill()
        zygote.communicate()


def test_many_clients_at_once_get_their_own_answers(start, folder):
    server = start(folder, "--model_name=iris")
    server.until("/v2/health/ready", 200)
    wrong: list[Any] = []

    def ask(rows: int) -> None:
        for _ in range(30):
            body = json.dumps({"instances": [[6.8, 2.8, 4.8, 1.4]] * rows})
            answer = server.ask("/v1/models/iris:predict", body)
            if answer != (200, json.dumps({"predictions": [1] * rows}, separators=(",", ":"))):
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(rows,)) for rows in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
