"""Where and how often to measure: the folders of a run, and the order of its rounds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.progress import note


class CannotMeasure(Exception):
    """A row cannot be measured on this machine; the text says what is missing."""


@dataclass(frozen=True)
class Setting:
    """How often to measure, and where what is built for it is kept between runs."""

    rounds: int = 5

    @property
    def cache(self) -> Path:
        """The folder of peers' environments, models and warm caches."""
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "sampan" / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def python(self) -> str:
        """The interpreter under which our own side runs."""
        return sys.executable

    def alternate(
        self, ours: Callable[[], float], peer: Callable[[], float] | None
    ) -> tuple[list[float], list[float]]:
        """Return rounds of both sides, taken in turn, so that a slow minute hits both."""
        mine, theirs = [], []
        for number in range(self.rounds):
            mine.append(ours())
            told = f"round {number + 1}/{self.rounds}: ours {mine[-1]:.4g}"
            if peer is not None:
                theirs.append(peer())
                told += f", peer {theirs[-1]:.4g}"
            note(told)
        return mine, theirs
