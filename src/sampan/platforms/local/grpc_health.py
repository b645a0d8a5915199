"""One `grpc.health.v1.Health/Check` over a raw socket: the little HTTP/2 that it takes.

The request needs four frames, its headers as HPACK literals without indexing; of the answer only
the DATA frame matters, so nothing is decompressed (RFC 9113, sections 3.4, 4.1 and 6; RFC 7541,
section 6.2.2; the gRPC health checking protocol).
"""

from __future__ import annotations

import asyncio
import socket

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK, _PADDED = 0x1, 0x4, 0x1, 0x8
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


async def ask(connection: socket.socket, service: str) -> str:
    """Return "" when the service is SERVING, else what the server says instead."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, make_request(service))
    buffer = b""
    message = b""
    while True:
        chunk = await loop.sock_recv(connection, 1 << 14)
        if not chunk:
            return "the connection was closed without an answer"
        buffer += chunk
        while (frame := _next_frame(buffer)) is not None:
            kind, flags, stream, payload = frame
            buffer = buffer[9 + len(payload) :]
            if kind in (_SETTINGS, _PING) and not flags & _ACK:
                reply = payload if kind == _PING else b""
                await loop.sock_sendall(connection, _frame(kind, _ACK, 0, reply))
            elif kind == _GOAWAY:
                return "the server ends the connection (GOAWAY)"
            elif stream == 1:
                message += _data(kind, flags, payload)
                if len(message) >= 5 + int.from_bytes(message[1:5]) and len(message) >= 5:
                    return _verdict(message[5:])
                if kind == _RST_STREAM or (flags & _END_STREAM and kind in (_DATA, _HEADERS)):
                    return "the server has no health service, or does not know the one asked for"


def make_request(service: str) -> bytes:
    """Return preface, settings and the one call. Pure."""
    name = service.encode()
    body = b"" if not name else b"\x0a" + _varint(len(name)) + name
    headers = b"".join(
        _literal(key, value)
        for key, value in (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/grpc.health.v1.Health/Check"),
            (b":authority", b"127.0.0.1"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", b"kube-probe/sampan"),
        )
    )
    return (
        _PREFACE
        + _frame(_SETTINGS, 0, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, 1, headers)
        + _frame(_DATA, _END_STREAM, 1, b"\0" + len(body).to_bytes(4) + body)
    )


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4)
    return head + payload


def _next_frame(buffer: bytes) -> tuple[int, int, int, bytes] | None:
    if len(buffer) < 9:
        return None
    length = int.from_bytes(buffer[:3])
    if len(buffer) < 9 + length:
        return None
    stream = int.from_bytes(buffer[5:9]) & 0x7FFFFFFF
    return buffer[3], buffer[4], stream, buffer[9 : 9 + length]


def _data(kind: int, flags: int, payload: bytes) -> bytes:
    if kind != _DATA:
        return b""
    return payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload


def _literal(name: bytes, value: bytes) -> bytes:
    """Encode a header without indexing and without Huffman coding; lengths stay below 127."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def _varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return encoded + bytes((number,))


def _verdict(message: bytes) -> str:
    status = message[1] if message[:1] == b"\x08" and len(message) > 1 else 0
    name = _STATUSES[status] if status < len(_STATUSES) else str(status)
    return "" if name == "SERVING" else f"status {name}"
