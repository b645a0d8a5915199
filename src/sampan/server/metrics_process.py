"""What a process tells of itself: prometheus_client's process, GC and platform collectors."""

from __future__ import annotations

import gc
import os
import platform
import resource
from pathlib import Path


def render_process() -> list[str]:
    """Return the lines of this process, in Prometheus's text format."""
    return [*_process_lines(), *_python_lines()]


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
