"""A connection to a cluster's API server: JSON in, JSON out, its errors as ours.

lightkube reads the kubeconfig or a pod's ServiceAccount and brings TLS and credentials; objects
stay JSON, so that no field that this version does not know is lost on the way.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from sampan.machinery.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    Expired,
    Forbidden,
    NotFound,
    Unauthorized,
)
from sampan.machinery.registry import JsonObject
from sampan.operator.spans import MakeSpan, no_span

if TYPE_CHECKING:
    import httpx2

JSON, APPLY = "application/json", "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
CALL_SECONDS = 30.0
"""Longer than the API server itself waits for a webhook (10 s by default)."""
KEPT_CONNECTIONS = 64
"""Connections that stay open while nobody needs them: as many calls are under way when many
services are made at once, and each new one would cost a handshake. Watches hold one each besides,
so that their number has no bound.
"""

_ERRORS: Mapping[tuple[int, str], type[ApiError]] = {
    (409, "AlreadyExists"): AlreadyExists,
}
_ERRORS_BY_CODE: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
}


class Refused(ApiError):
    """An answer that no other error stands for: 422 for an object that is invalid, and others."""

    def __init__(self, message: str, code: int, reason: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Unavailable(ApiError):
    """The API server does not answer, or not now (429, 5xx): a later try may go through.

    `retry_after` is what it asks for, in seconds; 0 where it does not say.
    """

    code, reason = 503, "ServiceUnavailable"

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConfigurationError(ValueError):
    """A kubeconfig that cannot be used; the message names it and the mend."""


class Calls(Protocol):
    """What a store asks of an API server, wherever its answers come from."""

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        media_type: str = JSON,
    ) -> JsonObject:
        """Return the answer's object; raise the ApiError that stands for a refusal."""

    def stream(
        self, path: str, query: Mapping[str, str], idle_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a watch; gives its lines."""

    async def close(self) -> None:
        """Close every connection."""


class Connection:
    """Calls to one API server. `calls` counts them by verb and resource, for metrics and tests."""

    def __init__(
        self, client: httpx2.AsyncClient, watching: httpx2.AsyncClient | None = None
    ) -> None:
        """`watching` opens the watches, whose connections calls need not be looked for among."""
        self._client = client
        self._watching = watching or client
        self.calls: Counter[tuple[str, str]] = Counter()
        self.span: MakeSpan = no_span

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        media_type: str = JSON,
    ) -> JsonObject:
        """Return the answer's object; raise the ApiError that stands for a refusal."""
        resource = resource_of(path)
        self.calls[method, resource] += 1
        told = {"http.request.method": method, "url.path": path}
        with self.span(f"{method} {resource}", told):
            return await self._exchange(method, path, query, body, media_type)

    async def _exchange(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, media_type: str
    ) -> JsonObject:
        import httpx2

        content = None if body is None else orjson.dumps(body)
        headers = {"content-type": media_type} if body is not None else {}
        try:
            reply = await self._client.request(
                method, path, params=query, content=content, headers=headers
            )
        except httpx2.HTTPError as error:
            raise _unreachable(method, path, error) from error
        if reply.status_code >= 400:
            raise make_error(reply.status_code, reply.content, reply.headers.get("retry-after"))
        answer: JsonObject = orjson.loads(reply.content)
        return answer

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], idle_seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch; yields its lines until the server ends it or the connection breaks.

        A connection that brings nothing for `idle_seconds` counts as broken.
        """
        import httpx2

        self.calls["WATCH", resource_of(path)] += 1
        timeout = httpx2.Timeout(CALL_SECONDS, read=idle_seconds)
        try:
            async with self._watching.stream("GET", path, params=query, timeout=timeout) as reply:
                if reply.status_code >= 400:
                    content = await reply.aread()
                    raise make_error(reply.status_code, content, reply.headers.get("retry-after"))
                yield _lines(reply.aiter_bytes())
        except httpx2.HTTPError as error:
            raise _unreachable("WATCH", path, error) from error

    async def close(self) -> None:
        """Close every connection."""
        for client in {self._client, self._watching}:
            await client.aclose()


def resource_of(path: str) -> str:
    """Return the plural that a path of an API server is of, "" where it is of none. Pure."""
    parts = path.strip("/").split("/")[2 if path.startswith("/api/") else 3 :]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    return parts[0] if parts else ""


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line


def make_error(code: int, content: bytes, retry_after: str | None = None) -> ApiError:
    """Return the error of an answer: by its `Status`, or by its code where it has none. Pure."""
    try:
        status = orjson.loads(content)
    except orjson.JSONDecodeError:
        status = {}
    status = status if isinstance(status, dict) else {}
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or content[:200].decode(errors="replace"))
    if code == 429 or code >= 500:
        asked = (status.get("details") or {}).get("retryAfterSeconds") or retry_after or 0
        return Unavailable(message, _seconds(asked))
    kind = _ERRORS.get((code, reason)) or _ERRORS_BY_CODE.get(code)
    return kind(message) if kind else Refused(message, code, reason)


def _seconds(text: Any) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:  # a date: the queue's own back-off is as good
        return 0.0


def _unreachable(method: str, path: str, error: Exception) -> Unavailable:
    words = str(error) or type(error).__name__
    return Unavailable(f"the API server does not answer {method} {path}: {words}")


def connect(
    kubeconfig: Path | None = None, context: str = "", agent: str = "sampan-operator"
) -> Connection:
    """Return a connection as a kubeconfig says, or as a pod's ServiceAccount does. `agent` is what
    the API server is told of who asks.

    Without a path `$KUBECONFIG`, a pod's own credentials and `~/.kube/config` are tried. Raises
    ConfigurationError.
    """
    import httpx2
    from lightkube.config.client_adapter import ConnectionParams
    from lightkube.config.kubeconfig import KubeConfig

    named = f'"{kubeconfig}"' if kubeconfig else "the kubeconfig"
    with _told_of(named):
        known = KubeConfig.from_file(str(kubeconfig)) if kubeconfig else KubeConfig.from_env()
        config = known.get(context_name=context or None)
    if config is None:
        raise ConfigurationError(f'{named} has no current context; set one, or give "--context"')
    with _told_of(named):
        params = ConnectionParams(timeout=httpx2.Timeout(CALL_SECONDS), trust_env=False)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS)
        calling, watching = (
            httpx2.AsyncClient(**params.httpx_params(config), limits=limits) for _ in range(2)
        )
    for client in (calling, watching):
        client.headers["user-agent"] = agent
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it writes a line for each call
    return Connection(calling, watching)


@contextmanager
def _told_of(named: str) -> Iterator[None]:
    """Tell of a kubeconfig that cannot be read: lightkube lets every mistake in it through."""
    from lightkube.core.exceptions import ConfigError
    from msgspec import MsgspecError
    from yaml import YAMLError

    mistakes = (ConfigError, MsgspecError, YAMLError, OSError, LookupError, TypeError, ValueError)
    try:
        yield
    except mistakes as error:
        what = " ".join(str(error).split()[:24]) or type(error).__name__
        if isinstance(error, KeyError):
            what = f"it has no {what}"
        text = f'{named} cannot be used: {what}; mend it, or name another by "--kubeconfig"'
        raise ConfigurationError(text) from error
