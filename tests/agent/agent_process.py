"""A real agent, a component and a sink of events beside it, all on loopback."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PATIENCE = 30.0


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """An HTTP server that answers by a function, and keeps what it was asked."""

    answer: Callable[[Asked], tuple[int, dict[str, str], bytes]]
    asked: queue.Queue[Asked] = field(default_factory=queue.Queue)
    server: ThreadingHTTPServer | None = None

    def start(self, context: Any = None) -> int:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {k.lower(): v for k, v in self.headers.items()}
                asked = Asked(self.command, self.path, headers, self.rfile.read(length))
                peer.asked.put(asked)
                status, answer_headers, body = peer.answer(asked)
                self.send_response(status)
                for name, value in answer_headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.handle_any
                raise AttributeError(name)

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_port

    def next(self) -> Asked:
        return self.asked.get(timeout=PATIENCE)

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()


def doubled(asked: Asked) -> tuple[int, dict[str, str], bytes]:
    """A model that doubles numbers; anything else is answered with what was asked."""
    json_type = {"Content-Type": "application/json"}
    if asked.path.endswith(":predict"):
        instances = json.loads(asked.body)["instances"]
        if "bad" in instances:
            return 400, json_type, b"no number"
        return 200, json_type, json.dumps({"predictions": [2 * i for i in instances]}).encode()
    told = {"method": asked.method, "path": asked.path, "headers": asked.headers}
    return 200, {**json_type, "X-Own": "kept"}, json.dumps(told).encode()


class Agent:
    """An agent's process; `url` is where it listens."""

    def __init__(self, *arguments: str, probe: str | None = "", folder: Path) -> None:
        environment = {**os.environ, "SERVING_READINESS_PROBE": probe or ""}
        if probe is None:
            del environment["SERVING_READINESS_PROBE"]
        self.log = folder / "agent.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sampan.app.agent", "--port", "0", *arguments],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        self.url = self._find()

    def _find(self) -> str:
        found = wait_for(lambda: re.search(r"listening on (http://\S+:\d+)", self.told()))
        return str(found[1])

    def told(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        print(self.told())  # noqa: T201  # pytest shows it where a test fails
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)


def wait_for(look: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
