"""TorchServe's inference API, and what its management API tells of models."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import orjson

from sampan.protocol import media
from sampan.protocol.errors import InvalidInput, ModelNotReady, ServingError
from sampan.runtimes.torchserve.answers import Answer
from sampan.runtimes.torchserve.batches import Batch, make_batch
from sampan.runtimes.torchserve.model import RawRequest
from sampan.runtimes.torchserve.registry import Registration, Registry
from sampan.runtimes.torchserve.scaling import select_parameters
from sampan.runtimes.torchserve.services import TorchServeServices
from sampan.runtimes.torchserve.turns import Parts
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.job import Inference
from sampan.server.load_failure import LoadFailure
from sampan.server.rest import Handler, Rest, Route
from sampan.server.routes import Route as Pattern
from sampan.server.streaming import Streaming, start
from sampan.wire.message import Request, Response

_TYPES = {
    400: "BadRequestException",
    403: "InvalidModelVersionException",
    404: "ModelNotFoundException",
    405: "MethodNotAllowedException",
    409: "ConflictStatusException",
    503: "ServiceUnavailableException",
}
_RESERVED = frozenset({"content-type", "content-length", "transfer-encoding", "connection"})
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


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
            ("PUT", version, partial(self._predict, rest)),
            ("GET", "/models", self._models),
            ("POST", "/models", partial(self._register, rest)),
            ("GET", "/models/{name}", self._describe),
            ("GET", "/models/{name}/{version}", self._describe),
            ("PUT", "/models/{name}", self._scale),
            ("PUT", "/models/{name}/{version}", self._scale),
            ("PUT", "/models/{name}/{version}/set-default", self._set_default),
            ("DELETE", "/models/{name}", self._unregister),
            ("DELETE", "/models/{name}/{version}", self._unregister),
        ]
        for method, path, handler in table:
            yield Pattern(method, path, f"torchserve {method} {path}"), handler

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Any]:
        """Return TorchServe's methods beside KServe's V2 (`server.grpc.Api`)."""
        return TorchServeServices(self._registry).make(dataplane)

    def streams(self, dataplane: DataPlane) -> Mapping[bytes, Any]:
        """Return TorchServe's streaming methods (`server.grpc.Api`)."""
        return TorchServeServices(self._registry).make_streams(dataplane)

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
                wanted = Registration(
                    query.get("url", ""),
                    query.get("model_name", ""),
                    _batch(query),
                    _number(query.get("initial_workers", "0")),
                )
                told = await self._registry.register(wanted, rest.dataplane.workers)
            except ServingError as error:
                reply(_failed(error))
            else:
                reply(Response(200, orjson.dumps({"status": told})))

        start(register(), self._tasks)

    def _unregister(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        _tell(reply, partial(self._registry.unregister, *_named(route)))

    def _set_default(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        _tell(reply, partial(self._registry.set_default, *_named(route)))

    def _scale(self, request: Request, reply: Exchange, route: Route) -> None:
        """Say how many workers there are now: one, which is there at once."""
        query = _query(request)
        try:
            numbers = {name: _number(word) for name, word in select_parameters(query).items()}
            told = self._registry.scale(*_named(route), numbers)
        except ServingError as error:
            reply(_failed(error))
            return
        if query.get("synchronous", "").lower() == "true":
            reply(Response(200, orjson.dumps({"status": told})))
        else:
            reply(Response(202, orjson.dumps({"status": "Processing worker updates..."})))

    def _predict(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        name, version = _named(route)
        headers = request.texts()

        def decode() -> Any:
            payload = RawRequest(make_row(request.body, headers.get("content-type", "")))
            payload.version = version
            return payload

        try:
            model = self._registry.find(name)
            model.select(version)
            if not model.ready:
                raise ModelNotReady(name)
            rest.begin(Inference(name, headers, len(request.body), decode, _encode), reply, _failed)
        except ServingError as error:
            reply(_failed(error))


def _tell(reply: Exchange, act: Callable[[], str]) -> None:
    """Answer with the words of something that is done at once, or with why it is not."""
    try:
        reply(Response(200, orjson.dumps({"status": act()})))
    except ServingError as error:
        reply(_failed(error))


def _batch(query: Mapping[str, str]) -> Batch | None:
    """Return what a registration asks for; InvalidInput names a number that is none."""
    document = {
        key: _number(query[parameter])
        for parameter, key in (("batch_size", "batchSize"), ("max_batch_delay", "maxBatchDelay"))
        if parameter in query
    }
    try:
        return make_batch(document, "the registration")
    except LoadFailure as failure:
        raise InvalidInput(failure.message) from None


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


def _encode(result: Answer | Parts, headers: Any) -> Response | Streaming:
    """Return a handler's answer, or its parts, with the status and headers that it set."""
    del headers
    if isinstance(result, Parts):
        first = result.first
        kind = ((b"content-type", _content_type(first)),)
        return Streaming(result, Answer.body, headers=(*kind, *_extra(first)))
    return Response(result.status, result.body(), _content_type(result), _extra(result))


def _content_type(answer: Answer) -> bytes:
    """Return the content type that a handler set, or the usual one of what it returned."""
    for name, value in answer.headers.items():
        if name.lower() == "content-type":
            return value.encode("latin-1", "replace")
    if isinstance(answer.value, (bytes, bytearray)):
        return b"application/octet-stream"
    return b"text/plain; charset=utf-8" if isinstance(answer.value, str) else media.JSON


def _extra(answer: Answer) -> tuple[tuple[bytes, bytes], ...]:
    """Return the other headers that a handler set, less what is the wire's."""
    return tuple(
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers.items()
        if name.lower() not in _RESERVED and _TOKEN.fullmatch(name) and _is_safe(value)
    )


def _is_safe(value: str) -> bool:
    return value.isprintable() and value.isascii()


def _failed(error: Any) -> Response:
    """Return an error in TorchServe's form."""
    status = error.status if isinstance(error, ServingError) else 500
    kind = _TYPES.get(status, "InternalServerException")
    return Response(status, orjson.dumps({"code": status, "type": kind, "message": str(error)}))
