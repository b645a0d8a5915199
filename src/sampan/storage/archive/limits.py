"""How much an archive may unpack to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sampan.storage.base import FetchOptions


@dataclass(frozen=True, slots=True)
class Limits:
    """Members, bytes, bytes by packed byte; `require_space(n)` raises unless n more bytes fit."""

    max_files: int
    max_bytes: int
    max_ratio: float
    require_space: Callable[[int], None]


def make_limits(options: FetchOptions, require_space: Callable[[int], None]) -> Limits:
    """Return the limits of a fetch's options."""
    return Limits(options.max_files, options.max_bytes, options.max_ratio, require_space)
