"""TorchServe's inference API, and what its management API tells of models."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import orjson

from sampan.protocol import json_out
from sampan.protocol.errors import InvalidInput, ModelNotReady, ServingError
from sampan.runtimes.torchserve.model import RawRequest
from sampan.runtimes.torchserve.registry import Registry
from sampan.runtimes.torchserve.services import TorchServeServices
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.job import Inference
from sampan.server.rest import Handler, Rest, Route
from sampan.server.routes import Route as Pattern
from sampan.server.streaming import start
from sampan.wire.message import Request, Response

_TYPES = {
    400: "BadRequestException",
    404: "ModelNotFoundException",
    405: "MethodNotAllowedException",
    409: "ConflictStatusException",
    503: "ServiceUnavailableException",
}


class TorchServeApi:
    """The interface over the loaded archives. Used on the loop's thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return the routes beside KServe's (`server.rest.Api`)."""
        one, version = "/predictions/{name}", "/predictions/{name}/{version}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/ping", partial(self._ping, rest)),
            ("POST", one, partial(self._predict, rest)),
            ("PUT", one, partial(self._predict, rest)),
            ("POST", version, partial(self._predict, rest)),
            ("GET", "/models", self._models),
            ("POST", "/models", partial(self._register, rest)),
            ("GET", "/models/{name}", self._describe),
            ("GET", "/models/{name}/{version}", self._describe),
            ("DELETE", "/models/{name}", self._unregister),
            ("DELETE", "/models/{name}/{version}", self._unregister),
        ]
        for method, path, handler in table:
            yield Pattern(method, path, f"torchserve {method} {path}"), handler

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Any]:
        """Return TorchServe's methods beside KServe's V2 (`server.grpc.Api`)."""
        return TorchServeServices(self._registry).make(dataplane)

    def _ping(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        healthy = rest.dataplane.started and self._registry.repository.all_ready()
        status = "Healthy" if healthy else "Unhealthy"
        reply(Response(200 if healthy else 500, orjson.dumps({"status": status})))

    def _models(self, request: Request, reply: Exchange, route: Route) -> None:
        del route
        query = _query(request)
        numbers = (query.get("limit", "0"), query.get("next_page_token", "0"))
        try:
            limit, token = (_number(word) for word in numbers)
            reply(Response(200, orjson.dumps(self._registry.list(limit, token))))
        except ServingError as error:
            reply(_failed(error))

    def _describe(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        try:
            rows = self._registry.describe(*_named(route))
        except ServingError as error:
            reply(_failed(error))
            return
        reply(Response(200, orjson.dumps(rows)))

    def _register(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        """Register an archive of the store; it is there when the answer is."""
        del route
        query = _query(request)

        async def register() -> None:
            try:
                told = await self._registry.register(
                    query.get("url", ""), query.get("model_name", ""), rest.dataplane.workers
                )
            except ServingError as error:
                reply(_failed(error))
            else:
                reply(Response(200, orjson.dumps({"status": told})))

        start(register(), self._tasks)

    def _unregister(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        try:
            told = self._registry.unregister(*_named(route))
        except ServingError as error:
            reply(_failed(error))
            return
        reply(Response(200, orjson.dumps({"status": told})))

    def _predict(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        name = route.parameters["name"]
        try:
            model = self._registry.find(*_named(route))
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


def _named(route: Route) -> tuple[str, str]:
    return route.parameters["name"], route.parameters.get("version", "")


def _query(request: Request) -> dict[str, str]:
    """Return the parameters of a request's query; of a repeated one the last."""
    return dict(parse_qsl(request.target.partition(b"?")[2].decode("latin-1")))


def _number(word: str) -> int:
    if not word.isdecimal():
        raise InvalidInput(f'"{word}" is no count; send a number from 0')
    return int(word)


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
