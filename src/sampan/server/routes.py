"""The REST routes as a table, and the lookup of a target in it. Pure.

The order is that of KServe's server: it decides which route `GET /v1/models/a:predict` meets
(the readiness of a model called "a:predict").
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

_CACHED = 1024  # targets remembered; a served model has a handful


class Route(NamedTuple):
    """A method, a path with `{parameters}` of one segment, and the name of its handler."""

    method: str
    path: str
    handler: str


ROUTES = (
    Route("GET", "/", "live_v1"),
    Route("GET", "/metrics", "metrics"),
    Route("GET", "/openapi.json", "openapi"),
    Route("GET", "/v1/models", "models"),
    Route("GET", "/v1/models/{name}", "ready_model"),
    Route("POST", "/v1/models/{name}:predict", "predict"),
    Route("POST", "/v1/models/{name}:explain", "explain"),
    Route("GET", "/v2", "server_metadata"),
    Route("GET", "/v2/health/live", "live_v2"),
    Route("GET", "/v2/health/ready", "ready_v2"),
    Route("GET", "/v2/models", "models"),
    Route("GET", "/v2/models/{name}", "model_metadata"),
    Route("GET", "/v2/models/{name}/versions/{version}", "versioned"),
    Route("GET", "/v2/models/{name}/ready", "ready_model"),
    Route("GET", "/v2/models/{name}/versions/{version}/ready", "versioned"),
    Route("POST", "/v2/models/{name}/infer", "infer"),
    Route("POST", "/v2/models/{name}/versions/{version}/infer", "versioned"),
    Route("POST", "/v2/models/{name}/generate", "generate"),
    Route("POST", "/v2/models/{name}/generate_stream", "generate_stream"),
    Route("POST", "/v2/models/{name}/versions/{version}/generate", "versioned"),
    Route("POST", "/v2/models/{name}/versions/{version}/generate_stream", "versioned"),
    Route("POST", "/v2/repository/index", "index"),
    Route("POST", "/v2/repository/models/{name}/load", "load"),
    Route("POST", "/v2/repository/models/{name}/unload", "unload"),
)


DOCS = Route("GET", "/docs", "docs")
"""Only with --enable_docs_url, as upstream."""


class Match(NamedTuple):
    """What a target means: the handler by method, each with the path's parameters."""

    handlers: dict[str, tuple[str, dict[str, str]]]

    @property
    def allow(self) -> str:
        """The `Allow` header: every method that the target has."""
        return ", ".join(self.handlers)


class RouteTable:
    """Finds the match of a target; remembers the recent ones."""

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        self._patterns = [(_compile(route.path), route) for route in routes]
        self._seen: dict[bytes, Match] = {}

    def find(self, target: bytes) -> Match:
        """Return the match of a request target (origin or absolute form, query ignored)."""
        match = self._seen.get(target)
        if match is None:
            match = self._search(_path(target))
            if len(self._seen) >= _CACHED:
                self._seen.clear()
            if match.handlers:
                self._seen[target] = match
        return match

    def _search(self, path: str) -> Match:
        handlers: dict[str, tuple[str, dict[str, str]]] = {}
        for pattern, route in self._patterns:
            found = pattern.fullmatch(path)
            if found is not None:
                handlers.setdefault(route.method, (route.handler, found.groupdict()))
        return Match(handlers)


def _compile(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(
            f"(?P<{piece}>[^/]+)" if index % 2 else re.escape(piece)
            for index, piece in enumerate(pieces)
        )
    )


def _path(target: bytes) -> str:
    """Return the decoded path of a target; what is no UTF-8 matches no route."""
    if not target.startswith(b"/"):
        _, _, rest = target.partition(b"://")
        target = b"/" + rest.partition(b"/")[2]
    path = target.partition(b"?")[0].partition(b"#")[0]
    if b"%" in path:
        path = unquote_to_bytes(path)
    return path.decode("utf-8", "replace")
