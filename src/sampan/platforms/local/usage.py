"""How much CPU and memory a process and its children use, as the kernel counts it (`/proc`).

Memory is the proportional set size: replicas are forked from a zygote and share pages with it and
with each other, and each page counts once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the start, and bytes of memory now."""

    cpu_seconds: float
    memory_bytes: int


def parse_stat(stat: str) -> tuple[int, float]:
    """Return parent and CPU seconds of `/proc/PID/stat` (proc(5), fields 4, 14, 15). Pure."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS


def parse_memory(rollup: str) -> int:
    """Return the bytes of `Pss:` in `/proc/PID/smaps_rollup`. Pure."""
    lines = (line.split() for line in rollup.splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[:1] == ["Pss:"]), 0)


def select_tree(root: int, parents: Mapping[int, int]) -> set[int]:
    """Return a process and all that descend from it. Pure."""
    found, grown = {root}, True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in found} - found
        found |= children
        grown = bool(children)
    return found


def observe_usage(roots: Iterable[int]) -> dict[int, Usage]:
    """Return the usage of each process with its descendants; those that are gone are left out."""
    table = _read_table()
    parents = {pid: parent for pid, (parent, _) in table.items()}
    usages = {}
    for root in roots:
        tree = select_tree(root, parents) & table.keys()
        if root in tree:
            memory = sum(_read_memory(pid) for pid in tree)
            usages[root] = Usage(sum(table[pid][1] for pid in tree), memory)
    return usages


def observe_trees(roots: Iterable[int]) -> dict[int, set[int]]:
    """Return each process with all that descend from it."""
    parents = {pid: parent for pid, (parent, _) in _read_table().items()}
    return {root: select_tree(root, parents) for root in roots}


def _read_table() -> dict[int, tuple[int, float]]:
    table = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                table[int(entry.name)] = parse_stat((entry / "stat").read_text())
            except (OSError, ValueError, IndexError):  # it has just ended
                continue
    return table


def _read_memory(pid: int) -> int:
    try:
        return parse_memory((PROC / str(pid) / "smaps_rollup").read_text())
    except OSError:
        return 0
