"""The head that a peer sends again and again on its connection, so that it is parsed only once.

A client repeats its head; behind a gateway a few values change (a request id, a trace, the
length). llhttp parsed and `validate_head` judged the one that is remembered. A later one is known
where it is the same, byte for byte, but for those values, and they are plain text; and where the
buffer holds exactly one whole request. Anything else is not known and goes through llhttp, so that
there is one judge of what is sound. Pure; what is remembered ends with its connection.
"""

from __future__ import annotations

import re

from sampan.wire.limits import Limits
from sampan.wire.message import HeaderList, Note, Request

VARYING = frozenset(
    {
        b"authorization",
        b"b3",
        b"content-length",
        b"traceparent",
        b"tracestate",
        b"user-agent",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-spanid",
        b"x-b3-traceid",
        b"x-forwarded-for",
        b"x-request-id",
    }
)
"""Headers whose values may differ in a known head. What an application notes of a head must not
depend on them."""

_MOST_BYTES = 2048  # of a head that is remembered: ten thousand connections may do so
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer"})
_PLAIN = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_LENGTH_DIGITS = 15  # far above any limit, far below what llhttp counts to


class KnownHead:
    """A head that was sound, and the requests that begin with it."""

    __slots__ = (
        "_first",
        "_headers",
        "_length",
        "_limits",
        "_lines",
        "_method",
        "_note",
        "_places",
        "_raw",
        "_target",
        "_texts",
        "_whole",
    )

    def __init__(self, raw: bytes, request: Request, limits: Limits) -> None:
        self._raw = raw
        self._length = len(request.body)
        self._whole = len(raw) + self._length
        self._method, self._target = request.method, request.target
        self._headers = tuple(request.headers)
        self._texts = dict(request.texts())
        self._lines = raw[:-4].split(b"\r\n")
        self._first = self._lines[0] + b"\r\n"
        self._places = _make_places(self._lines, request)
        self._limits = limits
        self._note = Note()

    def read(self, data: bytes) -> Request | None:
        """Return the request that the data are; None where that is for llhttp to say."""
        if not data.startswith(self._raw):
            return self._read_varied(data) if data.startswith(self._first) else None
        if len(data) != self._whole:
            return None
        body = data[len(self._raw) :]
        headers = list(self._headers)
        return Request(self._method, self._target, headers, body, True, self._note, self._texts)

    def _read_varied(self, data: bytes) -> Request | None:
        end = data.find(b"\r\n\r\n")
        lines = data[:end].split(b"\r\n")
        if not 0 < end <= _MOST_BYTES or len(lines) != len(self._lines):
            return None
        headers, texts, length = list(self._headers), self._texts.copy(), self._length
        for index, (line, known) in enumerate(zip(lines, self._lines, strict=True)):
            if line == known:
                continue
            prefix, name = self._places.get(index, (b"", b""))
            value = line[len(prefix) :]
            if not prefix or not line.startswith(prefix) or _PLAIN.fullmatch(value) is None:
                return None
            if name == b"content-length":
                if not value.isdigit() or len(value) > _LENGTH_DIGITS:
                    return None
                length = int(value)
            headers[index - 1] = (name, value)
            texts[name.decode("latin-1")] = value.decode("latin-1")
        if length > self._limits.body_bytes or len(data) != end + 4 + length:
            return None
        body = data[end + 4 :]
        return Request(self._method, self._target, headers, body, True, self._note, texts)


def learn(data: bytes, request: Request, limits: Limits) -> KnownHead | None:
    """Return what can be known again of a request that llhttp read out of these bytes.

    None unless the bytes are this one request and nothing else, it is a usual one, and splitting
    its lines gives what llhttp gave: only then may splitting stand for parsing.
    """
    end = data.find(b"\r\n\r\n")
    if not 0 < end <= _MOST_BYTES or len(data) != end + 4 + len(request.body):
        return None
    first, *lines = data[:end].split(b"\r\n")
    if first != request.method + b" " + request.target + b" HTTP/1.1" or not request.keep_alive:
        return None
    read = [(name.lower(), value.strip(b" \t")) for name, _, value in map(_parted, lines)]
    if read != request.headers or not _is_usual(read, len(request.body)):
        return None
    return KnownHead(data[: end + 4], request, limits)


def _parted(line: bytes) -> tuple[bytes, bytes, bytes]:
    return line.partition(b":")


def _is_usual(headers: HeaderList, length: int) -> bool:
    names = [name for name, _ in headers]
    if any(name in _UNUSUAL for name in names):
        return False
    if any(names.count(name) > 1 for name in names if name in VARYING):
        return False
    lengths = [value for name, value in headers if name == b"content-length"]
    if lengths and (not lengths[0].isdigit() or int(lengths[0]) != length):
        return False
    return all(value.lower() == b"keep-alive" for name, value in headers if name == b"connection")


def _make_places(lines: list[bytes], request: Request) -> dict[int, tuple[bytes, bytes]]:
    """Return the lines that may vary: by their index, what comes before the value, and the name."""
    return {
        index: (lines[index][: len(lines[index].rstrip(b" \t")) - len(value)], name)
        for index, (name, value) in enumerate(request.headers, 1)
        if name in VARYING and value
    }
