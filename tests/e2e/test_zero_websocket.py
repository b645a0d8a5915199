"""A WebSocket that is opened at a service at zero: held, then opened, and open it stays."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SERVER = '''
"""Opens WebSockets and sends each short message back (RFC 6455)."""
import asyncio
import base64
import hashlib
import os


async def serve(reader, writer):
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
    key = next((l.split(": ")[1] for l in head.split("\\r\\n") if "websocket-key" in l.lower()), "")
    if not key:
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\nconnection: close\\r\\n\\r\\nok")
        writer.close()
        return
    magic = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(magic.encode()).digest()).decode()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\\r\\nupgrade: websocket\\r\\nconnection: Upgrade\\r\\n"
        + f"sec-websocket-accept: {accept}\\r\\n\\r\\n".encode()
    )
    try:
        while True:
            _, size = await reader.readexactly(2)
            mask = await reader.readexactly(4)
            masked = await reader.readexactly(size & 127)
            text = bytes(b ^ mask[i % 4] for i, b in enumerate(masked))
            writer.write(bytes([0x81, len(text)]) + text)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


asyncio.run(main())
'''

ISVC = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: sockets
  annotations: {{"autoscaling.knative.dev/window": "6s"}}
spec:
  predictor:
    minReplicas: 0
    containers:
      - name: kserve-container
        image: example/sockets
        command: [{python}, {server}]
"""


def open_websocket(port: int) -> socket.socket:
    """Open a WebSocket through the gateway; fails where it is not opened."""
    key = base64.b64encode(os.urandom(16)).decode()
    found = socket.create_connection(("127.0.0.1", port), timeout=90)
    found.sendall(
        b"GET /chat HTTP/1.1\r\nHost: sockets.default.localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        + f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        piece = found.recv(4096)
        assert piece, head
        head += piece
    assert head.startswith(b"HTTP/1.1 101"), head
    magic = f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
    accept = base64.b64encode(hashlib.sha1(magic).digest())  # noqa: S324  # as the RFC says
    assert accept in head
    return found


def say(websocket: socket.socket, text: bytes) -> bytes:
    """Send a message, masked as a client must, and return what comes back."""
    mask = os.urandom(4)
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(text))
    websocket.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)
    answer = b""
    while len(answer) < 2 + len(text):
        piece = websocket.recv(4096)
        assert piece, answer
        answer += piece
    return answer[2:]


def replicas(sampan: Any) -> str:
    path = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/sockets"
    status = sampan.api(path).get("status") or {}
    return str((status.get("annotations") or {}).get("serving.sampan.dev/replicas"))


def test_a_websocket_wakes_a_service_and_keeps_it_awake(sampan: Any, tmp_path: Path) -> None:
    server = tmp_path / "sockets.py"
    server.write_text(SERVER)
    sampan.apply(ISVC.format(python=sys.executable, server=server))
    sampan.wait_ready("sockets")
    deadline = time.monotonic() + 120
    while replicas(sampan) != "0 (idle)":
        assert time.monotonic() < deadline, replicas(sampan)
        time.sleep(0.2)
    with open_websocket(sampan.port) as websocket:
        assert say(websocket, b"good morning") == b"good morning"
        time.sleep(9)  # a window and more without a message: an open one is a request
        assert replicas(sampan) == "1/1"
        assert say(websocket, b"still there") == b"still there"
    sampan.cli("delete", "isvc", "sockets")
