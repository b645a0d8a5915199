"""From tokens to text as it comes: whole characters only, and nothing of a stop string. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BROKEN = "\ufffd"
"""What a decoder writes for bytes that are no whole character (yet)."""


class Detokenizer:
    """Gives the text that each token adds. What a token means may depend on the one before it, so
    a few tokens that have been told are decoded again."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._from = 0
        self._told = 0

    def push(self, token: int) -> str:
        """Return the text that is certain now; empty while a character lacks bytes."""
        self._ids.append(token)
        return self._take(final=False)

    def end(self) -> str:
        """Return what was left, whole characters or not."""
        return self._take(final=True)

    def _take(self, *, final: bool) -> str:
        before = self._decode(self._ids[self._from : self._told])
        now = self._decode(self._ids[self._from :])
        if len(now) <= len(before) or (now.endswith(_BROKEN) and not final):
            return ""
        self._from, self._told = self._told, len(self._ids)
        return now[len(before) :]


class StopWatch:
    """Lets text pass up to the first stop string. Its possible beginnings wait for what follows."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Return the text that may be told; `stopped` tells that a stop string has come."""
        if self.stopped:
            return ""
        text = self._held + text
        found = [place for place in (text.find(stop) for stop in self._stops) if place >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        kept = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def end(self) -> str:
        """Return what waited: no stop string came of it."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of a text could begin a stop string."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
