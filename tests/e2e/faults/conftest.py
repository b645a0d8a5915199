"""A web server of models that goes wrong in every way that a path of it names. On 127.0.0.1."""

from __future__ import annotations

import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

METADATA = "http://169.254.169.254/latest/meta-data/model.joblib"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    over: threading.Event

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        word = self.path.strip("/").partition("/")[0]
        if word.isdecimal():
            self._send(b"no", int(word))
        elif word in _bodies():
            self._send(_bodies()[word])
        else:
            getattr(self, f"_{word}")()

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stall(self) -> None:
        """Send half of what was promised, then nothing."""
        self._half()
        self.over.wait(60)

    def _truncate(self) -> None:
        """Send half of what was promised, then hang up."""
        self._half()

    def _half(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Length", "2000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)
        self.wfile.flush()

    def _metadata(self) -> None:
        self._send(b"", 302, Location=METADATA)

    def _round(self) -> None:
        self._send(b"", 302, Location=self.path)

    def _login(self) -> None:
        self._send(b"<html>who are you?</html>", **{"Content-Type": "text/html"})


def _bomb() -> bytes:
    """256 MiB of zeros in 256 KiB: a thousand times its size."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.joblib", b"\0" * (256 << 20))
    return packed.getvalue()


def _traversal() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../outside.joblib")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    return packed.getvalue()


def _link() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("model.joblib")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    return packed.getvalue()


@cache
def _bodies() -> dict[str, bytes]:
    return {
        "bomb": _bomb(),
        "traversal": _traversal(),
        "link": _link(),
        "plain": b"no model and no archive",
    }


@contextmanager
def faulty_http() -> Iterator[str]:
    """Serve until the block ends; yields the URL without a slash at its end."""
    _bodies()  # a bomb takes a second to make, and would stall the first who asks
    over = threading.Event()
    handler = type("Handler", (_Handler,), {"over": over})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """The URL of a web server at which everything goes wrong."""
    with faulty_http() as url:
        yield url
