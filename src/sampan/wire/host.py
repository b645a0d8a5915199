"""What a connection and the listener that made it know of each other."""

from __future__ import annotations

from typing import Protocol

from sampan.wire.head import Head
from sampan.wire.limits import Limits


class Wire(Protocol):
    """A connection as its listener sees it, whatever it speaks."""

    def sweep(self, now: float) -> None:
        """Enforce the time limits."""

    def drain(self) -> None:
        """Finish what is going on, then close."""

    def abort(self) -> None:
        """Cut off."""


class Host(Protocol):
    """A listener as its connections see it. `now` is renewed at each sweep."""

    limits: Limits
    head: Head
    now: float
    draining: bool

    def opened(self, connection: Wire) -> bool:
        """Register; False: there are too many."""

    def closed(self, connection: Wire) -> None:
        """Forget."""
