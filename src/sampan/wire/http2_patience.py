"""How much a peer may ask for in a second without asking for an answer.

Resets, empty frames, PINGs and SETTINGS cost a server work and their sender next to nothing (RFC
9113, section 10.5; CVE-2023-44487 is the best known of many).
"""

from __future__ import annotations

from sampan.wire.http2_frames import Code, ConnectionFault
from sampan.wire.limits import Limits


class Patience:
    """Counts what one connection asks for in vain, a second at a time."""

    __slots__ = ("_limits", "_nuisances", "_resets")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._nuisances = self._resets = 0

    def bother(self) -> None:
        """Count a frame that asks for work and carries no request; raise ConnectionFault."""
        self._nuisances += 1
        if self._nuisances > self._limits.nuisances:
            raise ConnectionFault(
                Code.ENHANCE_YOUR_CALM,
                f"more than {self._limits.nuisances} frames without a request in a second",
            )

    def count_reset(self) -> None:
        """Count a stream that its peer gave up; raise ConnectionFault."""
        self._resets += 1
        if self._resets > self._limits.resets:
            raise ConnectionFault(
                Code.ENHANCE_YOUR_CALM, f"more than {self._limits.resets} resets in a second"
            )

    def forgive(self) -> None:
        """Begin another second."""
        self._nuisances = self._resets = 0
