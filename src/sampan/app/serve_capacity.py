"""How much a model server takes on at once: batches, concurrency, time, processes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from typing import Any

from sampan.server.admission import Admission
from sampan.server.batching import USUAL_SIZE, BatchLimits
from sampan.server.dataplane import DataPlane


@dataclass(frozen=True, slots=True)
class Capacity:
    """Parsed arguments of the same names. 0 is no limit; `max_latency` is milliseconds."""

    container_concurrency: int = 0
    max_queue: int | None = None
    request_timeout: float = 0.0
    enable_batcher: bool = False
    max_batch_size: int | None = None
    max_latency: float = 0.0
    preferred_batch_sizes: tuple[int, ...] = ()
    workers: int = 1
    worker_timeout: float = 60.0


def add_capacity_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `Capacity`."""
    add = parser.add_argument_group("capacity").add_argument
    add(
        "--container_concurrency",
        type=_whole,
        default=0,
        help="inferences answered at once in a process; more wait; 0: no limit",
    )
    add(
        "--max_queue",
        type=_whole,
        help="inferences that wait for their turn, more get 503; default 10 x the concurrency",
    )
    add("--request_timeout", type=_seconds, default=0.0, help="seconds until 504; 0: none")
    add(
        "--enable_batcher",
        type=_truth,
        nargs="?",
        const=True,
        default=False,
        help="batch every model, also one that is not known to be row-wise; V1 answers get a "
        "batchId, as from KServe's batcher",
    )
    add("--max_batch_size", type=_whole, help="rows in one call of a model; 1: no batching")
    add("--max_latency", type=_seconds, default=0.0, help="ms to wait for a fuller batch")
    add(
        "--preferred_batch_sizes",
        type=_sizes,
        default=(),
        help="sizes to fill exactly where what waits allows it, such as 8,16,32",
    )
    add("--workers", type=_count, default=1, help="processes that share the port and the model")
    add(
        "--worker_timeout",
        type=_seconds,
        default=60.0,
        help="seconds without a sign of life after which a worker is replaced; 0: never",
    )


def take_capacity(values: dict[str, Any]) -> Capacity:
    """Take the parsed values out of the others."""
    return Capacity(**{field.name: values.pop(field.name) for field in fields(Capacity)})


def make_batch_limits(capacity: Capacity) -> BatchLimits:
    """Return the limits that were asked for; KServe's batcher takes 32 rows unless told."""
    usual = 32 if capacity.enable_batcher else USUAL_SIZE
    return BatchLimits(
        max_size=capacity.max_batch_size or usual,
        max_latency=capacity.max_latency / 1000,
        preferred=capacity.preferred_batch_sizes,
        tagged=capacity.enable_batcher,
    )


def apply_capacity(dataplane: DataPlane, capacity: Capacity) -> None:
    """Give a data plane its limits. On its loop's thread."""
    dataplane.batch_limits = make_batch_limits(capacity)
    dataplane.batch_all = capacity.enable_batcher
    if capacity.container_concurrency or capacity.request_timeout:
        dataplane.admission = Admission(
            dataplane.reply,
            limit=capacity.container_concurrency,
            queue=capacity.max_queue,
            timeout=capacity.request_timeout,
        )


def _truth(value: str) -> bool:
    if value.lower() not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f'"{value}" is neither; write true or false')
    return value.lower() == "true"


def _whole(value: str) -> int:
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f'"{value}" is no count; give a whole number from 0')
    return int(value)


def _count(value: str) -> int:
    number = _whole(value)
    if not number:
        raise argparse.ArgumentTypeError(f'"{value}" is no count; give a whole number from 1')
    return number


def _seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f'"{value}" is no time; give a number from 0')
    return number


def _sizes(value: str) -> tuple[int, ...]:
    return tuple(_count(size.strip()) for size in value.split(","))
