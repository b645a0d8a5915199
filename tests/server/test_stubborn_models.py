"""Models that never answer, and servers that end while answers are on their way: as processes."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

MODELS = """
import asyncio
import os
import threading
import time

from sampan.sdk import Model


class Ready(Model):
    def load(self):
        self.ready = True
        return True


class Quick(Ready):
    def predict(self, payload, headers=None):
        return {"predictions": [os.getpid()]}


class Stuck(Ready):
    def predict(self, payload, headers=None):
        threading.Event().wait()


class StuckLater(Ready):
    async def predict(self, payload, headers=None):
        await asyncio.Event().wait()


class Deaf(Ready):
    async def predict(self, payload, headers=None):
        time.sleep(3600)  # on the loop: nothing else of the process runs meanwhile


class Ticks(Ready):
    async def predict(self, payload, headers=None):
        async def ticks():
            for number in range(payload["instances"][0]):
                yield f"{number} "
                await asyncio.sleep(0.05)

        return ticks()


class Leaves(Ready):
    def predict(self, payload, headers=None):
        raise SystemExit(3)


class LeavesLater(Ready):
    async def predict(self, payload, headers=None):
        raise SystemExit(3)


class WaitsForWhatIsCancelled(Ready):
    async def predict(self, payload, headers=None):
        waited = asyncio.ensure_future(asyncio.sleep(3600))
        asyncio.get_running_loop().call_later(0.05, waited.cancel)
        await waited


class LeavesInItems(Ready):
    def predict(self, payload, headers=None):
        def items():
            raise SystemExit(3)
            yield

        return items()


class LeavesInLaterItems(Ready):
    async def predict(self, payload, headers=None):
        async def items():
            raise asyncio.CancelledError
            yield

        return items()


class LeavesBetweenItems(Ready):
    async def predict(self, payload, headers=None):
        async def items():
            yield "one"
            raise SystemExit(3)

        return items()
"""


class Started:
    """A server process of the models above."""

    def __init__(self, folder: Path, models: tuple[str, ...], *arguments: str) -> None:
        (folder / "models.py").write_text(MODELS)
        words = [f"{name.lower()}={folder / 'models.py'}:{name}" for name in models]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sampan.app.serve", *words, "--http_port=0", "--grpc_port=0",
             *arguments],
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.text = ""
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(until(self._listening)[1])

    def _listening(self) -> re.Match[str] | None:
        found = re.search(r"listening on http://[^:]+:(\d+)", self.text)
        assert found or self.process.poll() is None, self.text
        return found

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.text += line

    def send(self, model: str, instances: object = 0) -> http.client.HTTPConnection:
        """Send a request; the caller reads the answer, or does not."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        body = json.dumps({"instances": [instances]})
        connection.request("POST", f"/v1/models/{model}:predict", body)
        return connection

    def ask(self, model: str) -> tuple[int, object]:
        """Ask and return status and body."""
        connection = self.send(model)
        try:
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def status(self, path: str) -> int:
        """Return the status of a GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()


def until(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Return what is true at last."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = what()
        except (OSError, http.client.HTTPException):
            found = None
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it never came true")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """`start(("Quick", "Stuck"), "--workers=2")` serves models of the file above."""
    started: list[Started] = []

    def starter(models: tuple[str, ...], *arguments: str) -> Started:
        started.append(Started(tmp_path, models, *arguments))
        until(lambda: started[-1].status("/v2/health/ready") == 200)
        return started[-1]

    yield starter
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


@pytest.mark.parametrize("stuck", ["Stuck", "StuckLater"])
def test_a_predict_that_never_returns_stops_no_health_no_other_model_and_no_drain(start, stuck):
    server = start(("Quick", stuck), "--grace_period=1")
    waiting = [server.send(stuck.lower()) for _ in range(3)]
    for path in ("/", "/v2/health/live", "/v2/health/ready", f"/v1/models/{stuck.lower()}"):
        assert server.status(path) == 200
    assert server.ask("quick")[0] == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    until(lambda: "3 connections were cut off" in server.text)
    for connection in waiting:
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.getresponse()
        connection.close()


@pytest.mark.slow
def test_as_many_stuck_predicts_as_there_are_threads_stop_no_health(start):
    server = start(("Quick", "Stuck"), "--grace_period=0.2", "--max_asyncio_workers=2")
    waiting = [server.send("stuck") for _ in range(4)]
    assert server.status("/v2/health/ready") == 200
    assert server.status("/metrics") == 200
    for connection in waiting:
        connection.close()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0


def test_a_stuck_predict_is_answered_504_after_the_time_that_was_set(start):
    server = start(("Stuck",), "--request_timeout=0.3", "--grace_period=0.2")
    status, body = server.ask("stuck")
    assert status == 504
    assert "0.3 s" in body["error"]


LEAVING = ("Leaves", "LeavesLater", "WaitsForWhatIsCancelled", "LeavesInItems",
           "LeavesInLaterItems")  # fmt: skip


def test_a_predict_that_leaves_the_process_is_answered_and_the_process_stays(start):
    server = start(("Quick", *LEAVING, "LeavesBetweenItems"))
    for name in LEAVING:
        status, body = server.ask(name.lower())
        assert (status, "raised by the model" in body["error"]) == (500, True), name
    with pytest.raises(http.client.IncompleteRead):
        server.ask("leavesbetweenitems")
    assert server.ask("quick")[0] == 200


@pytest.mark.slow
def test_a_worker_whose_loop_hangs_is_replaced_while_the_other_serves(start):
    server = start(("Quick", "Deaf"), "--workers=2", "--worker_timeout=2", "--grace_period=0.5")
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    before = until(lambda: len(found := children.read_text().split()) == 2 and set(found))
    hung = server.send("deaf")
    until(lambda: "gave no sign of life" in server.text)
    after = until(
        lambda: (
            len(found := children.read_text().split()) == 2 and set(found) != before and set(found)
        )
    )
    assert len(before & after) == 1
    seen = set()
    until(lambda: seen.add(str(server.ask("quick")[1]["predictions"][0])) or seen == after)
    hung.close()


def test_a_stream_is_finished_by_a_server_that_was_told_to_end(start):
    server = start(("Ticks",), "--grace_period=20")
    connection = server.send("ticks", 20)
    answer = connection.getresponse()
    assert answer.read(2) == b"0 "
    server.process.send_signal(signal.SIGTERM)
    rest = answer.read()
    assert rest.split() == [str(number).encode() for number in range(1, 20)]
    assert server.process.wait(30) == 0
    connection.close()


@pytest.mark.slow
def test_a_stream_that_outlives_the_grace_period_is_cut_and_looks_cut(start):
    server = start(("Ticks",), "--grace_period=0.5")
    connection = server.send("ticks", 100_000)
    answer = connection.getresponse()
    assert answer.read(2) == b"0 "
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises((http.client.IncompleteRead, OSError)):
        answer.read()
    assert server.process.wait(30) == 0
    connection.close()


def test_who_comes_while_the_server_drains_is_refused(start):
    server = start(("Ticks",), "--grace_period=20")
    connection = server.send("ticks", 40)
    assert connection.getresponse().read(2) == b"0 "
    server.process.send_signal(signal.SIGTERM)

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", server.port), 5).close()
        except ConnectionRefusedError:
            return True
        return False

    until(refused)
    connection.close()
    assert server.process.wait(30) == 0
