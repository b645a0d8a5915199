"""MLflow's scoring server over REST: `/invocations`, `/ping`, `/health`, `/version`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import orjson

from sampan.protocol import media
from sampan.protocol.errors import InvalidInput, ServingError, describe
from sampan.runtimes.mlflow_forms import parse_csv
from sampan.runtimes.mlflow_parquet import parse_parquet
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.job import Inference
from sampan.server.model import InferenceVerb, Model
from sampan.server.rest import Handler, Rest, Route
from sampan.server.rest_calls import V1Call
from sampan.server.routes import Route as Pattern
from sampan.wire.message import Request, Response

_READERS = {b"text/csv": parse_csv, b"application/vnd.apache.parquet": parse_parquet}
_TYPES = ["text/csv", "application/json", "application/vnd.apache.parquet"]
_CODES = {
    404: "RESOURCE_DOES_NOT_EXIST",
    501: "NOT_IMPLEMENTED",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""MLflow's names of errors, by their status (its `databricks_pb2.ErrorCode`)."""


class MLflowApi:
    """The scoring server's routes, for a server that has one model of a kind."""

    def __init__(self, kind: type[Model] = Model) -> None:
        self._kind = kind

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return its routes (`server.rest.Api`)."""
        for path in ("/ping", "/health"):
            yield Pattern("GET", path, f"mlflow {path}"), partial(_ping, rest)
        yield Pattern("GET", "/version", "mlflow version"), _version
        yield (
            Pattern("POST", "/invocations", "mlflow invocations"),
            partial(_invoke, rest, self._kind),
        )

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


def _invoke(rest: Rest, kind: type[Model], request: Request, reply: Exchange, route: Route) -> None:
    """Answer as V1 does: the one model's predictions. Errors are MLflow's."""
    refused = _refuse_type(request.header(b"content-type"))
    if refused is not None:
        reply(refused)
        return
    try:
        name = _select_name(rest.dataplane, kind)
        rest.begin(_make_inference(name, request, reply, route), reply, make_failure)
    except ServingError as error:
        reply(make_failure(error))


def _select_name(dataplane: DataPlane, kind: type[Model]) -> str:
    """Return the one model that is asked; InvalidInput where there are others."""
    repository = dataplane.repository
    names = [name for name in repository.names() if isinstance(repository.get(name).model, kind)]
    if len(names) != 1:
        raise InvalidInput(
            f"/invocations asks the one model of a server, and this one has {len(names)}; ask "
            "/v1/models/NAME:predict"
        )
    return names[0]


def _make_inference(name: str, request: Request, reply: Exchange, route: Route) -> Inference:
    inference = V1Call(request, name, route.reading, reply.stamp).make_inference(
        InferenceVerb.PREDICT
    )
    read = _READERS.get(media.media_type(request.header(b"content-type")))
    if read is not None:
        inference.decode = partial(read, bytes(request.body))
    return inference


def make_failure(error: Exception) -> Response:
    """Return an error as MLflow writes it: `{"error_code": ..., "message": ...}`."""
    status, body = describe(error)
    told = orjson.loads(body)
    message = told.get("error") or told.get("detail") or str(error)
    code = _CODES.get(status, "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST")
    return Response(status, orjson.dumps({"error_code": code, "message": message}))


def _refuse_type(header: bytes | None) -> Response | None:
    """Return the answer to a type that is not read (MLflow, "scoring_server": 415 as text)."""
    given = (header or b"").decode("latin-1")
    kind, *rest = (part.strip() for part in given.split(";"))
    parameters = dict(part.partition("=")[::2] for part in rest if part)
    if parameters.pop("charset", "utf-8").lower() != "utf-8":
        return _text(415, "The scoring server only supports UTF-8")
    if parameters:
        return _text(415, f"Unrecognized content type parameters: {', '.join(parameters)}.")
    if kind.lower() not in _TYPES:
        return _text(
            415,
            "This predictor only supports the following content types: "
            f"Types: {_TYPES}. Got '{given}'.",
        )
    return None


def _text(status: int, words: str) -> Response:
    return Response(status, words.encode(), b"text/plain; charset=utf-8")
