"""Metrics: plain integers and fixed buckets, turned into Prometheus text when they are scraped.

Names, labels and buckets are KServe's (which are prometheus_client's defaults), so dashboards
made for KServe work. Written and read on the loop's thread only; no lock.
"""

from __future__ import annotations

import gc
import os
import platform
import resource
import time
from bisect import bisect_left
from pathlib import Path

from sampan.server.steps import Ran

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_BOUNDS = (*(str(bound) for bound in BUCKETS), "+Inf")
_HELP = {
    "preprocess": "pre-process request latency",
    "postprocess": "post-process request latency",
    "predict": "predict request latency",
    "explain": "explain request latency",
}


class Histogram:
    """Observations of one step of one model."""

    __slots__ = ("counts", "created", "sum")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.sum = 0.0
        self.created = time.time()

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds


class Metrics:
    """The histograms of all models of this process."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, Histogram]] = {}

    def observe(self, model: str, ran: Ran) -> None:
        """Count the steps that ran to their end; a series appears with its first request."""
        steps = self._models.get(model)
        if steps is None:
            steps = self._models[model] = {}
        for step in _HELP:
            seconds = getattr(ran, step)
            if seconds is not None:
                histogram = steps.get(step)
                if histogram is None:
                    histogram = steps[step] = Histogram()
                histogram.observe(seconds)

    def render(self) -> bytes:
        """Return everything in Prometheus's text format 0.0.4."""
        lines = [*_process_lines(), *_python_lines()]
        for step, text in _HELP.items():
            lines += self._step_lines(f"request_{step}_seconds", step, text)
        return ("\n".join(lines) + "\n").encode()

    def _step_lines(self, name: str, step: str, text: str) -> list[str]:
        found = [(model, steps[step]) for model, steps in self._models.items() if step in steps]
        lines = [f"# HELP {name} {text}", f"# TYPE {name} histogram"]
        for model, histogram in found:
            label = f'model_name="{_escape(model)}"'
            total = 0
            for bound, count in zip(_BOUNDS, histogram.counts, strict=True):
                total += count
                lines.append(f'{name}_bucket{{le="{bound}",{label}}} {float(total)}')
            lines.append(f"{name}_count{{{label}}} {float(total)}")
            lines.append(f"{name}_sum{{{label}}} {histogram.sum!r}")
        if found:
            lines += [f"# HELP {name}_created {text}", f"# TYPE {name}_created gauge"]
        for model, histogram in found:
            lines.append(f'{name}_created{{model_name="{_escape(model)}"}} {histogram.created!r}')
        return lines


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _sample(name: str, kind: str, text: str, value: float) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {float(value)!r}"]


def _process_lines() -> list[str]:
    """Return what prometheus_client's process collector tells (Linux's /proc)."""
    stat = Path("/proc/self/stat")
    if not stat.exists():
        return []
    fields = stat.read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    boot = next(
        float(line.split()[1])
        for line in Path("/proc/stat").read_text().splitlines()
        if line.startswith("btime")
    )
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # counts, makes no paths
    values = (
        ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", int(fields[20])),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes.",
            int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            boot + int(fields[19]) / ticks,
        ),
        (
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            (int(fields[11]) + int(fields[12])) / ticks,
        ),
        ("process_open_fds", "gauge", "Number of open file descriptors.", descriptors),
        ("process_max_fds", "gauge", "Maximum number of open file descriptors.", soft),
    )
    return [line for row in values for line in _sample(*row)]


def _python_lines() -> list[str]:
    lines: list[str] = []
    for name, key, text in (
        ("python_gc_objects_collected_total", "collected", "Objects collected during gc"),
        (
            "python_gc_objects_uncollectable_total",
            "uncollectable",
            "Uncollectable objects found during GC",
        ),
        (
            "python_gc_collections_total",
            "collections",
            "Number of times this generation was collected",
        ),
    ):
        lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
        for generation, stats in enumerate(gc.get_stats()):
            lines.append(f'{name}{{generation="{generation}"}} {float(stats[key])}')
    major, minor, patch = platform.python_version_tuple()
    labels = (
        f'implementation="{platform.python_implementation()}",major="{major}",minor="{minor}",'
        f'patchlevel="{patch}",version="{platform.python_version()}"'
    )
    lines += ["# HELP python_info Python platform information", "# TYPE python_info gauge"]
    lines.append(f"python_info{{{labels}}} 1.0")
    return lines
