"""One `/metrics` for all workers: each leaves its state in a file that the others add to theirs.

A file is written once a second when something changed, and at once by who is asked; so what has
been shown once is never taken back, also when the worker that counted it is killed: the one that
takes its place goes on from the file.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from sampan.server.metrics import Metrics

State: TypeAlias = dict[str, Any]


class WorkerMetrics:
    """The states of all workers, seen from one of them."""

    def __init__(self, folder: Path, index: int, count: int, metrics: Metrics) -> None:
        self._folder = folder
        self._index = index
        self._count = count
        self._metrics = metrics
        self._past = [{**state, "gauges": {}} for state in self._read(index)]
        self._written = b""

    def others(self) -> list[State]:
        """Return the states beside this process's own, after writing its own."""
        self.write()
        found = list(self._past)
        for index in range(self._count):
            if index != self._index:
                found += self._read(index)
        return found

    def write(self) -> None:
        """Leave this process's state for the others, where it has changed."""
        text = orjson.dumps([self._metrics.state(), *self._past])
        if text == self._written:
            return
        fresh = self._folder / f"{self._index}.new"
        fresh.write_bytes(text)
        fresh.replace(self._folder / f"{self._index}.json")
        self._written = text

    def _read(self, index: int) -> list[State]:
        with contextlib.suppress(FileNotFoundError):
            found: list[State] = orjson.loads((self._folder / f"{index}.json").read_bytes())
            return found
        return []
