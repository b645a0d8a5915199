"""Clients that never rest, and readers of what the API says meanwhile."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

BODY = json.dumps({"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}).encode()
ANSWER = {"predictions": [1, 1]}


@dataclass
class Load:
    """Clients of one service. `failures` are `(time, what)`, `requests` are `(began, ended,
    answered)`; times are `time.monotonic()`'s.
    """

    port: int
    service: str
    answers: int = 0
    failures: list[tuple[float, str]] = field(default_factory=list)
    requests: list[tuple[float, float, bool]] = field(default_factory=list)
    slowest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def client(self, *, keep_alive: bool, pause: float) -> None:
        """Send requests until told to stop; never the same one twice."""
        connection = self._connect()
        while not self._stop.wait(pause):
            began, answered = time.monotonic(), True
            try:
                self._ask(connection)
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append((began, f"{type(error).__name__}: {error}"))
                connection.close()
                answered = False
            ended = time.monotonic()
            self.requests.append((began, ended, answered))
            self.slowest = max(self.slowest, ended - began)
            if not keep_alive:
                connection.close()
        connection.close()

    def stop(self) -> None:
        self._stop.set()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        path = f"/serving/default/{self.service}/v1/models/{self.service}:predict"
        connection.request("POST", path, BODY, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        assert response.status == 200, f"{response.status}: {text[:200].decode(errors='replace')}"
        assert json.loads(text) == ANSWER
        self.answers += 1

    def outages(self) -> list[tuple[float, float]]:
        """Return `(shut, opened)` of each stretch without any answer: from the end of the first
        request that failed to the beginning of the next one that was answered.
        """
        found: list[tuple[float, float]] = []
        shut = 0.0
        for began, ended, answered in sorted(self.requests, key=lambda r: r[1]):
            if not answered:
                shut = shut or ended
            elif shut:
                if began > shut:
                    found.append((shut, began))
                shut = 0.0
        return found


@pytest.fixture
def load() -> Callable[..., AbstractContextManager[Load]]:
    """`with load(port, service, clients=8) as sent:` sends requests, half over kept connections."""

    @contextmanager
    def run(port: int, service: str, clients: int = 8, pause: float = 0.02) -> Iterator[Load]:
        sent = Load(port, service)
        threads = [
            threading.Thread(
                target=sent.client, kwargs={"keep_alive": bool(n % 2), "pause": pause}, daemon=True
            )
            for n in range(clients)
        ]
        for thread in threads:
            thread.start()
        try:
            yield sent
        finally:
            sent.stop()
            for thread in threads:
                thread.join(40)
        assert not any(thread.is_alive() for thread in threads), "a request hangs"

    return run


@dataclass
class Api:
    """The API server of whichever daemon is up, read anew at each request."""

    address: Callable[[], dict[str, Any]]
    timeout: float = 5.0

    def ask(
        self, method: str, path: str, body: Any = None, content: str = "application/json"
    ) -> tuple[int, Any]:
        """Return status and body; raises OSError, HTTPException or ValueError without a daemon."""
        told = self.address()
        connection = http.client.HTTPConnection(told["host"], told["port"], timeout=self.timeout)
        try:
            headers = {"Authorization": f"Bearer {told['token']}", "Content-Type": content}
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@pytest.fixture
def make_api() -> Callable[[Any], Api]:
    """`make_api(sampan)` is a client of its API that survives its daemons."""
    return lambda sampan: Api(lambda: sampan.daemon)
