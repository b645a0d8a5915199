"""A client that sends any bytes whatever, and takes no longer than five seconds for an answer."""

from __future__ import annotations

import errno
import http.client
import re
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

ANSWER_SECONDS = 5.0
ROWS = b'{"instances":[[6.8,2.8,4.8,1.4],[6.0,3.4,4.5,1.6]]}'
PREDICTIONS = b'{"predictions":[1,1]}'

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Hang(AssertionError):
    """The server took a request and neither answered nor closed."""


@dataclass(frozen=True)
class Answer:
    """Status, head and body."""

    status: int
    head: bytes
    body: bytes


class Peer:
    """One kept connection, opened again where the server closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def post(self, path: str, headers: Iterable[tuple[str, bytes]], body: bytes) -> Answer:
        """Send a request that is framed well, whatever it holds; return its answer."""
        head = [b"POST %s HTTP/1.1" % path.encode(), b"Host: fuzz"]
        head += [b"%s: %s" % (name.encode(), value) for name, value in headers]
        head.append(b"Content-Length: %d\r\n\r\n" % len(body))
        sent = b"\r\n".join(head) + body
        try:
            return self._ask(sent)
        except ConnectionError:  # closed meanwhile, as after any `connection: close`
            self.close()
            return self._ask(sent)

    def _ask(self, sent: bytes) -> Answer:
        if self._socket is None:
            self._socket = connect(self.port)
        self._socket.sendall(sent)
        received = b""
        while True:
            answer = _whole(received)
            if answer is not None:
                if b"connection: close" in answer.head:
                    self.close()
                return answer
            piece = receive(self._socket, sent)
            if not piece:
                raise ConnectionError("closed before the answer was whole")
            received += piece

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _whole(received: bytes) -> Answer | None:
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None
    status, length = _STATUS.match(head), _LENGTH.search(head + b"\r\n")
    assert status is not None, head
    assert length is not None, head
    body = rest[: int(length[1])]
    return Answer(int(status[1]), head, body) if len(body) == int(length[1]) else None


def connect(port: int) -> socket.socket:
    """Return a connection whose every step has a limit."""
    connection = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection: socket.socket, sent: bytes) -> bytes:
    """Return what has come, b"" at the end; Hang after five seconds."""
    try:
        return connection.recv(1 << 16)
    except TimeoutError:
        raise Hang(f"no answer within {ANSWER_SECONDS:g} s to {sent[:2000]!r}") from None


def throw(port: int, sent: bytes) -> list[int]:
    """Send bytes on a connection of their own, end it; return the statuses of the answers."""
    received = b""
    with connect(port) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := receive(connection, sent):
                received += piece
        except ConnectionError:
            pass  # refused while it was still being sent
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # else it had closed before we did
                raise
    return [int(status) for status in _STATUS.findall(received)]


def free_port() -> int:
    """Return a port that nobody holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_ready(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the iris model predicts; False where it never does."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if still_right(port):
                return True
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    return False


def still_right(port: int) -> bool:
    """Whether a client that does nothing wrong gets the right answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", "/v1/models/iris:predict", ROWS)
        return connection.getresponse().read() == PREDICTIONS
    finally:
        connection.close()
