"""REST: routes to the data plane and back. One handler a route; bodies and texts are KServe's."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import orjson

from sampan.protocol import json_out, media, v1, v2
from sampan.protocol.errors import InvalidInput, ServingError, describe
from sampan.protocol.tensors import InferResponse
from sampan.server import metrics
from sampan.server.dataplane import DataPlane
from sampan.server.job import Inference
from sampan.server.model import Headers, InferenceVerb
from sampan.server.routes import RouteTable
from sampan.wire.message import Reply, Request, Response

Parameters: TypeAlias = "dict[str, str]"
Handler: TypeAlias = "Callable[[Request, Reply, Parameters], None]"

_NOT_FOUND = Response(404, b'{"detail":"Not Found"}')
_LIVE_V1 = Response(200, b'{"status":"alive"}')
_LIVE_V2 = Response(200, b'{"live":true}')
_READY_V2 = Response(200, b'{"ready":true}')
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})


class Rest:
    """The application that a wire submits requests to."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane
        self._table = RouteTable()
        self._handlers: dict[str, Handler] = {
            "live_v1": _always(_LIVE_V1),
            "live_v2": _always(_LIVE_V2),
            "ready_v2": self._ready_v2,
            "metrics": self._metrics,
            "models": self._models,
            "ready_model": self._ready_model,
            "server_metadata": _always(_json(dataplane.metadata())),
            "model_metadata": self._model_metadata,
            "versioned": self._versioned,
            "predict": self._predict,
            "explain": self._explain,
            "infer": self._infer,
            "index": self._index,
            "load": self._load,
            "unload": self._unload,
        }
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, request: Request, reply: Reply) -> None:
        """Answer a request, now or later."""
        match = self._table.find(request.target)
        method = "GET" if request.method == b"HEAD" else request.method.decode("latin-1")
        found = match.handlers.get(method)
        if found is not None:
            name, parameters = found
            try:
                self._handlers[name](request, reply, parameters)
            except Exception as error:  # noqa: BLE001  # becomes the answer
                reply(_failure(error))
        elif match.handlers:
            reply(_not_allowed(match.allow))
        else:
            reply(self._unknown(request.target))

    def _unknown(self, target: bytes) -> Response:
        """Answer a path that no route has; without its trailing slash it may be known."""
        path, question, query = target.partition(b"?")
        shorter = path.rstrip(b"/")
        local = shorter.startswith(b"/") and not shorter.startswith(b"//")  # never another host
        if not local or shorter == path or not self._table.find(shorter).handlers:
            return _NOT_FOUND
        return Response(307, b"", b"", ((b"location", shorter + question + query),))

    # -- health, metadata, metrics -----------------------------------------------------------

    def _ready_v2(self, request: Request, reply: Reply, params: Parameters) -> None:
        del request, params
        self._dataplane.validate_ready()
        reply(_READY_V2)

    def _ready_model(self, request: Request, reply: Reply, params: Parameters) -> None:
        del request
        name = params["name"]
        self._dataplane.repository.get_ready(name)
        reply(_json({"name": name, "ready": True}))

    def _models(self, request: Request, reply: Reply, params: Parameters) -> None:
        del request, params
        reply(_json({"models": self._dataplane.repository.names()}))

    def _model_metadata(self, request: Request, reply: Reply, params: Parameters) -> None:
        del request
        reply(_json(self._dataplane.model_metadata(params["name"])))

    def _versioned(self, request: Request, reply: Reply, params: Parameters) -> None:
        del request, reply, params
        raise NotImplementedError("Model versioning not supported yet.")

    def _metrics(self, request: Request, reply: Reply, params: Parameters) -> None:
        del request, params
        reply(Response(200, self._dataplane.metrics.render(), metrics.CONTENT_TYPE))

    # -- inference ---------------------------------------------------------------------------

    def _predict(self, request: Request, reply: Reply, params: Parameters) -> None:
        self._infer_v1(request, reply, params["name"], InferenceVerb.PREDICT)

    def _explain(self, request: Request, reply: Reply, params: Parameters) -> None:
        self._infer_v1(request, reply, params["name"], InferenceVerb.EXPLAIN)

    def _infer_v1(self, request: Request, reply: Reply, name: str, verb: InferenceVerb) -> None:
        body = request.body
        inference = Inference(
            model_name=name,
            headers=_headers(request),
            size=len(body),
            decode=lambda: v1.decode(body, request.header(b"content-type")),
            encode=_encode_v1,
            verb=verb,
        )
        self._dataplane.infer(inference, lambda outcome: reply(_settle(outcome)))

    def _infer(self, request: Request, reply: Reply, params: Parameters) -> None:
        name, body = params["name"], request.body
        inference = Inference(
            model_name=name,
            headers=_headers(request),
            size=len(body),
            decode=lambda: v2.decode(
                body,
                request.header(b"content-type"),
                request.header(b"inference-header-content-length"),
                name,
            ),
            encode=_encode_v2,
        )
        self._dataplane.infer(inference, lambda outcome: reply(_settle(outcome)))

    # -- the model repository ----------------------------------------------------------------

    def _index(self, request: Request, reply: Reply, params: Parameters) -> None:
        del params
        try:
            wanted = orjson.loads(request.body) if request.body else {}
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"Unrecognized request format: {error}") from None
        if not isinstance(wanted, dict) or not isinstance(wanted.get("ready", False), bool):
            raise InvalidInput('Expected {"ready": true|false} or an empty body')
        reply(_json(self._dataplane.repository.index(bool(wanted.get("ready")))))

    def _load(self, request: Request, reply: Reply, params: Parameters) -> None:
        del request
        name = params["name"]
        self._start(reply, self._dataplane.load(name), {"name": name, "load": True})

    def _unload(self, request: Request, reply: Reply, params: Parameters) -> None:
        del request
        name = params["name"]
        self._dataplane.repository.unload(name)
        reply(_json({"name": name, "unload": True}))

    def _start(self, reply: Reply, work: Coroutine[Any, Any, None], answer: dict[str, Any]) -> None:
        async def answered() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001  # becomes the answer
                reply(_failure(error))
            else:
                reply(_json(answer))

        task = asyncio.get_running_loop().create_task(answered())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _always(response: Response) -> Handler:
    """Return the handler that knows its answer beforehand."""

    def handler(request: Request, reply: Reply, params: Parameters) -> None:
        del request, params
        reply(response)

    return handler


def _encode_v1(result: Any, headers: Headers) -> Response:
    """Encode a V1 result; the model may set its own content type."""
    body, content_type = v1.encode(result)
    extra = []
    for name, value in headers.items():
        if name.lower() == "content-type":
            content_type = value.encode("latin-1")
        elif name.lower() not in _FRAMING:
            extra.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return Response(200, body, content_type, tuple(extra))


def _encode_v2(result: Any, headers: Headers) -> Response:
    """Encode a V2 result: an InferResponse, or a dict that is one already."""
    extra = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers.items()
        if name.lower() not in _FRAMING and name.lower() != "content-type"
    ]
    if not isinstance(result, InferResponse):
        return Response(200, json_out.dumps(_validated(result)), media.JSON, tuple(extra))
    if not result.id:
        result.id = str(uuid.uuid4())
    body, length = v2.encode(result)
    if length is None:
        return Response(200, body, media.JSON, tuple(extra))
    extra.append((v2.HEADER_LENGTH.encode(), b"%d" % length))
    return Response(200, body, media.BYTES, tuple(extra))


def _validated(result: Any) -> dict[str, Any]:
    """Return a dict result in the response's key order, nulls included."""
    known = result if isinstance(result, dict) else {}
    missing = [key for key in ("model_name", "id", "outputs") if key not in known]
    if missing:
        raise TypeError(
            f'the model\'s answer to a V2 request lacks "{missing[0]}"; return an InferResponse, '
            "or a dict with model_name, id and outputs"
        )
    return {
        "model_name": result["model_name"],
        "model_version": result.get("model_version"),
        "id": result["id"],
        "parameters": result.get("parameters"),
        "outputs": result["outputs"],
    }


def _settle(outcome: Any) -> Response:
    return outcome if isinstance(outcome, Response) else _failure(outcome)


def _failure(error: Exception) -> Response:
    if isinstance(error, ServingError):
        return Response(error.status, error.body())
    return Response(*describe(error))


def _not_allowed(allow: str) -> Response:
    body = b'{"detail":"Method Not Allowed"}'
    return Response(405, body, headers=((b"allow", allow.encode()),))


def _headers(request: Request) -> Headers:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}


def _json(value: Any) -> Response:
    return Response(200, orjson.dumps(value))
