"""OpenAI's routes under `/openai`, as KServe's server has them.

A model that can be asked says so (`openai_kinds`) and gets a `Call` as its payload. It answers with
a document, or with an iterator of documents, which are sent as events.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, TypeAlias

import orjson

from sampan.protocol import json_out, media
from sampan.protocol.errors import ServingError
from sampan.protocol.openai.answers import make_models
from sampan.protocol.openai.errors import BadRequest
from sampan.protocol.openai.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    RerankRequest,
    read_chat,
    read_completion,
    read_embedding,
    read_rerank,
)
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Exchange
from sampan.server.job import Inference
from sampan.server.model import Headers
from sampan.server.repository import ModelRepository
from sampan.server.rest import Handler, Rest, Route
from sampan.server.routes import Route as Pattern
from sampan.server.streaming import Streaming, encode_event_data, is_stream
from sampan.wire.message import Request, Response

logger = logging.getLogger("sampan.server")

PREFIX_VARIABLE = "KSERVE_OPENAI_ROUTE_PREFIX"
_USUAL_PREFIX = "/openai"

AnyRequest: TypeAlias = "CompletionRequest | ChatRequest | EmbeddingRequest | RerankRequest"


class Kind(Enum):
    """What can be asked; the value is the name that upstream's error tells."""

    COMPLETION = "Completions API"
    CHAT = "Chat Completion API"
    EMBEDDING = "Embeddings API"
    RERANK = "Rerank API"


@dataclass(frozen=True, slots=True)
class Call:
    """A request with what tells whether its client has left; that may be asked on any thread."""

    request: AnyRequest
    gone: Callable[[], bool]


_ROUTES: tuple[tuple[str, Kind, Callable[[bytes], AnyRequest]], ...] = (
    ("/v1/completions", Kind.COMPLETION, read_completion),
    ("/v1/chat/completions", Kind.CHAT, read_chat),
    ("/v1/embeddings", Kind.EMBEDDING, read_embedding),
    ("/v1/rerank", Kind.RERANK, read_rerank),
)


class OpenAIApi:
    """The interface over a repository (`server.rest.Api`). Used on the loop's thread."""

    def __init__(
        self, repository: ModelRepository, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._repository = repository
        self._prefix = make_prefix(environ.get(PREFIX_VARIABLE, _USUAL_PREFIX))
        self._created = int(time.time())
        self._told: set[str] = set()

    def routes(self, rest: Rest) -> Iterable[tuple[Pattern, Handler]]:
        """Return the routes beside KServe's, and before them where the prefix is empty."""
        for path, kind, read in _ROUTES:
            handler = partial(self._ask, rest, kind, read)
            yield Pattern("POST", self._prefix + path, f"openai POST {path}"), handler
        models = f"{self._prefix}/v1/models"
        yield Pattern("GET", models, "openai GET /v1/models"), self._models
        yield Pattern("GET", models + "/{name}", "openai GET /v1/models/{name}"), self._health

    def methods(self, dataplane: DataPlane) -> Mapping[bytes, Any]:
        """Return no methods: OpenAI speaks no gRPC."""
        del dataplane
        return {}

    def _ask(  # a handler's three, and what its route is
        self,
        rest: Rest,
        kind: Kind,
        read: Callable[[bytes], AnyRequest],
        request: Request,
        reply: Exchange,
        route: Route,
    ) -> None:
        """Begin what is asked. Upstream's order: the body, the model's name, ready, its kind."""
        del route
        asked = read(request.body)
        model = self._repository.get_ready(asked.model).model
        if kind not in getattr(model, "openai_kinds", ()):
            raise BadRequest(f"Model {asked.model} does not support {kind.value}")
        self._tell_ignored(asked.ignored)
        gone = reply.gone() or _stays

        def decode() -> Any:
            return Call(asked, gone)

        size = len(request.body)
        rest.begin(Inference(asked.model, request.texts(), size, decode, encode), reply)

    def _models(self, request: Request, reply: Exchange, route: Route) -> None:
        del request, route
        reply(Response(200, orjson.dumps(make_models(self._repository.names(), self._created))))

    def _health(self, request: Request, reply: Exchange, route: Route) -> None:
        """Answer 200 `null` for a model that is ready, else 503, for unknown names too."""
        del request
        try:
            self._repository.get_ready(route.parameters["name"])
        except ServingError as error:
            reply(Response(503, error.body()))
        else:
            reply(Response(200, b"null"))

    def _tell_ignored(self, names: tuple[str, ...]) -> None:
        """Say once of each field that nobody knows that it has no effect."""
        for name in names:
            if name not in self._told and len(self._told) < 100:  # a client makes up names
                self._told.add(name)
                logger.warning('field "%s" of a request is not known and has no effect', name[:80])


def encode(result: Any, headers: Headers) -> Any:
    """Return the answer: a document, or the events of a stream."""
    del headers
    if is_stream(result):
        return Streaming(result, encode_event_data, events=True)
    return Response(200, json_out.dumps(result), media.JSON)


def make_prefix(value: str) -> str:
    """Return the routes' prefix: empty, or with a slash before it and none after. Pure."""
    stripped = value.strip("/")
    return f"/{stripped}" if stripped else ""


def _stays() -> bool:
    """Stand for a transport that cannot tell whether its client has left."""
    return False
