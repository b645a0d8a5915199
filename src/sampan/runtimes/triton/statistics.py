"""What is counted of a version: Triton's statistics extension of V2, in its form.

Times are nanoseconds. A request's time is from its arrival to its answer; what is not spent in the
model (input, inference, output) counts as its queue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

_PARTS = ("compute_input", "compute_infer", "compute_output")


@dataclass(slots=True)
class Duration:
    """How often, and how long altogether."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, count: int = 1) -> None:
        """Count one more, or `count` that took so long each."""
        self.count += count
        self.ns += int(seconds * 1e9) * count

    def shown(self) -> dict[str, int]:
        """Return it as clients see it."""
        return {"count": self.count, "ns": self.ns}


@dataclass(frozen=True, slots=True)
class Run:
    """One execution: rows, and the seconds of its three parts."""

    rows: int
    compute_input: float
    compute_infer: float
    compute_output: float


@dataclass(slots=True)
class Statistics:
    """One version's numbers. Executions are counted on any thread, requests on the loop's."""

    last_inference: int = 0
    inference_count: int = 0
    execution_count: int = 0
    parts: dict[str, Duration] = field(default_factory=lambda: {
        name: Duration() for name in ("success", "fail", "queue", *_PARTS)
    })  # fmt: skip
    batches: dict[int, dict[str, Duration]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ran(self, run: Run) -> None:
        """Count an execution."""
        with self._lock:
            self.last_inference = time.time_ns() // 1_000_000
            self.inference_count += run.rows
            self.execution_count += 1
            batch = self.batches.setdefault(run.rows, {name: Duration() for name in _PARTS})
            for name in _PARTS:
                seconds = getattr(run, name)
                batch[name].add(seconds)
                self.parts[name].add(seconds)

    def ended(self, seconds: float, inside: float | None, *, success: bool) -> None:
        """Count a request: its time, and what of it the model took (None: it did not run)."""
        self.parts["success" if success else "fail"].add(seconds)
        if success and inside is not None:
            self.parts["queue"].add(max(0.0, seconds - inside))

    def shown(self, name: str, version: str) -> dict[str, Any]:
        """Return the entry of `model_stats`."""
        with self._lock:
            return {
                "name": name,
                "version": version,
                "last_inference": self.last_inference,
                "inference_count": self.inference_count,
                "execution_count": self.execution_count,
                "inference_stats": {
                    **{part: duration.shown() for part, duration in self.parts.items()},
                    "cache_hit": Duration().shown(),
                    "cache_miss": Duration().shown(),
                },
                "batch_stats": [
                    {"batch_size": size, **{part: d.shown() for part, d in batch.items()}}
                    for size, batch in sorted(self.batches.items())
                ],
            }


_COUNTERS: dict[str, tuple[str, Callable[[Statistics], int]]] = {
    "nv_inference_request_success": ("requests answered", lambda s: s.parts["success"].count),
    "nv_inference_request_failure": ("requests that failed", lambda s: s.parts["fail"].count),
    "nv_inference_count": ("rows inferred", lambda s: s.inference_count),
    "nv_inference_exec_count": ("executions", lambda s: s.execution_count),
    "nv_inference_request_duration_us": ("time of requests", lambda s: _us(s, "success")),
    "nv_inference_queue_duration_us": ("time in the queue", lambda s: _us(s, "queue")),
    "nv_inference_compute_input_duration_us": ("time for inputs", lambda s: _us(s, _PARTS[0])),
    "nv_inference_compute_infer_duration_us": ("time of inference", lambda s: _us(s, _PARTS[1])),
    "nv_inference_compute_output_duration_us": ("time for outputs", lambda s: _us(s, _PARTS[2])),
}
"""Triton's counters by name: what each is, and where its value is."""


def render_metrics(all_versions: Iterable[tuple[str, str, Statistics]]) -> str:
    """Return Triton's counters as Prometheus text, a sample a model and version."""
    versions = list(all_versions)
    lines = []
    for name, (text, value) in _COUNTERS.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
        for model, version, statistics in versions:
            labels = f'model="{_escaped(model)}",version="{version}"'
            lines.append(f"{name}{{{labels}}} {value(statistics)}")
    return "\n".join([*lines, ""])


def _us(statistics: Statistics, part: str) -> int:
    return statistics.parts[part].ns // 1000


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
