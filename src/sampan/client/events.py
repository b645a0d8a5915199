"""Server-sent events (HTML, section 9.2) from pieces of a body. No I/O: bytes in, data out."""

from __future__ import annotations

from sampan.protocol.errors import InferenceError

MAX_EVENT_BYTES = 64 * 1024 * 1024
DONE = "[DONE]"
"""How streams of OpenAI's kind say that they are complete."""


class EventReader:
    """Collects pieces; `feed` gives the data of each event that is complete.

    An event may be of `max_bytes` at most, whether it ends or not.
    """

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._line: list[bytes] = []  # what is here of a line that has not ended
        self._data: list[str] = []
        self._size = 0  # bytes of the event so far

    def feed(self, piece: bytes) -> list[str]:
        """Return the data of the events that this piece completes; InferenceError: too large."""
        complete: list[str] = []
        for number, part in enumerate(piece.split(b"\n")):
            if number:
                line = b"".join(self._line).removesuffix(b"\r")
                self._take(line.decode(errors="replace"), complete)
                self._line = []
            self._add(part)
        return complete

    def _add(self, part: bytes) -> None:
        self._line.append(part)
        self._size += len(part)
        if self._size > self._max_bytes:
            raise InferenceError(
                f"an event of the stream is larger than {self._max_bytes} bytes; ask for less"
            )

    def _take(self, line: str, complete: list[str]) -> None:
        if not line:
            self._size = 0
            if self._data:
                complete.append("\n".join(self._data))
            self._data = []
            return
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
