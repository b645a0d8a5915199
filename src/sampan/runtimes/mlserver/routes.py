"""What MLServer's interface has beside V2: versions, its repository, handlers of a model's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import orjson

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput, ModelNotFound, ModelNotReady
from sampan.protocol.grpc import messages
from sampan.runtimes.mlflow_api import MLflowApi
from sampan.runtimes.mlserver.custom import CustomModel, render_metrics
from sampan.runtimes.mlserver.mlflow import MLflowProjectModel
from sampan.runtimes.mlserver.native import NativeModel
from sampan.runtimes.mlserver.streams import make_streamed
from sampan.server import metrics
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.load_failure import describe_failure
from sampan.server.repository import ModelRepository
from sampan.server.rest import Handler, Rest, Route
from sampan.server.rest_calls import make_v2
from sampan.server.routes import Route as Pattern
from sampan.server.workers import Workers
from sampan.wire.message import Request, Response

Find: TypeAlias = "Callable[[str], NativeModel | CustomModel | None]"
"""What makes a model of the project's settings as they are now, None where they name none."""

_SERVICE = b"/inference.GRPCInferenceService/"
_EMPTY = Response(200, b"", b"")
_UNLOADED = "unloaded"
_LEAVING_SECONDS = 30.0
"""How long requests that began on a model that was replaced may take."""


class MLServerApi:
    """The interface over the project's models. Used on the loop's thread."""

    bare_streams = True
    """A stream's answers are ModelInferResponses (MLServer's `dataplane.proto`)."""

    def __init__(self, repository: ModelRepository, find: Find) -> None:
        self._repository = repository
        self._find = find

    # -- REST --------------------------------------------------------------------------------

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return the routes that differ from KServe's (`server.rest.Api`)."""
        model, version = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", model, self._metadata),
            ("GET", version, self._metadata),
            ("GET", "/metrics", partial(self._metrics, rest)),
            ("GET", version + "/ready", self._ready),
            ("POST", version + "/infer", partial(self._infer, rest)),
            ("POST", model + "/generate", partial(self._infer, rest)),
            ("POST", version + "/generate", partial(self._infer, rest)),
            *(
                ("POST", f"{path}/{verb}", partial(self._infer_stream, rest))
                for path in (model, version)
                for verb in ("infer_stream", "generate_stream")
            ),
            ("POST", "/v2/repository/index", self._index),
            ("POST", "/v2/repository/models/{name}/load", partial(self._load, rest)),
            ("POST", "/v2/repository/models/{name}/unload", self._unload),
        ]
        for method, path, handler in table:
            yield Pattern(method, path, f"mlserver {method} {path}"), handler
        models = (self._repository.get(name).model for name in self._repository.names())
        if any(isinstance(one, MLflowProjectModel) for one in models):
            yield from MLflowApi(MLflowProjectModel).routes(rest)

    def _metadata(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        shown = self.metadata(*_named(route))
        reply(Response(200, orjson.dumps(shown)))

    def _ready(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        name, version = _named(route)
        self._get(name, version)
        self._repository.get_ready(name)
        reply(_EMPTY)

    def _infer(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        name, version = _named(route)
        self._get(name, version)
        rest.begin(make_v2(request, name, reply.stamp), reply)

    def _infer_stream(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        name, version = _named(route)
        model = self._get(name, version)
        inference = make_v2(request, name, reply.stamp)
        if isinstance(model, NativeModel):
            raise InvalidInput(f'model "{name}" does not stream; ask /v2/models/{name}/infer')
        rest.begin(make_streamed(inference), reply)

    def _metrics(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        """Show the server's metrics, and those that the project's classes keep."""
        del request, route
        dataplane = rest.dataplane
        text = dataplane.metrics.render(dataplane.other_states())
        if any(isinstance(self._get(name, ""), CustomModel) for name in self._repository.names()):
            text += render_metrics()
        reply(Response(200, text, metrics.CONTENT_TYPE))

    def _index(self, request: Request, reply: Exchange, route: Route) -> None:
        del route
        try:
            wanted = orjson.loads(request.body) if request.body else {}
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"Unrecognized request format: {error}") from None
        ready = wanted.get("ready") if isinstance(wanted, dict) else None
        reply(Response(200, orjson.dumps(self.index(ready_only=ready is True))))

    def _load(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        del request
        name = route.parameters["name"]
        rest.answer_with(reply, self.load(name, rest.dataplane.workers), {})

    def _unload(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        self.unload(route.parameters["name"])
        reply(_EMPTY)

    # -- gRPC --------------------------------------------------------------------------------

    def methods(
        self, dataplane: DataPlane
    ) -> Mapping[bytes, Callable[[bytes], bytes | Coroutine[Any, Any, bytes]]]:
        """Return the methods that differ from KServe's (`server.grpc.Api`)."""

        def metadata(data: bytes) -> bytes:
            asked = messages.decode("inference.ModelMetadataRequest", data)
            shown = self.metadata(asked["name"], asked["version"])
            return messages.encode("inference.ModelMetadataResponse", shown)

        def index(data: bytes) -> bytes:
            asked = messages.decode("inference.RepositoryIndexRequest", data)
            rows = {"models": self.index(ready_only=asked["ready"])}
            return messages.encode("inference.RepositoryIndexResponse", rows)

        async def load(data: bytes) -> bytes:
            await self.load(_model_name(data), dataplane.workers)
            return b""

        def unload(data: bytes) -> bytes:
            self.unload(_model_name(data))
            return b""

        return {
            _SERVICE + b"ModelMetadata": metadata,
            _SERVICE + b"RepositoryIndex": index,
            _SERVICE + b"RepositoryModelLoad": load,
            _SERVICE + b"RepositoryModelUnload": unload,
        }

    # -- what both do ------------------------------------------------------------------------

    def _get(self, name: str, version: str) -> NativeModel | CustomModel:
        """Return a model; ModelNotFound for another name, or version where one is asked for."""
        model = self._repository.get(name).model
        assert isinstance(model, (NativeModel, CustomModel))  # noqa: S101  # nothing else is made
        if version not in {"", model.settings.version}:
            raise ModelNotFound(f"{name} with version {version}")
        return model

    def metadata(self, name: str, version: str) -> JsonObject:
        """Return a model's metadata."""
        model = self._get(name, version)
        versions = [model.settings.version] if model.settings.version else []
        return {
            "name": name,
            "versions": versions,
            "platform": model.platform,
            "inputs": model.get_input_types(),
            "outputs": model.get_output_types(),
        }

    def index(self, *, ready_only: bool) -> list[JsonObject]:
        """Return a row a model: name, version, state, reason. One that is unloaded stays."""
        rows: list[JsonObject] = []
        for name in self._repository.names():
            entry = self._repository.get(name)
            state = "READY" if entry.ready else "UNAVAILABLE"
            version = self._get(name, "").settings.version
            rows.append({"name": name, "version": version, "state": state, "reason": entry.reason})
        return [row for row in rows if row["state"] == "READY"] if ready_only else rows

    async def load(self, name: str, workers: Workers) -> None:
        """Load a model as the project has it now; ModelNotReady says why that does not work.

        The one that was there answers until the new one is ready.
        """
        entry = self._repository.find(name)
        known = entry.model if entry is not None else None
        try:
            model = await workers.run(partial(self._find, name))
            if model is not None:
                await workers.run(model.load)
        except Exception as error:
            reason = describe_failure(error).message
            if entry is not None:
                entry.reason = reason
            raise ModelNotReady(name, reason) from error
        if model is None:
            raise ModelNotFound(name)
        self._repository.loaded(name, model)
        if known is not None:
            asyncio.get_running_loop().call_later(_LEAVING_SECONDS, known.stop)

    def unload(self, name: str) -> None:
        """Stop a model; it stays in the index."""
        model = self._get(name, "")
        model.stop()
        self._repository.get(name).reason = _UNLOADED


def _named(route: Route) -> tuple[str, str]:
    return route.parameters["name"], route.parameters.get("version", "")


def _model_name(data: bytes) -> str:
    asked = messages.decode("inference.RepositoryModelLoadRequest", data)
    name: str = asked["name_after_repository"] or asked["model_name"]
    return name
