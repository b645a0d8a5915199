"""When a client tries again, and after how long. Pure.

An inference changes nothing on the server, so a request that may have arrived can be sent again;
one that timed out is not, because the server may still be at it. Refusals are retried only where
the server says that it was too busy, or not there yet.
"""

from __future__ import annotations

from dataclasses import dataclass

RETRIED_STATUSES = frozenset({429, 502, 503})
"""Too many requests, no server behind the gateway, not ready. 504 means that it was at it."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`retries` further tries. Waits are in seconds: the first, doubled each time, the longest.

    A server's `Retry-After` is kept to where it is not longer than `max_retry_after`; a longer
    one ends the tries.
    """

    retries: int = 3
    first_wait: float = 0.1
    longest_wait: float = 1.0
    max_retry_after: float = 30.0

    def wait(self, tried: int, retry_after: str = "") -> float | None:
        """Return how long to wait after the `tried`th try (from 1), or None to give up."""
        if tried > self.retries:
            return None
        if retry_after.isdecimal():
            seconds = float(retry_after)
            return seconds if seconds <= self.max_retry_after else None
        return min(self.longest_wait, self.first_wait * 2.0 ** (tried - 1))
