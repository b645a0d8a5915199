"""Runs gathered jobs through a model: each prepared by itself, predicted together, parted again.

An error belongs to who caused it: a batch that raises is halved until the request that raises
stands alone. Knows no loop and no thread; the caller runs it where it decides.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeAlias

from sampan.server.batching import (
    BatchLimits,
    NotRowWise,
    Part,
    make_part,
    merge,
    select_count,
    split,
)
from sampan.server.job import Job
from sampan.server.model import Headers, Model
from sampan.server.response_ids import make_response_id
from sampan.server.steps import OwnSteps

_Pair: TypeAlias = "tuple[Job, Part]"


@dataclass(frozen=True, slots=True)
class BatchModel:
    """A model with what its batches need to know, looked up once."""

    model: Model
    own: OwnSteps
    arrays: bool
    tagged: bool

    @classmethod
    def of(cls, model: Model, *, tagged: bool = False) -> BatchModel:
        """Return it for a model."""
        return cls(model, OwnSteps.of(model), model.takes_arrays, tagged)


def run_jobs(batches: BatchModel, jobs: Sequence[Job], limits: BatchLimits) -> Iterator[list[Job]]:
    """Settle all jobs, and yield those of each call of the model as soon as it is over."""
    groups: dict[Hashable, list[_Pair]] = {}
    alone: list[Job] = []
    failed: list[Job] = []
    for job in jobs:
        if not _prepare(batches, job):
            failed.append(job)
            continue
        part = make_part(job.payload)
        if part is None:
            alone.append(job)
        else:
            groups.setdefault(part.signature, []).append((job, part))
    if failed:
        yield failed
    for pairs in groups.values():
        yield from _run_group(batches, pairs, limits)
    for job in alone:
        _predict_alone(batches, job)
        yield [job]


def _prepare(batches: BatchModel, job: Job) -> bool:
    """Decode, preprocess and validate; False where that settled the job with an error."""
    try:
        payload = job.payload if job.decoded else job.inference.decode()
        job.ran.preprocess = 0.0
        if batches.own.preprocess:
            started = perf_counter()
            payload = batches.model.preprocess(payload, job.inference.headers)
            job.ran.preprocess = perf_counter() - started
        job.payload = batches.model.validate(payload)
    except Exception as error:  # noqa: BLE001  # becomes the answer
        job.outcome = error
        return False
    return True


def _run_group(batches: BatchModel, pairs: list[_Pair], limits: BatchLimits) -> Iterator[list[Job]]:
    """Cut a group of joinable requests to size and run each batch."""
    while pairs:
        count = len(pairs)
        rows = [part.rows for _, part in pairs]
        if limits.preferred or sum(rows) > limits.max_size:
            count = select_count(rows, limits)
        batch, pairs = pairs[:count], pairs[count:]
        _predict(batches, batch)
        yield [job for job, _ in batch]


def _predict(batches: BatchModel, pairs: list[_Pair]) -> None:
    if len(pairs) == 1:
        _predict_alone(batches, pairs[0][0])
        return
    parts = [part for _, part in pairs]
    batch_id = make_response_id() if batches.tagged else ""
    started = perf_counter()
    try:
        payload = merge(parts, arrays=batches.arrays)
        headers = _common_headers(pairs) if batches.model.takes_headers else {}
        results = split(batches.model.predict(payload, headers), parts)
    except NotRowWise:
        for job, _ in pairs:
            _predict_alone(batches, job)
    except Exception:  # noqa: BLE001  # one of them is at fault: it is found by halving
        middle = len(pairs) // 2
        _predict(batches, pairs[:middle])
        _predict(batches, pairs[middle:])
    else:
        seconds = perf_counter() - started
        for (job, _), result in zip(pairs, results, strict=True):
            job.ran.predict = seconds
            _finish(batches, job, result, batch_id)


def _predict_alone(batches: BatchModel, job: Job) -> None:
    started = perf_counter()
    try:
        result = batches.model.predict(job.payload, job.inference.headers)
    except Exception as error:  # noqa: BLE001  # becomes the answer
        job.outcome = error
        return
    job.ran.predict = perf_counter() - started
    _finish(batches, job, result, make_response_id() if batches.tagged else "")


def _finish(batches: BatchModel, job: Job, result: Any, batch_id: str) -> None:
    """Postprocess and encode; with a batch id a V1 answer looks like one of KServe's batcher."""
    ran, inference = job.ran, job.inference
    try:
        ran.postprocess = 0.0
        if batches.own.postprocess:
            started = perf_counter()
            result = batches.model.postprocess(result, inference.headers)
            ran.postprocess = perf_counter() - started
        if batch_id and isinstance(result, dict) and "predictions" in result:
            result = {"message": "", "batchId": batch_id, **result}
        job.outcome = inference.encode(result, ran.response_headers)
    except Exception as error:  # noqa: BLE001  # becomes the answer
        job.outcome = error


def _common_headers(pairs: list[_Pair]) -> Headers:
    """Return the headers on which all callers agree: predict sees nobody's own."""
    first = pairs[0][0].inference.headers
    if all(job.inference.headers == first for job, _ in pairs):
        return first
    common = first.items()
    for job, _ in pairs:
        common = common & job.inference.headers.items()  # type: ignore[assignment]  # sets alike
    return dict(common)
