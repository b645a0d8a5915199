"""One request as a load generator repeats it, and how to tell that its answer is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

JSON = (("Content-Type", "application/json"),)


def _anything(answer: bytes) -> None:
    del answer


@dataclass(frozen=True)
class Ask:
    """A POST. `check` raises when an answer is wrong: being fast does not count then."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = JSON
    check: Callable[[bytes], None] = _anything
