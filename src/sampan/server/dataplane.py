"""The data plane, free of any transport: what REST asks today and gRPC will ask tomorrow.

Order of an inference (KServe's): the name exists, it is ready, the body decodes, preprocess,
validate, predict or explain, postprocess, encode. The first two are decided at once; the rest runs
where `Pace` and the model say, and `done` gets the encoded answer or the error, on the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeAlias

from sampan import __version__
from sampan.protocol.errors import ModelNotReady, ServerNotReady, ServingError
from sampan.server.metrics import Metrics
from sampan.server.model import Headers, InferenceVerb
from sampan.server.pace import INLINE_BYTES
from sampan.server.repository import Entry, ModelRepository
from sampan.server.steps import Ran, run, run_async
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.server")

Done: TypeAlias = Callable[[Any], None]
"""Gets what `Inference.encode` returned, or an exception."""


@dataclass(slots=True)
class Inference:
    """One inference as a transport hands it over. `decode` and `encode` may run on a thread."""

    model_name: str
    headers: Headers
    size: int
    decode: Callable[[], Any]
    encode: Callable[[Any, Headers], Any]
    verb: InferenceVerb = InferenceVerb.PREDICT


class DataPlane:
    """Answers for the models of a repository. Used on the loop's thread."""

    def __init__(
        self, repository: ModelRepository, workers: Workers, metrics: Metrics | None = None
    ) -> None:
        self.repository = repository
        self.metrics = metrics or Metrics()
        self._workers = workers
        self._tasks: set[asyncio.Task[None]] = set()
        self.started = False
        """Set when the first loading is over: until then the server is not ready."""

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
        model = self.repository.get(name).model
        return {
            "name": name,
            "versions": None,
            "platform": "",
            "inputs": model.get_input_types(),
            "outputs": model.get_output_types(),
        }

    def infer(self, inference: Inference, done: Done) -> None:
        """Start an inference; ModelNotFound and ModelNotReady are raised at once."""
        entry = self.repository.get_ready(inference.model_name)
        ran = Ran()
        if entry.asynchronous:
            task = asyncio.get_running_loop().create_task(self._infer_async(entry, inference, done))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif entry.pace.inline and inference.size <= INLINE_BYTES:
            self._finish(entry, inference, ran, done, _answer(entry, inference, ran))
        else:
            self._workers.submit(
                lambda: _answer(entry, inference, ran),
                lambda outcome: self._finish(entry, inference, ran, done, outcome),
            )

    async def _infer_async(self, entry: Entry, inference: Inference, done: Done) -> None:
        ran = Ran()
        try:
            payload = inference.decode()
            await run_async(entry.model, payload, inference.headers, inference.verb, ran)
            outcome = inference.encode(ran.result, ran.response_headers)
        except Exception as error:  # noqa: BLE001  # becomes the answer
            outcome = error
        self._finish(entry, inference, ran, done, (outcome, 0.0))

    def _finish(
        self, entry: Entry, inference: Inference, ran: Ran, done: Done, outcome: Any
    ) -> None:
        """Count, and hand the answer over."""
        if isinstance(outcome, BaseException):  # only what is no Exception: SystemExit in predict
            answer: Any = RuntimeError(f"{type(outcome).__name__} raised by the model")
        else:
            answer, seconds = outcome
            if entry.model.quick and inference.size <= INLINE_BYTES:
                entry.pace.observe(seconds)
        self.metrics.observe(inference.model_name, ran)
        known = isinstance(answer, (ServingError, NotImplementedError))
        if isinstance(answer, Exception) and not known:
            logger.error('model "%s" raised', inference.model_name, exc_info=answer)
        done(answer)

    async def load(self, name: str) -> None:
        """Load a model on a thread; ModelNotReady with the reason where it does not work.

        A model that was not registered before stays so: requests cannot fill the registry.
        """
        try:
            model = self.repository.prepare(name)
            ready = await self._workers.run(model.load)
        except ModelNotReady:
            raise
        except Exception as error:
            detail = f"Error type: {type(error)} error msg: {error}"
            logger.exception('model "%s" does not load', name)
            raise ModelNotReady(name, detail) from error
        if not ready:
            raise ModelNotReady(name)
        self.repository.loaded(name, model)


def _answer(entry: Entry, inference: Inference, ran: Ran) -> tuple[Any, float]:
    """Decode, run, encode; return the answer or the error, and the seconds it took."""
    started = perf_counter()
    try:
        run(entry.model, inference.decode(), inference.headers, inference.verb, ran)
        answer = inference.encode(ran.result, ran.response_headers)
    except Exception as error:  # noqa: BLE001  # becomes the answer
        answer = error
    return answer, perf_counter() - started
