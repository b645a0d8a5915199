"""What a handler answers: its bytes, status and headers; and the same read off its socket.

TorchServe's workers send answers over a socket (its `otf_message_handler`). Handlers that answer in
several parts write to it themselves, by `send_intermediate_predict_response`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.protocol import json_out
from sampan.protocol.errors import ServingError

_NEXT = "ts_stream_next"
"""The header by which a handler tells the server that more is coming: no client's business."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, or one part of it. `value` is what the handler returned for a request."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the bytes: bytes and text as they are, anything else as JSON."""
        if isinstance(self.value, (bytes, bytearray)):
            return bytes(self.value)
        return self.value.encode() if isinstance(self.value, str) else json_out.dumps(self.value)


class HandlerStatus(ServingError):
    """A handler's own status. `answer` is its body, where it answered and did not raise."""

    def __init__(self, status: int, text: str, answer: bytes | None = None) -> None:
        super().__init__(text)
        self.status = status
        self._answer = answer

    def body(self) -> bytes:
        """Return what the handler answered with this status, or KServe's form of an error."""
        return super().body() if self._answer is None else self._answer


def make_answer(value: Any, context: Any, index: int) -> Answer:
    """Return what a handler returned for a request, as its context says it is to be sent."""
    status, _ = context.get_response_status(index)
    return Answer(value, status or 200, _kept(context.get_response_headers(index)))


class PartSocket:
    """What stands for a worker's socket: takes parts of answers, by the id of their request."""

    def __init__(self, tell: Callable[[str, Answer], None]) -> None:
        self._tell = tell

    def sendall(self, message: bytes) -> None:
        """Take a message as a worker sends it."""
        for request_id, answer in read_message(bytes(message)):
            self._tell(request_id, answer)


def read_message(message: bytes) -> Iterator[tuple[str, Answer]]:
    """Yield the id of each request of a worker's message, and its part. Pure.

    Integers are of four bytes, most significant first; -1 in the place of an id's length ends it.
    """
    reader = _Reader(message)
    reader.number()  # of the whole: each request has one of its own
    reader.text()
    while (size := reader.number()) >= 0:
        request_id = reader.take(size).decode()
        content_type, status = reader.text(), reader.number()
        reader.text()  # the phrase: HTTP/2 has none
        headers = {reader.text(): reader.text() for _ in range(reader.number())}
        if content_type:
            headers["content-type"] = content_type
        yield request_id, Answer(reader.take(reader.number()), status, _kept(headers))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self) -> int:
        (value,) = struct.unpack("!i", self.take(4))
        return int(value)

    def text(self) -> str:
        return self.take(self.number()).decode()


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers.items() if name != _NEXT}
