"""A project's own class: an `MLModel` of the package `mlserver`, on an event loop of its own.

The class is code of the project's, so it is run only where the model is trusted. Its coroutines run
on one thread beside the server's, so that one that blocks holds up nobody's health.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from sampan.protocol.errors import InferenceError, InvalidInput, ModelNotReady, ServingError
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.mlserver.native import BUILT_IN
from sampan.runtimes.mlserver.settings import ModelSettings
from sampan.runtimes.mlserver.streams import across
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers, Model
from sampan.server.streaming import Streamed


class CustomModel(Model):
    """A model whose class `mlserver` imports."""

    def __init__(self, settings: ModelSettings, *, trust: bool) -> None:
        super().__init__(settings.name)
        self.settings = settings
        self.platform = settings.platform
        self._trust = trust
        self._model: Any = None
        self._loop: Any = None
        self._metadata: dict[str, Any] = {}

    def load(self) -> bool:
        """Import and load the class; LoadFailure tells what is wrong with it."""
        if not self._trust:
            raise LoadFailure(
                "ModelUntrusted",
                f'model "{self.name}" is the class "{self.settings.implementation}" of the '
                "project, which runs only where the model is trusted; if you trust where it comes "
                "from, set "
                'the annotation serving.sampan.dev/trust: "true" (or start the server with '
                f"--trust); without it there are {', '.join(BUILT_IN)}",
            )
        made = _make(self.settings)
        self._loop = loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name=f"model {self.name}", daemon=True).start()
        try:
            self.ready = self._run(_load(made)) is not False
            self._metadata = self._run(made.metadata()).model_dump(exclude_none=True)
        except Exception as error:
            raise LoadFailure(
                "ModelLoadFailed", f'{type(error).__name__}: {error} (in "load"); mend the model'
            ) from error
        self._model = made
        made.ready = True
        self.takes_streamed = _streams(made)
        return self.ready

    def stop(self) -> None:
        """Unload, and end the model's loop."""
        super().stop()
        model, loop, self._model = self._model, self._loop, None
        if model is not None:
            ended = asyncio.run_coroutine_threadsafe(model.unload(), loop)
            ended.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))

    @property
    def loaded(self) -> Any:
        """The project's object; None before it is loaded."""
        return self._model

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run on the model's loop, and wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return what the model says."""
        return self._metadata.get("inputs") or list(self.settings.inputs)

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return what the model says."""
        return self._metadata.get("outputs") or list(self.settings.outputs)

    async def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V2 request as the class does; its errors keep their status."""
        del response_headers
        if isinstance(payload, Streamed):
            return self._stream(payload.request, headers or {})
        if not isinstance(payload, InferRequest):
            raise InvalidInput('models of MLServer take V2; send {"inputs": [...]} to .../infer')
        request = _make_request(payload, headers or {})
        if self._model is None:
            raise ModelNotReady(self.name)
        asked = asyncio.run_coroutine_threadsafe(_predict(self._model, request), self._loop)
        try:
            answer = await asyncio.wrap_future(asked)
        except Exception as error:
            raise _blame(error, self.name) from error
        return _make_answer(answer, payload)

    async def _stream(self, payload: InferRequest, headers: Headers) -> AsyncIterator[Any]:
        """Yield what the class answers in parts; its errors keep their status."""
        if self._model is None:
            raise ModelNotReady(self.name)
        parts = self._model.predict_stream(_one(_make_request(payload, headers)))
        try:
            async with contextlib.aclosing(across(parts, self._loop)) as answers:
                async for answer in answers:
                    yield _make_answer(answer, payload)
        except Exception as error:
            raise _blame(error, self.name) from error


def _streams(model: Any) -> bool:
    """Whether a class has a `predict_stream` of its own."""
    from mlserver import MLModel  # type: ignore[import-not-found]  # not a dependency

    return type(model).predict_stream is not MLModel.predict_stream


async def _one(request: Any) -> AsyncIterator[Any]:
    yield request


async def _load(model: Any) -> Any:
    """Load, and let mlserver gather requests where the settings say so."""
    from mlserver.batching import load_batching  # type: ignore[import-not-found]  # not ours
    from mlserver.context import model_context  # type: ignore[import-not-found]  # not ours

    with model_context(model.settings):
        loaded = await model.load()
        await load_batching(model)
    return loaded


async def _predict(model: Any, request: Any) -> Any:
    """Predict where `mlserver.log` knows which model speaks."""
    from mlserver.context import model_context

    with model_context(model.settings):
        return await model.predict(request)


def render_metrics() -> bytes:
    """Return what models registered with `mlserver.register`, as Prometheus text."""
    from mlserver.metrics.registry import REGISTRY  # type: ignore[import-not-found]  # not ours
    from prometheus_client import (  # type: ignore[import-not-found]  # comes with mlserver
        generate_latest,
    )

    text: bytes = generate_latest(REGISTRY)
    return text


def _make(settings: ModelSettings) -> Any:
    """Return the project's object, not loaded."""
    try:
        from mlserver.settings import (  # type: ignore[import-not-found]  # not a dependency
            ModelSettings as Theirs,
        )
    except ImportError as error:
        raise LoadFailure(
            "RuntimeUnavailable",
            f"mlserver is not in the environment ({error}), and the project has classes of its "
            "own; install mlserver",
        ) from None
    document = {**settings.document, "name": settings.name}
    parameters = {**(document.get("parameters") or {}), "uri": str(settings.uri)}
    if settings.source is not None:
        document["_source"] = str(settings.source)
    try:
        theirs = Theirs.model_validate({**document, "parameters": parameters})
        return theirs.implementation(theirs)
    except Exception as error:
        raise LoadFailure(
            "ModelLoadFailed",
            f'implementation "{settings.implementation}" of model "{settings.name}": '
            f"{type(error).__name__}: {error}; mend the class, or its name",
        ) from error


def _make_request(payload: InferRequest, headers: Headers) -> Any:
    """Return the request as mlserver's type; request headers are among its parameters."""
    from mlserver.types import InferenceRequest  # type: ignore[import-not-found]  # as above

    document = payload.to_dict()
    parameters = {**(document.get("parameters") or {}), "headers": headers}
    return InferenceRequest.model_validate({**document, "parameters": parameters})


def _make_answer(answer: Any, payload: InferRequest) -> dict[str, Any]:
    """Return the class's answer in V2's form, with what it leaves out."""
    made: dict[str, Any] = answer.model_dump(exclude_none=True)
    parameters = made.get("parameters") or {}
    parameters.pop("headers", None)
    for output in made["outputs"]:
        output["data"] = _plain(output["data"])
    return {**made, "id": made.get("id") or payload.id or "", "parameters": parameters}


def _plain(data: Any) -> Any:
    """Return a tensor's contents as a list, whatever pydantic made of them."""
    return data.get("root", data) if isinstance(data, dict) else data


def _blame(error: Exception, name: str) -> Exception:
    """Return our error of the status that mlserver gives its own; any other is the model's."""
    if isinstance(error, ServingError):
        return error
    status = getattr(error, "status_code", 500)
    if status == 503:
        return ModelNotReady(name)
    if 400 <= status < 500:
        return InvalidInput(str(error))
    return InferenceError(f"{type(error).__name__}: {error}")
