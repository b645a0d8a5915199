"""REST: routes to the data plane and back. One handler a route; bodies and texts are KServe's."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

import orjson

from sampan.protocol.errors import InvalidInput, ServingError, describe, error_body
from sampan.server import metrics
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange, Observation
from sampan.server.job import Inference
from sampan.server.model import InferenceVerb
from sampan.server.pages import make_docs, make_openapi
from sampan.server.reading import Reading, read
from sampan.server.repository import ModelAway
from sampan.server.rest_calls import V1Call, blame_encoding, make_generate, make_v2
from sampan.server.routes import DOCS, ROUTES, RouteTable
from sampan.server.routes import Route as Pattern
from sampan.server.streaming import Streaming, start
from sampan.server.streaming import answer as answer_stream
from sampan.wire.message import Reply, Request, Response, Submit

logger = logging.getLogger("sampan.server")

_PREDICT = InferenceVerb.PREDICT  # looked up so often that an Enum's way is felt

Parameters: TypeAlias = "dict[str, str]"
Handler: TypeAlias = "Callable[[Request, Exchange, Route], None]"
Failure: TypeAlias = "Callable[[Exception], Response]"


class Api(Protocol):
    """Another server's interface, beside KServe's and before it where both have a path."""

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return its routes, each with a handler name of its own."""


class Route(NamedTuple):
    """What a request's head asks for: the handler, its name, the parameters of the path."""

    handler: Handler
    name: str
    parameters: Parameters
    reading: Reading


_NOT_FOUND = Response(404, b'{"detail":"Not Found"}')
_LIVE_V1 = Response(200, b'{"status":"alive"}')
_LIVE_V2 = Response(200, b'{"live":true}')
_READY_V2 = Response(200, b'{"ready":true}')


class Rest:
    """The application that a wire submits requests to. `fallback` answers paths that it has not."""

    def __init__(
        self,
        dataplane: DataPlane,
        observation: Observation | None = None,
        fallback: Submit | None = None,
        api: Api | None = None,
    ) -> None:
        self._dataplane = dataplane
        self._observation = observation or Observation()
        self._observed = self._observation.of_answers()
        tracing = self._observation.tracing
        self._make_exchange = Exchange if tracing is None else tracing.make_exchange
        self._fallback = fallback
        own = () if api is None else tuple(api.routes(self))
        routes = (*(route for route, _ in own), *ROUTES)
        self._table = RouteTable((*routes, DOCS) if self._observation.docs else routes)
        self._handlers: dict[str, Handler] = {
            "live_v1": _always(_LIVE_V1),
            "live_v2": _always(_LIVE_V2),
            "ready_v2": self._ready_v2,
            "metrics": self._metrics,
            "openapi": self._openapi,
            "models": self._models,
            "ready_model": self._ready_model,
            "server_metadata": _always(_json(dataplane.metadata())),
            "model_metadata": self._model_metadata,
            "versioned": self._versioned,
            "predict": self._predict,
            "explain": self._explain,
            "infer": self._infer,
            "generate": self._generate,
            "generate_stream": self._generate_stream,
            "index": self._index,
            "load": self._load,
            "unload": self._unload,
        }
        self._handlers |= {route.handler: handler for route, handler in own}
        if self._observation.docs:
            self._handlers["docs"] = _always(make_docs())
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def dataplane(self) -> DataPlane:
        """What answers for the models."""
        return self._dataplane

    def submit(self, request: Request, reply: Reply) -> None:
        """Answer a request, now or later."""
        note = request.note
        route: Route | None = None if note is None else note.value
        if route is None:
            route = self._select_route(request)
            if route is None:
                self._submit_elsewhere(request, reply)
                return
            if note is not None:
                note.value = route
        identified = route.reading.identified
        exchange = self._make_exchange(request, reply, self._observed, identified)
        if self._observation.tracing is None:
            self._handle(route, exchange)
        else:
            handle = partial(self._handle, route, exchange)
            self._observation.tracing.run(exchange, route.name, handle)

    def _handle(self, route: Route, exchange: Exchange) -> None:
        try:
            route.handler(exchange.request, exchange, route)
        except ModelAway as away:
            away.then(partial(self._handle, route, exchange))
        except Exception as error:  # noqa: BLE001  # becomes the answer
            exchange(self.refuse(error))

    def _select_route(self, request: Request) -> Route | None:
        """Return what method and target ask for; the application may note it of the head."""
        method = "GET" if request.method == b"HEAD" else request.method.decode("latin-1")
        found = self._table.find(request.target).handlers.get(method)
        return None if found is None else Route(self._handlers[found[0]], *found, read(request))

    def _submit_elsewhere(self, request: Request, reply: Reply) -> None:
        """Answer what no route takes."""
        match = self._table.find(request.target)
        exchange = self._make_exchange(request, reply, self._observed)
        if not match.handlers and self._fallback is not None:
            answer = partial(self._fallback, request, exchange)
            tracing = self._observation.tracing
            answer() if tracing is None else tracing.run(exchange, "app", answer)
            return
        exchange(_not_allowed(match.allow) if match.handlers else self._unknown(request.target))

    def _unknown(self, target: bytes) -> Response:
        """Answer a path that no route has; without its trailing slash it may be known."""
        path, question, query = target.partition(b"?")
        shorter = path.rstrip(b"/")
        local = shorter.startswith(b"/") and not shorter.startswith(b"//")  # never another host
        if not local or shorter == path or not self._table.find(shorter).handlers:
            return _NOT_FOUND
        return Response(307, b"", b"", ((b"location", shorter + question + query),))

    # -- health, metadata, metrics -----------------------------------------------------------

    def _ready_v2(self, request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        self._dataplane.validate_ready()
        reply(_READY_V2)

    def _ready_model(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        name = route.parameters["name"]
        self._dataplane.repository.get_ready(name)
        reply(_json({"name": name, "ready": True}))

    def _models(self, request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        reply(_json({"models": self._dataplane.repository.names()}))

    def _model_metadata(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        reply(_json(self._dataplane.model_metadata(route.parameters["name"])))

    def _versioned(self, request: Request, reply: Exchange, route: Route) -> None:
        del request, reply, route
        raise NotImplementedError("Model versioning not supported yet.")

    def _metrics(self, request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        reply(
            Response(
                200,
                self._dataplane.metrics.render(self._dataplane.other_states()),
                metrics.CONTENT_TYPE,
            )
        )

    def _openapi(self, request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        reply(make_openapi(self._dataplane.repository))

    # -- inference ---------------------------------------------------------------------------

    def _predict(self, request: Request, reply: Exchange, route: Route) -> None:
        call = V1Call(request, route.parameters["name"], route.reading, reply.stamp)
        self.begin(call.make_inference(_PREDICT), reply)

    def _explain(self, request: Request, reply: Exchange, route: Route) -> None:
        call = V1Call(request, route.parameters["name"], route.reading, reply.stamp)
        self.begin(call.make_inference(InferenceVerb.EXPLAIN), reply)

    def _infer(self, request: Request, reply: Exchange, route: Route) -> None:
        self.begin(make_v2(request, route.parameters["name"], reply.stamp), reply)

    def _generate(self, request: Request, reply: Exchange, route: Route) -> None:
        self.begin(make_generate(request, route.parameters["name"], events=False), reply)

    def _generate_stream(self, request: Request, reply: Exchange, route: Route) -> None:
        self.begin(make_generate(request, route.parameters["name"], events=True), reply)

    def begin(self, inference: Inference, reply: Exchange, failure: Failure | None = None) -> None:
        """Start an inference; its answer is a response, a stream, or what was raised.

        `failure` makes the response of an error where it is not KServe's.
        """
        refuse = failure or self.refuse
        reply.inference = inference
        gone = reply.gone()
        if gone is not None:
            inference.gone = gone

        def done(outcome: Any) -> None:
            if isinstance(outcome, Response):
                reply(outcome)
            elif isinstance(outcome, Streaming):
                workers = self._dataplane.workers
                start(answer_stream(outcome, workers, reply, refuse), self._tasks)
            else:
                reply(refuse(blame_encoding(reply.request, outcome)))

        self._dataplane.infer(inference, done)

    def refuse(self, error: Exception) -> Response:
        """Answer with an error, whatever the error does when it is asked for its text."""
        try:
            return self._describe(error)
        except Exception:
            logger.exception("an error of class %s has no text", type(error).__name__)
            return Response(500, error_body(f"{type(error).__name__} : without a text"))

    def _describe(self, error: Exception) -> Response:
        """Return an error's answer; of what nobody foresaw the stack too, where asked for."""
        if isinstance(error, ServingError):
            retry = ((b"retry-after", b"%d" % error.retry_after),) if error.retry_after else ()
            return Response(error.status, error.body(), headers=retry)
        status, body = describe(error)
        if self._observation.debug and status == 500:
            stack = "".join(traceback.format_exception(error))
            body = orjson.dumps({**orjson.loads(body), "traceback": stack})
        return Response(status, body)

    # -- the model repository ----------------------------------------------------------------

    def _index(self, request: Request, reply: Exchange, route: Route) -> None:
        del route
        try:
            wanted = orjson.loads(request.body) if request.body else {}
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"Unrecognized request format: {error}") from None
        if not isinstance(wanted, dict) or not isinstance(wanted.get("ready", False), bool):
            raise InvalidInput('Expected {"ready": true|false} or an empty body')
        reply(_json(self._dataplane.repository.index(bool(wanted.get("ready")))))

    def _load(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        name = route.parameters["name"]
        self.answer_with(reply, self._dataplane.load(name), {"name": name, "load": True})

    def _unload(self, request: Request, reply: Exchange, route: Route) -> None:
        del request
        name = route.parameters["name"]
        self._dataplane.repository.unload(name)
        reply(_json({"name": name, "unload": True}))

    def answer_with(
        self, reply: Exchange, work: Coroutine[Any, Any, None], answer: dict[str, Any]
    ) -> None:
        """Answer with this once the work is done, or with what it raises."""

        async def answered() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001  # becomes the answer
                reply(self.refuse(error))
            else:
                reply(_json(answer))

        start(answered(), self._tasks)


def _always(response: Response) -> Handler:
    """Return the handler that knows its answer beforehand."""

    def handler(request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        reply(response)

    return handler


def _not_allowed(allow: str) -> Response:
    body = b'{"detail":"Method Not Allowed"}'
    return Response(405, body, headers=((b"allow", allow.encode()),))


def _json(value: Any) -> Response:
    return Response(200, orjson.dumps(value))
