"""Model files served by real processes."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Served:
    """A process that serves, and what it said."""

    def __init__(self, command: list[str], folder: Path, **variables: str) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def text(self) -> str:
        """Everything it said on standard error."""
        return "".join(self.lines)

    def said(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """Wait until it has said something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.text)
            if found:
                return found
            if self.process.poll() is not None:
                self._reader.join(2)
                found = re.search(pattern, self.text)
                if found:
                    return found
                break
            time.sleep(0.02)
        raise AssertionError(f"it never said {pattern!r}; it said:\n{self.text}")

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.said(r"listening on http://[^:]+:(\d+)")[1])

    def ask(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Ask, again while the model still loads; return status, decoded body and headers."""
        end = time.monotonic() + 30
        while True:
            status, told, found = self.ask_once(path, body, headers)
            why = str(told.get("error")) if status == 503 else ""
            loading = re.fullmatch(r"Model with name \S+ is not ready\.", why)
            if not loading or time.monotonic() > end:
                return status, told, found
            time.sleep(0.05)

    def ask_once(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Ask once; return status, decoded body and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            raw = None if body is None else json.dumps(body)
            kind = {"content-type": "application/json"} if raw else {}
            connection.request("POST" if raw else "GET", path, raw, {**kind, **(headers or {})})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, json.loads(answer.read()), found
        finally:
            connection.close()

    def end(self) -> int:
        """Ask it to stop; return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve("my_model.py:MyModel", "--reload")` is `sampan serve ...` in the test's folder."""
    running: list[Served] = []

    def start(*words: str, **variables: str) -> Served:
        code = "import sys; from sampan.cli.main import main; main(sys.argv[1:])"
        program = [sys.executable, "-c", code, "serve"]
        served = Served([*program, *words, "--http_port=0", "--grpc_port=0"], tmp_path, **variables)
        running.append(served)
        return served

    yield start
    for served in running:
        served.end()
