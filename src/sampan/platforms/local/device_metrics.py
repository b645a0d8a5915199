"""What NVIDIA's GPUs do for each replica, told by `nvidia-smi`, by the names of DCGM's exporter.

A replica is told those devices on which a process of it computes. Where nobody says which process
is where (in a container), each replica is told all devices.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sampan.autoscaler.errors import MetricError
from sampan.autoscaler.exposition import Series, make_series
from sampan.platforms.local.usage import observe_trees

UTILIZATION, MEMORY = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED"
"""Percent of the time in which a kernel ran; MiB of memory in use (DCGM exporter)."""

PROGRAM = "nvidia-smi"
_GPUS = "--query-gpu=index,uuid,utilization.gpu,memory.used"
_PROCESSES = "--query-compute-apps=pid,gpu_uuid"
_FORMAT = "--format=csv,noheader,nounits"
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device: its number, its identity, percent in use and MiB in use (None: not told)."""

    index: str
    uuid: str
    utilization: float | None
    memory: float | None


def parse_gpus(text: str) -> list[Gpu]:
    """Return the devices in the CSV of `nvidia-smi --query-gpu=...`. Pure."""
    rows = (_cells(line) for line in text.splitlines())
    return [Gpu(r[0], r[1], _number(r[2]), _number(r[3])) for r in rows if len(r) == 4]


def parse_processes(text: str) -> list[tuple[int, str]]:
    """Return `(pid, uuid)` of the CSV of `nvidia-smi --query-compute-apps=...`. Pure."""
    rows = (_cells(line) for line in text.splitlines())
    return [(int(r[0]), r[1]) for r in rows if len(r) == 2 and r[0].isdecimal()]


def make_samples(gpus: Iterable[Gpu]) -> list[tuple[Series, float]]:
    """Return what devices do, as a DCGM exporter would tell it. Pure."""
    found = []
    for gpu in gpus:
        labels = {"gpu": gpu.index, "UUID": gpu.uuid}
        for name, value in ((UTILIZATION, gpu.utilization), (MEMORY, gpu.memory)):
            if value is not None:
                found.append((make_series(name, labels), value))
    return found


def select_gpus(
    trees: Mapping[int, Iterable[int]], gpus: Sequence[Gpu], processes: Sequence[tuple[int, str]]
) -> dict[int, list[Gpu]]:
    """Return the devices of each replica, by the pids of its process tree. Pure."""
    own = {pid: {uuid for p, uuid in processes if p in tree} for pid, tree in trees.items()}
    if not any(own.values()):
        return {pid: list(gpus) for pid in trees}
    return {pid: [gpu for gpu in gpus if gpu.uuid in uuids] for pid, uuids in own.items()}


class NvidiaMetrics:
    """Reads the devices of this machine, by running `program`."""

    def __init__(self, program: str = PROGRAM) -> None:
        self._program = program

    async def read(self, pids: Sequence[int]) -> Mapping[int, Sequence[tuple[Series, float]]]:
        """Return the samples of each replica's devices; raise MetricError without any device."""
        if shutil.which(self._program) is None:
            raise MetricError(
                f'this machine has no "{PROGRAM}", so nothing tells what its GPUs do; install '
                "NVIDIA's driver, or scale by another metric"
            )
        gpus = parse_gpus(await self._ask(_GPUS))
        processes = parse_processes(await self._ask(_PROCESSES))
        trees = await asyncio.to_thread(observe_trees, pids)
        return {pid: make_samples(own) for pid, own in select_gpus(trees, gpus, processes).items()}

    async def _ask(self, query: str) -> str:
        process = await asyncio.create_subprocess_exec(
            self._program,
            query,
            _FORMAT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _SECONDS)
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise MetricError(f'"{PROGRAM}" does not answer within {_SECONDS:g} s') from error
        text = said.decode("utf-8", "replace")
        if process.returncode:
            raise MetricError(f'"{PROGRAM}" says: {text.strip()[:200]}')
        return text


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return None
