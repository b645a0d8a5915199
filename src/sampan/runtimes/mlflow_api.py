"""MLflow's scoring server over REST: `/invocations`, `/ping`, `/health`, `/version`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from sampan.protocol import media
from sampan.protocol.errors import InvalidInput
from sampan.runtimes.mlflow_forms import parse_csv
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.job import Inference
from sampan.server.model import InferenceVerb
from sampan.server.rest import Handler, Rest, Route
from sampan.server.rest_calls import V1Call
from sampan.server.routes import Route as Pattern
from sampan.wire.message import Request, Response

_CSV = b"text/csv"
_JSON = b"application/json"
_TYPES = ["text/csv", "application/json"]


class MLflowApi:
    """The scoring server's routes, for a server that has one model."""

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return its routes (`server.rest.Api`)."""
        for path in ("/ping", "/health"):
            yield Pattern("GET", path, f"mlflow {path}"), partial(_ping, rest)
        yield Pattern("GET", "/version", "mlflow version"), _version
        yield Pattern("POST", "/invocations", "mlflow invocations"), partial(_invoke, rest)

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Any]:
        """Return no gRPC methods: it has none (`server.grpc.Api`)."""
        del dataplane
        return {}


def _ping(rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
    del request, route
    rest.dataplane.validate_ready()
    reply(Response(200, b"\n"))


def _version(request: Request, reply: Exchange, route: Route) -> None:
    from sampan.runtimes.mlflow import installed_version

    del request, route
    reply(Response(200, installed_version().encode(), b"text/html; charset=utf-8"))


def _invoke(rest: Rest, request: Request, reply: Exchange, route: Route) -> None:
    """Answer as V1 does: the one model's predictions."""
    names = rest.dataplane.repository.names()
    if len(names) != 1:
        raise InvalidInput(
            f"/invocations asks the one model of a server, and this one has {len(names)}; ask "
            "/v1/models/NAME:predict"
        )
    _check_type(request)
    call = V1Call(request, names[0], route.reading, reply.stamp)
    inference: Inference = call.make_inference(InferenceVerb.PREDICT)
    if _media_type(request) == _CSV:
        inference.decode = partial(parse_csv, bytes(request.body))
    rest.begin(inference, reply)


def _media_type(request: Request) -> bytes:
    return media.media_type(request.header(b"content-type"))


def _check_type(request: Request) -> None:
    given = _media_type(request)
    if given not in {_CSV, _JSON}:
        raise InvalidInput(
            "This predictor only supports the following content types, "
            f"{_TYPES}. Got '{given.decode('latin-1')}'."
        )
