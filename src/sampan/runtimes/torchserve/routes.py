"""TorchServe's inference API, and what its management API tells of models."""

from __future__ import annotations

import email.parser
import email.policy
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import orjson

from sampan.machinery.registry import JsonObject
from sampan.protocol import json_out
from sampan.protocol.errors import ModelNotFound, ModelNotReady, ServingError
from sampan.runtimes.torchserve.model import ArchiveModel, RawRequest
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.job import Inference
from sampan.server.repository import ModelRepository
from sampan.server.rest import Handler, Rest, Route
from sampan.server.routes import Route as Pattern
from sampan.wire.message import Request, Response

_TYPES = {404: "ModelNotFoundException", 400: "BadRequestException"}


class TorchServeApi:
    """The interface over the loaded archives. Used on the loop's thread."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return the routes beside KServe's (`server.rest.Api`)."""
        one, version = "/predictions/{name}", "/predictions/{name}/{version}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/ping", partial(self._ping, rest)),
            ("POST", one, partial(self._predict, rest)),
            ("PUT", one, partial(self._predict, rest)),
            ("POST", version, partial(self._predict, rest)),
            ("GET", "/models", self._models),
            ("GET", "/models/{name}", self._describe),
        ]
        for method, path, handler in table:
            yield Pattern(method, path, f"torchserve {method} {path}"), handler

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Any]:
        """Return no methods: KServe's V2 over gRPC is what is spoken."""
        del dataplane
        return {}

    def _ping(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        healthy = rest.dataplane.started and self._repository.all_ready()
        status = "Healthy" if healthy else "Unhealthy"
        reply(Response(200 if healthy else 500, orjson.dumps({"status": status})))

    def _models(self, request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        rows = [
            {"modelName": model.name, "modelUrl": model.archive.name} for model in self._archives()
        ]
        reply(Response(200, orjson.dumps({"models": rows})))

    def _describe(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        try:
            model = self._find(route.parameters["name"], "")
        except ServingError as error:
            reply(_failed(error))
            return
        row: JsonObject = {
            "modelName": model.name,
            "modelVersion": model.manifest.version,
            "modelUrl": model.archive.name,
            "runtime": "python",
            "batchSize": 1,
            "workers": [{"id": "0", "status": "READY" if model.ready else "UNLOADING"}],
        }
        reply(Response(200, orjson.dumps([row])))

    def _predict(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        name = route.parameters["name"]
        try:
            model = self._find(name, route.parameters.get("version", ""))
            if not model.ready:
                raise ModelNotReady(name)
        except ServingError as error:
            reply(_failed(error))
            return
        headers = request.texts()

        def decode() -> Any:
            return RawRequest(make_row(request.body, headers.get("content-type", "")))

        def done(outcome: Any) -> None:
            reply(outcome if isinstance(outcome, Response) else _failed(outcome))

        inference = Inference(name, headers, len(request.body), decode, _encode)
        reply.inference = inference
        rest.dataplane.infer(inference, done)

    def _archives(self) -> list[ArchiveModel]:
        models = [self._repository.get(name).model for name in self._repository.names()]
        return [model for model in models if isinstance(model, ArchiveModel)]

    def _find(self, name: str, version: str) -> ArchiveModel:
        for model in self._archives():
            if model.name == name and version in {"", model.manifest.version}:
                return model
        raise ModelNotFound(f"{name} with version {version}" if version else name)


def make_row(body: bytes, content_type: str) -> dict[str, Any]:
    """Return a body as handlers see it: parsed JSON, a form's parts by name, or bytes. Pure."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            return {"body": orjson.loads(body)}
        except orjson.JSONDecodeError:
            return {"body": body}  # the handler says what is wrong with it
    if kind == "multipart/form-data":
        head = b"content-type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        parts = parser.parsebytes(head + body).iter_parts()
        return {
            str(part.get_param("name", "data", "content-disposition")): part.get_payload(
                decode=True
            )
            for part in parts
        }
    return {"body": bytearray(body)}


def _encode(result: Any, headers: Any) -> Response:
    """Return a handler's answer: bytes and text as they are, anything else as JSON."""
    del headers
    if isinstance(result, (bytes, bytearray)):
        return Response(200, bytes(result), b"application/octet-stream")
    if isinstance(result, str):
        return Response(200, result.encode(), b"text/plain; charset=utf-8")
    return Response(200, json_out.dumps(result))


def _failed(error: Any) -> Response:
    """Return an error in TorchServe's form."""
    status = error.status if isinstance(error, ServingError) else 500
    kind = _TYPES.get(status, "InternalServerException")
    return Response(status, orjson.dumps({"code": status, "type": kind, "message": str(error)}))
