"""gRPC status: codes, how errors become them, how messages and timeouts are written in headers.

Sources: "gRPC over HTTP2" (PROTOCOL-HTTP2), "Status codes and their use"; which error becomes which
code is KServe's intent, see docs/reference/differences.md.
"""

from __future__ import annotations

import re
from enum import IntEnum

from sampan.protocol.errors import InferenceError, ServingError


class Status(IntEnum):
    """The codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """A call that ends with this status."""

    def __init__(self, code: Status, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


_OF_HTTP = {
    400: Status.INVALID_ARGUMENT,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.NOT_FOUND,
    408: Status.DEADLINE_EXCEEDED,
    409: Status.ABORTED,
    413: Status.RESOURCE_EXHAUSTED,
    422: Status.INVALID_ARGUMENT,
    429: Status.RESOURCE_EXHAUSTED,
    499: Status.CANCELLED,
    501: Status.UNIMPLEMENTED,
    503: Status.UNAVAILABLE,
    504: Status.DEADLINE_EXCEEDED,
}
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_PLAIN = frozenset(range(0x20, 0x7F)) - {ord("%")}


def from_http(status: int) -> Status:
    """Return the code that stands for an HTTP status."""
    return _OF_HTTP.get(status, Status.INTERNAL)


def describe(error: BaseException) -> tuple[Status, str]:
    """Return code and message for anything that was raised while answering.

    As with KServe, a model's InferenceError is INVALID_ARGUMENT, and what nobody foresaw tells
    nothing of itself.
    """
    if isinstance(error, RpcError):
        return error.code, error.text
    if isinstance(error, InferenceError):
        return Status.INVALID_ARGUMENT, str(error)
    if isinstance(error, ServingError):
        return from_http(error.status), str(error)
    if isinstance(error, NotImplementedError):
        return Status.UNIMPLEMENTED, str(error)
    return Status.INTERNAL, "Internal server error"


def encode_message(text: str) -> bytes:
    """Return a status message as a header value: percent-encoded UTF-8, at most 4 KiB of it.

    Clients refuse headers above 8 KiB or so; a message that quotes a request may be longer.
    """
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) > 4096:
        raw = raw[:4093] + b"..."
    return b"".join(bytes((byte,)) if byte in _PLAIN else b"%%%02X" % byte for byte in raw)


def parse_timeout(value: str) -> float:
    """Return the seconds of a `grpc-timeout`; RpcError where it is none."""
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        raise RpcError(
            Status.INVALID_ARGUMENT,
            f'grpc-timeout is "{value}"; send up to eight digits and one of H, M, S, m, u, n',
        )
    return int(found[1]) * _UNITS[found[2]]
