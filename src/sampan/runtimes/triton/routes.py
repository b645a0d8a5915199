"""Triton's extensions of V2 over REST and gRPC: versions, configuration, statistics, repository."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

import orjson

from sampan import __version__
from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput, ServingError
from sampan.protocol.grpc import messages
from sampan.runtimes.triton.documents import decode, encode, with_defaults
from sampan.runtimes.triton.generating import type_fields
from sampan.runtimes.triton.memory_routes import MemoryApi
from sampan.runtimes.triton.model import TritonModel
from sampan.runtimes.triton.schema import ROOT
from sampan.runtimes.triton.shared_memory import SharedMemory
from sampan.runtimes.triton.statistics import render_metrics
from sampan.runtimes.triton.store import TritonStore
from sampan.server import metrics
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.job import Inference, Job
from sampan.server.rest import Handler, Rest, Route
from sampan.server.rest_calls import make_generate, make_v2
from sampan.server.routes import Route as Pattern
from sampan.wire.message import Request, Response

EXTENSIONS = (
    "classification", "sequence", "model_repository", "model_repository(unload_dependents)",
    "model_configuration", "system_shared_memory", "binary_tensor_data", "parameters",
    "statistics",
)  # fmt: skip
_SERVICE = b"/inference.GRPCInferenceService/"
_VERSION = "/versions/{version}"


class TritonApi:
    """The interface over a store."""

    def __init__(self, store: TritonStore, memory: SharedMemory) -> None:
        self._store = store
        self._memory = MemoryApi(memory)

    # -- REST --------------------------------------------------------------------------------

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return the routes that differ from KServe's or come on top (`server.rest.Api`)."""
        rest.dataplane.on_end = self._count
        model = "/v2/models/{name}"
        shown: list[tuple[str, Callable[[dict[str, str]], Any]]] = [
            ("/v2", lambda _: self.server_metadata()),
            ("/v2/models/stats", lambda _: self.statistics("", "")),  # before a model's path
            (model, self._metadata),
            (model + _VERSION, self._metadata),
            (model + "/ready", self._ready),
            (model + _VERSION + "/ready", self._ready),
            (model + "/config", self._config),
            (model + _VERSION + "/config", self._config),
            (model + "/stats", self._statistics),
            (model + _VERSION + "/stats", self._statistics),
        ]
        for path, show in shown:
            yield Pattern("GET", path, f"triton {path}"), partial(_show, show)
        yield Pattern("GET", "/metrics", "triton metrics"), partial(self._metrics, rest)
        infer = model + _VERSION + "/infer"
        yield Pattern("POST", infer, "triton versioned infer"), partial(self._infer, rest)
        yield Pattern("POST", model + "/infer", "triton infer"), partial(self._infer, rest)
        for verb, events in (("generate", False), ("generate_stream", True)):
            yield (
                Pattern("POST", f"{model}/{verb}", f"triton {verb}"),
                partial(self._generate, rest, events),
            )
        yield Pattern("POST", "/v2/repository/index", "triton index"), self._index
        control = "/v2/repository/models/{name}/"
        yield Pattern("POST", control + "load", "triton load"), partial(self._load, rest)
        yield Pattern("POST", control + "unload", "triton unload"), self._unload
        yield from self._memory.routes()

    def _metadata(self, parameters: dict[str, str]) -> JsonObject:
        return self.metadata(parameters["name"], parameters.get("version", ""))

    def _ready(self, parameters: dict[str, str]) -> JsonObject:
        model = self._store.get_ready(parameters["name"])
        model.select_version(parameters.get("version", ""))
        return {"name": model.name, "ready": True}

    def _config(self, parameters: dict[str, str]) -> JsonObject:
        return self.configuration(parameters["name"], parameters.get("version", ""))

    def _statistics(self, parameters: dict[str, str]) -> JsonObject:
        return self.statistics(parameters["name"], parameters.get("version", ""))

    def _metrics(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        dataplane = rest.dataplane
        usual = dataplane.metrics.render(dataplane.other_states())
        own = render_metrics(
            (model.name, number, one.statistics)
            for model in self._store.all_ready()
            for number, one in model.versions.items()
        )
        reply(Response(200, usual + own.encode(), metrics.CONTENT_TYPE))

    def _infer(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        """Begin an inference, of a version where the path names one."""
        name, version = route.parameters["name"], route.parameters.get("version", "")
        config = self._store.get(name).config
        if config is not None and config.decoupled:
            raise NotImplementedError(
                "HTTP end point doesn't support models with decoupled transaction policy; ask it "
                "by ModelStreamInfer or generate_stream"
            )
        inference = make_v2(request, name, reply.stamp)
        if version:
            _set_version(inference, version)
        rest.begin(inference, reply)

    def _generate(
        self, rest: Rest, events: bool, request: Request, reply: Exchange, route: Route
    ) -> None:
        """Begin an inference whose fields are typed by the model's configuration."""
        name = route.parameters["name"]
        config = self._store.get(name).config
        inference = make_generate(request, name, events=events)
        if config is not None:
            decode_request = inference.decode
            inference.decode = lambda: type_fields(decode_request(), config)
        rest.begin(inference, reply)

    def _index(self, request: Request, reply: Exchange, route: Route) -> None:
        del route
        wanted = _object(request.body).get("ready", False)
        if not isinstance(wanted, bool):
            raise InvalidInput(f'"ready" is {wanted!r}; send true or false')
        reply(_json(self._store.index(ready_only=wanted)))

    def _load(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        work = self._store.load(
            route.parameters["name"], _parameters(request.body), rest.dataplane.workers
        )
        rest.answer_with(reply, work, {})

    def _unload(self, request: Request, reply: Exchange, route: Route) -> None:
        self._store.unload(route.parameters["name"], _parameters(request.body))
        reply(_json({}))

    # -- gRPC --------------------------------------------------------------------------------

    def methods(
        self, dataplane: DataPlane
    ) -> Mapping[bytes, Callable[[bytes], bytes | Coroutine[Any, Any, bytes]]]:
        """Return the methods that differ from KServe's or come on top (`server.grpc.Api`)."""
        dataplane.on_end = self._count
        named: dict[str, Callable[[bytes], bytes | Coroutine[Any, Any, bytes]]] = {
            "ServerMetadata": lambda _: messages.encode(
                "inference.ServerMetadataResponse", self.server_metadata()
            ),
            "ModelMetadata": self._rpc_metadata,
            "ModelReady": self._rpc_ready,
            "ModelConfig": self._rpc_config,
            "ModelStatistics": self._rpc_statistics,
            "RepositoryIndex": self._rpc_index,
            "RepositoryModelLoad": lambda data: self._rpc_load(data, dataplane),
            "RepositoryModelUnload": self._rpc_unload,
        }
        own = {_SERVICE + name.encode(): act for name, act in named.items()}
        return {**own, **self._memory.methods()}

    def _rpc_metadata(self, data: bytes) -> bytes:
        shown = self.metadata(*_name_and_version(data))
        return messages.encode("inference.ModelMetadataResponse", shown)

    def _rpc_ready(self, data: bytes) -> bytes:
        name, version = _name_and_version(data)
        try:
            model = self._store.get(name)
            ready = model.ready and bool(model.select_version(version))
        except ServingError:  # as with Triton, what is not there is not ready
            ready = False
        return messages.encode("inference.ModelReadyResponse", {"ready": ready})

    def _rpc_config(self, data: bytes) -> bytes:
        config = self._loaded(*_name_and_version(data)).config
        document = config.document if config is not None else {}
        return encode("ModelConfigResponse", {"config": document})

    def _rpc_statistics(self, data: bytes) -> bytes:
        return encode("ModelStatisticsResponse", self.statistics(*_name_and_version(data)))

    def _rpc_index(self, data: bytes) -> bytes:
        ready = bool(messages.decode("inference.RepositoryIndexRequest", data)["ready"])
        rows = {"models": self._store.index(ready_only=ready)}
        return messages.encode("inference.RepositoryIndexResponse", rows)

    async def _rpc_load(self, data: bytes, dataplane: DataPlane) -> bytes:
        name, parameters = _rpc_control(data)
        await self._store.load(name, parameters, dataplane.workers)
        return b""

    def _rpc_unload(self, data: bytes) -> bytes:
        self._store.unload(*_rpc_control(data))
        return b""

    # -- what both show ----------------------------------------------------------------------

    def server_metadata(self) -> JsonObject:
        """Return name, version and extensions."""
        return {"name": "sampan", "version": __version__, "extensions": list(EXTENSIONS)}

    def metadata(self, name: str, version: str) -> JsonObject:
        """Return a model's metadata: versions, platform, tensors."""
        model = self._loaded(name, version)
        return {
            "name": name,
            "versions": list(model.versions),
            "platform": model.platform,
            "inputs": model.get_input_types(),
            "outputs": model.get_output_types(),
        }

    def configuration(self, name: str, version: str) -> JsonObject:
        """Return a model's configuration with its defaults."""
        config = self._loaded(name, version).config
        return with_defaults(ROOT, config.document if config is not None else {})

    def statistics(self, name: str, version: str) -> JsonObject:
        """Return the statistics of a version, of all versions, or of all models."""
        models = [self._loaded(name, version)] if name else self._store.all_ready()
        return {
            "model_stats": [
                one.statistics.shown(model.name, number)
                for model in models
                for number, one in model.versions.items()
                if version in {"", number}
            ]
        }

    def _loaded(self, name: str, version: str) -> TritonModel:
        model = self._store.get_ready(name)
        model.select_version(version)
        return model

    def _count(self, job: Job, code: str) -> None:
        """Count a request that has ended, for the version that answered it."""
        inference = job.inference
        try:
            model = self._store.get(inference.model_name)
            version = model.select_version(inference.version)
        except ServingError:
            return  # what is not served is not counted
        version.statistics.ended(job.seconds(), job.ran.predict, success=code == "200")


def _show(
    show: Callable[[dict[str, str]], Any], request: Request, reply: Exchange, route: Route
) -> None:
    del request
    reply(_json(show(route.parameters)))


def _set_version(inference: Inference, version: str) -> None:
    decode_request = inference.decode

    def versioned() -> Any:
        payload = decode_request()
        payload.model_version = version
        return payload

    inference.decode = versioned
    inference.version = version


def _json(value: Any) -> Response:
    return Response(200, orjson.dumps(value))


def _object(body: bytes) -> JsonObject:
    """Return a body's JSON object; an empty body is an empty one."""
    try:
        value = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"Unrecognized request format: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInput("Expected a JSON object, or an empty body")
    return value


def _parameters(body: bytes) -> JsonObject:
    parameters = _object(body).get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidInput(f'"parameters" is {parameters!r}; send an object')
    return parameters


def _name_and_version(data: bytes) -> tuple[str, str]:
    request = messages.decode("inference.ModelMetadataRequest", data)
    return request["name"], request["version"]


def _rpc_control(data: bytes) -> tuple[str, JsonObject]:
    """Return name and parameters of a load or unload."""
    request = decode("RepositoryRequest", data)
    parameters = {
        key: next(iter(value.values()), None)
        for key, value in request.get("parameters", {}).items()
    }
    return request.get("model_name", ""), parameters
