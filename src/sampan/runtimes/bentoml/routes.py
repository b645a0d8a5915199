"""The routes of a service: its APIs, and of KServe's paths those that the service has itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from sampan.protocol import media
from sampan.protocol.errors import ServingError
from sampan.runtimes.bentoml.app import BentoApp
from sampan.runtimes.bentoml.errors import TookTooLong, blame
from sampan.runtimes.bentoml.exposition import merge
from sampan.runtimes.bentoml.life import BentoModel
from sampan.runtimes.bentoml.model import ApiModel, AwaitedApiModel, Elsewhere
from sampan.runtimes.bentoml.service import Service
from sampan.server import metrics
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.job import Inference
from sampan.server.pace import INLINE_BYTES
from sampan.server.rest import Handler, Rest, Route
from sampan.server.routes import ROUTES
from sampan.server.routes import Route as Pattern
from sampan.wire.asgi import Asgi
from sampan.wire.message import Request, Response

_FORMS = frozenset(
    {
        b"multipart/form-data",
        b"application/x-www-form-urlencoded",
        b"application/vnd.bentoml+pickle",
    }
)
"""Bodies that are no JSON; any other type is read as JSON, as BentoML does."""
_OTHER_METHODS = ("GET", "PUT", "PATCH", "DELETE", "OPTIONS")


class BentoApi:
    """Answers plain APIs, and hands the rest to the service's application. On the loop's thread."""

    def __init__(self, model: BentoModel, apis: Mapping[str, ApiModel], app: BentoApp) -> None:
        self._model = model
        self._apis = apis
        self._asgi = Asgi(app)
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return the routes of the plain APIs, and of what both servers have."""
        prefix = self._model.service.prefix
        for path, api in self._apis.items():
            ask = partial(self._ask, rest, api)
            yield Pattern("POST", path, f"bentoml {path}"), ask
            for method in _OTHER_METHODS:
                yield Pattern(method, path, f"bentoml {method} {path}"), self._pass_on
        if "/" not in self._apis:
            yield Pattern("GET", "/", "bentoml index"), self._pass_on
        yield Pattern("GET", f"{prefix}/metrics", "bentoml metrics"), partial(self._metrics, rest)
        for shadowed in self._mounted():
            yield shadowed, self._pass_on

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Any]:
        """Return no gRPC methods: a service of today has none (`server.grpc.Api`)."""
        del dataplane
        return {}

    def _mounted(self) -> Iterable[Pattern]:
        """Return KServe's paths below a mounted application, which has them then."""
        mounts = [path.rstrip("/") for _, path, _ in self._model.service.declared.mount_apps]
        for route in ROUTES:
            if any(path and route.path.startswith(f"{path}/") for path in mounts):
                yield route._replace(handler=f"bentoml {route.method} {route.path}")

    def _pass_on(self, request: Request, reply: Exchange, route: Route) -> None:
        del route
        self._asgi.submit(request, reply)

    def _ask(
        self, rest: Rest, model: ApiModel, request: Request, reply: Exchange, route: Route
    ) -> None:
        """Answer a plain API on the wire; a body that is no JSON is the application's."""
        if media.media_type(request.header(b"content-type")) in _FORMS:
            self._pass_on(request, reply, route)
            return
        call = _Call(self, model, request, reply)
        awaited = isinstance(model, AwaitedApiModel)
        inference = call.make_inference(hurried=awaited or model.service.turns.free)
        reply.inference = inference
        if not awaited:
            call.begin()
        try:
            rest.dataplane.infer(inference, call.done)
        except ServingError as error:
            call.done(error)

    def write_elsewhere(
        self, model: ApiModel, value: Any, request: Request, reply: Exchange
    ) -> None:
        """Answer with a value that BentoML writes itself."""
        task = asyncio.get_running_loop().create_task(self._write(model, value, request, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, model: ApiModel, value: Any, request: Request, reply: Exchange) -> None:
        from _bentoml_impl.serde import (  # type: ignore[import-not-found]  # not a dependency
            JSONSerde,
        )
        from starlette.responses import Response as Theirs

        try:
            if not isinstance(value, Theirs):
                value = await model.api.output_spec.to_http_response(value, JSONSerde())
        except Exception as error:  # noqa: BLE001  # becomes the answer
            reply(_failed(error, model.service))
            return
        value.headers.update({"Server": f"BentoML Service/{model.service.name}"})
        Asgi(value).submit(request, reply)

    def _metrics(self, rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
        """Answer with the server's metrics, and with those that the service keeps."""
        del route
        dataplane = rest.dataplane
        ours = dataplane.metrics.render(dataplane.other_states())

        def join(response: Response) -> None:
            theirs = response.body if response.status == 200 else b""
            reply(Response(200, merge(ours, theirs), metrics.CONTENT_TYPE))

        self._asgi.submit(request, join)


class _Call:
    """One call of a plain API, until it is answered or has taken too long."""

    __slots__ = ("_api", "_model", "_reply", "_request", "_timer", "_waits")

    def __init__(self, api: BentoApi, model: ApiModel, request: Request, reply: Exchange) -> None:
        self._api = api
        self._model = model
        self._request = request
        self._reply = reply
        self._timer: asyncio.TimerHandle | None = None
        self._waits = False

    def make_inference(self, *, hurried: bool) -> Inference:
        """Return the inference. One that is not `hurried` would wait, so it counts as a large one,
        which never runs on the loop."""
        body = self._request.body
        size = len(body) if hurried else max(len(body), INLINE_BYTES + 1)
        decode = partial(self._model.decode, body)
        return Inference(self._model.name, self._request.texts(), size, decode, self._model.encode)

    def begin(self) -> None:
        """Count a sync call, which takes a turn, and set its time."""
        service = self._model.service
        service.turns.open += 1
        self._waits = True
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(service.timeout, self._give_up, service.timeout)

    def _give_up(self, seconds: float) -> None:
        self._reply(_failed(TookTooLong(seconds), self._model.service))

    def done(self, outcome: Any) -> None:
        """Answer, unless it was given up."""
        if self._waits:
            self._waits = False
            self._model.service.turns.open -= 1
        if self._timer is not None:
            self._timer.cancel()
        if isinstance(outcome, Response):
            self._reply(outcome)
        elif isinstance(outcome, Elsewhere):
            self._api.write_elsewhere(self._model, outcome.value, self._request, self._reply)
        else:
            self._reply(_failed(outcome, self._model.service))


def _failed(error: Any, service: Service) -> Response:
    """Return an error in BentoML's form."""
    told = error if isinstance(error, ServingError) else blame(error)
    return Response(told.status, told.body(), headers=service.headers)
