"""The data plane, free of any transport: what REST asks today and gRPC will ask tomorrow.

Order of an inference (KServe's): the name exists, it is ready, the body decodes, preprocess,
validate, predict or explain, postprocess, encode. The first two are decided at once; the rest runs
where `Pace` and the model say, and `done` gets the encoded answer or the error, on the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter, thread_time
from typing import Any

from sampan import __version__
from sampan.protocol.errors import (
    ModelNotReady,
    Overloaded,
    ServerNotReady,
    ServingError,
    status_of,
)
from sampan.server.admission import Admission
from sampan.server.batch_queue import BatchQueue
from sampan.server.batch_run import BatchModel
from sampan.server.batching import BatchLimits
from sampan.server.job import Done, Inference, Job
from sampan.server.metrics import Metrics
from sampan.server.model import InferenceVerb
from sampan.server.model_exits import EXITS, is_called_off, make_exit_error
from sampan.server.pace import INLINE_BYTES, SLOW_SECONDS, charge
from sampan.server.repository import Entry, ModelRepository
from sampan.server.steps import run, run_async
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.server")

_PREDICT = InferenceVerb.PREDICT  # looked up so often that an Enum's way is felt


class DataPlane:
    """Answers for the models of a repository. Used on the loop's thread."""

    def __init__(
        self, repository: ModelRepository, workers: Workers, metrics: Metrics | None = None
    ) -> None:
        self.repository = repository
        self.metrics = metrics or Metrics()
        self.metrics.set_queue_length(self._waiting)
        self.batch_limits = BatchLimits()
        self.batch_all = False
        """Whether models are batched that promise nothing: their owner asked for it."""
        self.admission: Admission | None = None
        self.other_states: Callable[[], list[dict[str, Any]]] = list
        """The metrics of the server's other processes."""
        self._workers = workers
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_end: Callable[[Job, str], None] | None = None
        """Told of each inference that has ended, and of its HTTP status."""
        self.started = False
        """Set when the first loading is over: until then the server is not ready."""

    @property
    def workers(self) -> Workers:
        """The threads that models run on."""
        return self._workers

    def metadata(self) -> dict[str, Any]:
        """Return the server's metadata."""
        return {
            "name": "sampan",
            "version": __version__,
            "extensions": ["model_repository_extension", "binary_tensor_data_extension"],
        }

    def validate_ready(self) -> None:
        """Raise ServerNotReady unless the model answers; of many, each answers for itself."""
        if not self.started:
            raise ServerNotReady
        if not self.repository.multi_model and not self.repository.all_ready():
            raise ServerNotReady

    def model_metadata(self, name: str) -> dict[str, Any]:
        """Return a model's metadata; ModelNotFound."""
        model = self.repository.described(name).model
        return {
            "name": name,
            "versions": None,
            "platform": model.platform,
            "inputs": model.get_input_types(),
            "outputs": model.get_output_types(),
        }

    def infer(self, inference: Inference, done: Done) -> None:
        """Start an inference; ModelNotFound, ModelNotReady and Overloaded are raised at once."""
        name = inference.model_name
        try:
            entry = self.repository.get_ready(name)
            job = Job(inference, done)
            job.counts = counts = self.metrics.of(name)
            if self.admission is None:
                counts.begun += 1
                self._start(entry, job)
            else:
                self.admission.admit(job, partial(self._start, entry, job))
                counts.begun += 1
        except (ModelNotReady, Overloaded) as error:  # of a name that is registered, so one series
            self.metrics.refused(name, str(error.status))
            raise

    def _start(self, entry: Entry, job: Job) -> None:
        """Hand a job to where its model runs."""
        model, inference = entry.model, job.inference
        predicts = inference.verb is _PREDICT
        if entry.asynchronous if predicts else entry.explains_asynchronously:
            task = asyncio.get_running_loop().create_task(self._infer_async(entry, job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif inference.size > INLINE_BYTES:
            self._start_on_thread(entry, job)
        elif predicts and (model.row_wise or self.batch_all) and not model.return_response_headers:
            (entry.queue or self._make_queue(entry, inference.model_name)).put(job)
        elif entry.pace.inline:
            _answer_here(entry, job)
            self._settle(job)
        else:
            self._start_on_thread(entry, job)

    def _start_on_thread(self, entry: Entry, job: Job) -> None:
        self._workers.submit(
            lambda: _answer(entry, job), lambda outcome: self._answered(entry, job, outcome)
        )

    def _make_queue(self, entry: Entry, name: str) -> BatchQueue:
        entry.queue = BatchQueue(
            BatchModel.of(entry.model, tagged=self.batch_limits.tagged),
            entry.pace,
            entry.model.batch_limits or self.batch_limits,
            self._workers,
            (self._settle, partial(self.metrics.observe_batch, name)),
        )
        return entry.queue

    def _waiting(self) -> dict[str, float]:
        """Return how many requests wait for each model that batches."""
        entries = ((name, self.repository.get(name)) for name in self.repository.names())
        return {name: e.queue.length for name, e in entries if e.queue is not None}

    async def _infer_async(self, entry: Entry, job: Job) -> None:
        inference, ran = job.inference, job.ran
        try:
            payload = inference.decode()
            await run_async(entry.model, payload, inference.headers, inference.verb, ran)
            job.outcome = inference.encode(ran.result, ran.response_headers)
        except Exception as error:  # noqa: BLE001  # becomes the answer
            job.outcome = error
        except EXITS as error:
            if is_called_off():
                raise
            job.outcome = make_exit_error(error)
        self._settle(job)

    def _answered(self, entry: Entry, job: Job, outcome: Any) -> None:
        """Take what `_answer` returned, or what its thread raised."""
        if isinstance(outcome, BaseException):  # only what is no Exception: SystemExit in predict
            job.outcome = make_exit_error(outcome)
        elif entry.model.quick and job.inference.size <= INLINE_BYTES:
            entry.pace.observe(outcome)
        self._settle(job)

    def _settle(self, job: Job) -> None:
        """Take a job whose model is done with it."""
        self.reply(job)
        if self.admission is not None:
            self.admission.release(job)

    def reply(self, job: Job) -> None:
        """Count a job's outcome and hand it over, once: what comes after a timeout goes nowhere."""
        if job.settled:
            return
        job.settled = True
        outcome = job.outcome
        failed = isinstance(outcome, Exception)
        code = str(status_of(outcome)) if failed else "200"
        job.counts.end(job.ran, perf_counter() - job.begun, code)
        if self.on_end is not None:
            self.on_end(job, code)
        if failed and not isinstance(outcome, (ServingError, NotImplementedError)):
            headers, name = job.inference.headers, job.inference.model_name
            request_id = headers.get("x-request-id", "-")
            logger.error('model "%s" raised on request %s', name, request_id, exc_info=outcome)
        job.done(outcome)

    async def load(self, name: str) -> None:
        """Load a model on a thread; ModelNotReady with the reason where it does not work.

        A model that was not registered before stays so: requests cannot fill the registry.
        """
        started = perf_counter()
        ready = False
        try:
            model = self.repository.prepare(name)
            ready = await self._workers.run(model.load)
        except ModelNotReady:
            raise
        except Exception as error:
            detail = f"Error type: {type(error)} error msg: {error}"
            logger.exception('model "%s" does not load', name)
            raise ModelNotReady(name, detail) from error
        finally:
            if ready or name in self.repository.names():
                self.metrics.observe_load(name, perf_counter() - started, success=bool(ready))
        if not ready:
            raise ModelNotReady(name)
        self.repository.loaded(name, model)


def _answer_here(entry: Entry, job: Job) -> None:
    """Answer on the loop, and see to it that the model still belongs there."""
    pace = entry.pace
    if pace.doubt:
        pace.observe(_answer(entry, job))
        pace.doubt = False
        return
    _run(entry, job)
    pace.doubt = perf_counter() - job.begun > SLOW_SECONDS


def _answer(entry: Entry, job: Job) -> float:
    """Answer, and return the seconds to hold against the model."""
    wall, cpu = perf_counter(), thread_time()
    _run(entry, job)
    return charge(perf_counter() - wall, thread_time() - cpu)


def _run(entry: Entry, job: Job) -> None:
    """Decode, run, encode."""
    inference, ran = job.inference, job.ran
    try:
        payload = inference.decode()
        run(entry.model, payload, inference.headers, inference.verb, ran, entry.own)
        job.outcome = inference.encode(ran.result, ran.response_headers)
    except Exception as error:  # noqa: BLE001  # becomes the answer
        job.outcome = error
