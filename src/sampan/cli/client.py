"""The command line's way to an API server: plain HTTP of the standard library, JSON in and out.

`httpx` would cost 0.3 s of import for each `sampan get`; `http.client` costs 20 ms.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import urlencode

from sampan.cli.output import SYSTEM, USER, CliError
from sampan.cli.whereabouts import find_whereabouts

JsonObject: TypeAlias = dict[str, Any]
_NOT_FOUND = re.compile(r'([a-z]+)(?:\.[a-z.]+)? "[^"]*" not found')
"""Kubernetes's words for it: the plural, its group, the name."""

CONTEXT = "SAMPAN_CONTEXT"
"""The variable that names a cluster of the kubeconfig; `--context` sets it for one command."""

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@dataclass(frozen=True, slots=True)
class Server:
    """A running daemon, as its `daemon.json` tells, or a cluster's API server (`context`).

    `gateway_port` is where predictions go; `authority` is the PEM certificate that signed the
    server's, since kubectl sends its token by TLS only. A cluster's has `tls`, and `prefix` before
    its paths.
    """

    host: str
    port: int
    token: str
    pid: int
    gateway_port: int
    authority: str = ""
    context: str = ""
    prefix: str = ""
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: the JSON body and the texts of its `Warning` headers."""

    body: JsonObject
    warnings: tuple[str, ...] = ()


class ApiProblem(CliError):
    """The API server refused; `status` is its Kubernetes Status.

    `look` says where an object that was not found may be; it is asked when the message is read.
    """

    def __init__(self, status: JsonObject, look: Callable[[], str] = str) -> None:
        code = int(status.get("code") or 500)
        super().__init__(str(status.get("message") or status), USER if code < 500 else SYSTEM)
        self.status = status
        self._look = look

    @property
    def message(self) -> str:
        """The server's text and what to try."""
        return str(self) + (_mend(self.status) and (self._look() or _mend(self.status)))

    @property
    def reason(self) -> str:
        """The Kubernetes reason, for example `NotFound`."""
        return str(self.status.get("reason", ""))


@dataclass
class ApiClient:
    """Requests to one API server; one connection a request, since a command makes few."""

    server: Server
    timeout: float = 30.0
    _discovered: list[JsonObject] = field(default_factory=list)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Answer:
        """Send one request; raise ApiProblem for a refusal and CliError for no connection."""
        response = self._send(method, path, body, query, (accept, content_type))
        raw = response.read()
        parsed = _parse(raw)
        if response.status >= 400:
            status = parsed or {"message": raw.decode(errors="replace"), "code": response.status}
            raise ApiProblem(status, partial(self._whereabouts, path))
        return Answer(parsed, _warnings(response))

    def get(self, path: str, query: Mapping[str, str] | None = None) -> JsonObject:
        """Return the JSON body of a GET."""
        return self.request("GET", path, query=query).body

    def lines(
        self, path: str, query: Mapping[str, str] | None = None, accept: str = "application/json"
    ) -> Iterator[bytes]:
        """Yield the lines of a streamed answer (a watch, a log) until it ends."""
        response = self._send("GET", path, None, query, (accept, "application/json"))
        if response.status >= 400:
            raise ApiProblem(_parse(response.read()))
        while line := response.readline():
            yield line

    def watch(self, path: str, query: Mapping[str, str]) -> Iterator[JsonObject]:
        """Yield watch events of a collection."""
        for line in self.lines(path, {**query, "watch": "true"}):
            yield json.loads(line)

    def resources(self) -> list[JsonObject]:
        """Return every served resource as discovery lists it, each with `groupVersion`."""
        if not self._discovered:
            versions = ["v1"]
            versions += [
                v["groupVersion"] for g in self.get("/apis")["groups"] for v in g["versions"]
            ]
            for version in versions:
                found = self.get(f"/api/{version}" if version == "v1" else f"/apis/{version}")
                self._discovered += [
                    {**r, "groupVersion": version}
                    for r in found["resources"]
                    if "/" not in r["name"]
                ]
        return self._discovered

    def _whereabouts(self, path: str) -> str:
        try:
            return find_whereabouts(self.get, path)
        except CliError:
            return ""  # no right to list, or no server any more: the first error is told

    def _send(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, str] | None,
        types: tuple[str, str],
    ) -> http.client.HTTPResponse:
        target = self.server.prefix + (f"{path}?{urlencode(query)}" if query else path)
        payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {"Accept": types[0]}
        if self.server.token:
            headers["Authorization"] = f"Bearer {self.server.token}"
        if payload is not None:
            headers["Content-Type"] = types[1]
        watching = bool(query) and ("watch" in (query or {}) or "follow" in (query or {}))
        connection = self._connection(None if watching else self.timeout)
        try:
            connection.request(method, target, body=payload, headers=headers)
            return connection.getresponse()
        except OSError as error:
            raise CliError(self._silence(error), SYSTEM) from None

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        server = self.server
        if server.tls is None:
            return http.client.HTTPConnection(server.host, server.port, timeout=timeout)
        return http.client.HTTPSConnection(
            server.host, server.port, timeout=timeout, context=server.tls
        )

    def _silence(self, error: OSError) -> str:
        place = f"{self.server.host}:{self.server.port}"
        if self.server.context:
            return f'the cluster "{self.server.context}" at {place} does not answer ({error})'
        return (
            f"the daemon at {place} does not answer ({error}); "
            "see `sampan doctor`, or start it with `sampan up`"
        )


def _mend(status: JsonObject) -> str:
    """Return what to try where an object is not there; "" where the message says it."""
    found = _NOT_FOUND.fullmatch(str(status.get("message", "")))
    if not found:
        return ""
    if found[1] == "namespaces":
        return "; apply a Namespace of that name first, or correct -n"
    return f"; see `sampan get {found[1]}`"


def _parse(raw: bytes) -> JsonObject:
    try:
        parsed = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {"items": parsed}


def _warnings(response: http.client.HTTPResponse) -> tuple[str, ...]:
    # RFC 7234, section 5.5: `299 - "text"`, quotes inside escaped.
    found = response.headers.get_all("Warning") or []
    return tuple(
        w.split('"', 1)[1].rsplit('"', 1)[0].replace('\\"', '"') for w in found if '"' in w
    )
