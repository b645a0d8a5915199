"""A gRPC client that sends any bytes whatever: as a message, as framing, or as HTTP/2 itself."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Self

from hpack import Decoder, Encoder
from tests.fuzz.fuzz_peer import connect, receive

SERVICE = "/inference.GRPCInferenceService/"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, END_HEADERS = 1, 4
WINDOW = 2**30
CALLS_AT_ONCE = 16
CALLS_PER_CONNECTION = 2000
"""After which a new connection is made: opening one is to be met often too."""

Told = tuple[int, str]
"""Status and words of a call; -1 where the stream was reset."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return an HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def pack(message: bytes, flag: int = 0) -> bytes:
    """Return a message with gRPC's prefix."""
    return struct.pack(">BI", flag, len(message)) + message


def opening() -> bytes:
    """Return what a client begins a connection with: answers of any size may come."""
    settings = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, WINDOW))
    return PREFACE + settings + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW))


def call(
    encoder: Encoder, stream: int, path: str, body: bytes, metadata: Iterable[tuple[str, str]] = ()
) -> bytes:
    """Return the frames of a call."""
    fields = [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "fuzz"),
        ("content-type", "application/grpc"), ("te", "trailers"), *metadata,
    ]  # fmt: skip
    head = frame(HEADERS, END_HEADERS, stream, encoder.encode(fields))
    pieces = [body[at : at + 16384] for at in range(0, len(body), 16384)] or [b""]
    data = [frame(DATA, 0, stream, piece) for piece in pieces[:-1]]
    return b"".join((head, *data, frame(DATA, END_STREAM, stream, pieces[-1])))


class Reader:
    """Takes what a server sends apart: calls that have ended, and whether the connection has."""

    def __init__(self) -> None:
        self.told: dict[int, Told] = {}
        self.going_away = False
        self._decoder = Decoder()
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        data, at = self._rest + data, 0
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at < 9 + size:
                break
            kind, flags, stream = struct.unpack_from(">BBI", data, at + 3)
            self._take(kind, flags, stream, data[at + 9 : at + 9 + size])
            at += 9 + size
        self._rest = data[at:]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == GOAWAY:
            self.going_away = True
        elif kind == RESET:
            self.told.setdefault(stream, (-1, f"reset {int.from_bytes(payload, 'big')}"))
        elif kind == HEADERS:
            fields = dict(self._decoder.decode(payload))
            if flags & END_STREAM and "grpc-status" in fields:
                text = fields.get("grpc-message", "")
                self.told[stream] = (int(fields["grpc-status"]), text)


class GrpcPeer:
    """One kept connection with many calls, opened anew now and then and where it was closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def ask(self, calls: Sequence[tuple[str, bytes, Sequence[tuple[str, str]]]]) -> list[Told]:
        """Make calls at once: path, body, metadata; return what each was told."""
        if self._socket is None or self._next > 2 * CALLS_PER_CONNECTION:
            self._open()
        assert self._socket is not None
        first = self._next
        self._next += 2 * len(calls)
        streams = range(first, self._next, 2)
        pairs = zip(streams, calls, strict=True)
        sent = b"".join(call(self._encoder, stream, *one) for stream, one in pairs)
        self._socket.sendall(sent)
        while not all(stream in self._reader.told for stream in streams):
            piece = receive(self._socket, sent)
            assert piece, f"the connection was closed on well-framed calls: {calls!r}"[:2000]
            self._reader.feed(piece)
            assert not self._reader.going_away, f"GOAWAY for well-framed calls: {calls!r}"[:2000]
        return [self._reader.told.pop(stream) for stream in streams]

    def _open(self) -> None:
        self.close()
        self._socket = connect(self.port)
        self._socket.sendall(opening())
        self._encoder, self._reader, self._next = Encoder(), Reader(), 1

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def throw(port: int, sent: bytes) -> list[Told]:
    """Send bytes on a connection of their own, end it; return what the calls were told."""
    reader = Reader()
    with connect(port) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := receive(connection, sent):
                reader.feed(piece)
        except (ConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
    return list(reader.told.values())
