"""Server-sent events (HTML, section 9.2) from pieces of a body. No I/O: bytes in, data out."""

from __future__ import annotations

from sampan.protocol.errors import InferenceError

MAX_EVENT_BYTES = 64 * 1024 * 1024
DONE = "[DONE]"
"""How streams of OpenAI's kind say that they are complete."""


class EventReader:
    """Collects pieces; `feed` gives the data of each event that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[str]:
        """Return the data of the events that this piece completes."""
        self._rest += piece
        if len(self._rest) > MAX_EVENT_BYTES:
            raise InferenceError(
                f"an event of the stream is larger than {MAX_EVENT_BYTES} bytes; ask for less"
            )
        *lines, self._rest = self._rest.split(b"\n")
        complete: list[str] = []
        for line in lines:
            self._take(line.removesuffix(b"\r").decode(errors="replace"), complete)
        return complete

    def _take(self, line: str, complete: list[str]) -> None:
        if not line:
            if self._data:
                complete.append("\n".join(self._data))
            self._data = []
            return
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
