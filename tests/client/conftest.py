"""A real server in a thread, and remotes that misbehave by script."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferOutput, InferRequest, InferResponse
from sampan.server.dataplane import DataPlane
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener


class Echo(Model):
    """Answers with what it was given; explains with the headers."""

    def predict(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's names
        if not isinstance(payload, InferRequest):
            if payload == {"instances": ["refuse"]}:
                raise InvalidInput("refused as asked")
            return {"predictions": payload["instances"]}
        outputs = []
        for tensor in payload.inputs:
            output = InferOutput(tensor.name, tensor.shape, tensor.datatype)
            output.set_data_from_numpy(tensor.as_numpy())
            outputs.append(output)
        return InferResponse(
            payload.id or "gen",
            self.name,
            outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )

    def explain(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's names
        return {"explanations": headers.get("authorization")}


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a server with a ready model "echo" and an unready one "later"."""
    started = threading.Event()
    loop = asyncio.new_event_loop()
    found: list[Any] = []

    async def serve() -> None:
        repository = ModelRepository()
        echo, later = Echo("echo"), Echo("later")
        echo.load()
        repository.update(echo)
        repository.update(later)
        dataplane = DataPlane(repository, Workers(2))
        dataplane.started = True
        listener = Listener(Rest(dataplane).submit)
        await listener.listen("127.0.0.1", 0)
        found.extend((listener, asyncio.Event()))
        started.set()
        await found[1].wait()
        await listener.drain(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{found[0].address[1]}"
    loop.call_soon_threadsafe(found[1].set)
    thread.join(10)
    loop.close()


class Remote:
    """Answers each request with the next of its answers, then goes on with the last.

    b"" closes the connection without a word.
    """

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer:
                self._converse(peer)

    def _converse(self, peer: socket.socket) -> None:
        peer.settimeout(5)
        while True:
            received = b""
            while b"\r\n\r\n" not in received:
                piece = peer.recv(65536)
                if not piece:
                    return
                received += piece
            self.requests.append(received)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            if not answer:
                return
            peer.sendall(answer)
            if b"connection: close" in answer:
                return

    def close(self) -> None:
        """Stop."""
        self._socket.close()


@pytest.fixture
def remote() -> Iterator[Callable[..., Remote]]:
    """`remote(answer, ...)` makes one."""
    made: list[Remote] = []

    def make(*answers: bytes) -> Remote:
        made.append(Remote(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()
