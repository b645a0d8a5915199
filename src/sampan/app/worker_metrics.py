"""One `/metrics` for all workers: each leaves its state in a file that the others add to theirs.

A file is written once a second when something changed, and at once by who is asked; so what has
been shown once is never taken back, also when the worker that counted it is killed: the one that
takes its place goes on from the file.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from sampan.server.metrics import Metrics

logger = logging.getLogger("sampan.serve")

State: TypeAlias = dict[str, Any]

_LOADS = "loads.json"
"""What was loaded before there were workers: counted once, by none of them."""


def write_loads(folder: Path, loads: Metrics) -> None:
    """Leave what the parent counted while it loaded, for whichever worker is asked."""
    _write(folder / _LOADS, orjson.dumps([{**loads.state(), "gauges": {}}]))


class WorkerMetrics:
    """The states of all workers, seen from one of them."""

    def __init__(self, folder: Path, index: int, count: int, metrics: Metrics) -> None:
        self._folder = folder
        self._index = index
        self._count = count
        self._metrics = metrics
        self._past = [{**state, "gauges": {}} for state in _read(self._file(index))]
        self._written = b""
        self._failing = False

    def others(self) -> list[State]:
        """Return the states beside this process's own, after writing its own."""
        self.write()
        found = [*self._past, *_read(self._folder / _LOADS)]
        for index in range(self._count):
            if index != self._index:
                found += _read(self._file(index))
        return found

    def write(self) -> None:
        """Leave this process's state for the others, where it has changed.

        A disk that does not take it is told once: the worker itself goes on.
        """
        text = orjson.dumps([self._metrics.state(), *self._past])
        if text == self._written:
            return
        try:
            _write(self._file(self._index), text)
        except OSError as error:
            if not self._failing:
                logger.warning("metrics of worker %s are not shared: %s", self._index, error)
            self._failing = True
            return
        self._failing, self._written = False, text

    def _file(self, index: int) -> Path:
        return self._folder / f"{index}.json"


def _write(path: Path, text: bytes) -> None:
    """Write in one step: whoever reads meanwhile finds the old text or the new one."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(text)
    fresh.replace(path)


def _read(path: Path) -> list[State]:
    with contextlib.suppress(FileNotFoundError):
        found: list[State] = orjson.loads(path.read_bytes())
        return found
    return []
