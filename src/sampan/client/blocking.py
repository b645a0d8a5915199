"""`Client`: asks a server and waits. Standard library and orjson only; safe to share by threads."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sampan.client import calls
from sampan.client.address import make_headers, parse_address
from sampan.client.calls import Answer, Call, Inputs
from sampan.client.connections import Connections
from sampan.client.events import DONE, EventReader
from sampan.client.failure import NoAnswer, RequestFailed
from sampan.client.retry import RETRIED_STATUSES, RetryPolicy
from sampan.protocol.tensors import InferResponse

if TYPE_CHECKING:
    import ssl

Result = TypeVar("Result")
_PIECE = 64 * 1024


class Client:
    """A server, or a service behind a gateway, at a base URL.

    `token` is sent as a bearer's, `headers` with every request (`Host` picks a service behind a
    gateway). `timeout` is in seconds, for connecting and for each wait. `ssl_context` holds trust
    and client certificates. Refusals are RequestFailed, silence is NoAnswer.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str = "",
        headers: dict[str, str] | None = None,
        timeout: float = 60.0,
        retries: int | RetryPolicy = 3,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._address = parse_address(base_url)
        self._headers = make_headers(headers, token)
        self._policy = RetryPolicy(retries) if isinstance(retries, int) else retries
        self._connections = Connections(self._address, timeout, ssl_context)

    # -- inference ---------------------------------------------------------------------------

    def predict(self, model: str, payload: Any, headers: dict[str, str] | None = None) -> Any:
        """Send a V1 payload; return the decoded answer (bytes where it is no JSON)."""
        return self.send(calls.predict(model, payload), headers)

    def explain(self, model: str, payload: Any, headers: dict[str, str] | None = None) -> Any:
        """Send a V1 payload to be explained; return the decoded answer."""
        return self.send(calls.explain(model, payload), headers)

    def infer(
        self,
        model: str,
        inputs: Inputs,
        *,
        binary: bool = True,
        outputs: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> InferResponse:
        """Send a V2 request, or arrays by input name; return the response.

        Arrays go and come raw unless `binary` is false.
        """
        return self.send(calls.infer(model, inputs, binary=binary, outputs=outputs), headers)

    def stream(self, path: str, payload: Any) -> Iterator[bytes]:
        """Post a payload to a path; yield the pieces of the answer's body as they come.

        Leaving the loop closes the connection, which cancels the request.
        """
        call = calls.stream(path, payload)
        connection, _ = self._open(call, fresh=True)
        try:
            response = self._ask(connection, call, self._headers_of(call, None))
            answer = Answer(response.status, {}, b"")
            if not answer.ok:
                body = response.read()
                raise RequestFailed(Answer(answer.status, {}, body), self._address.url(path))
            while piece := response.read1(_PIECE):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(self._address.url(path), _why(error), sent=True) from error
        finally:
            connection.close()

    def events(self, path: str, payload: Any) -> Iterator[str]:
        """Post a payload to a path that answers in server-sent events; yield each one's data."""
        reader = EventReader()
        for piece in self.stream(path, payload):
            for data in reader.feed(piece):
                if data == DONE:
                    return
                yield data

    # -- the server and its models -----------------------------------------------------------

    def is_server_live(self) -> bool:
        """Whether the server runs."""
        return self.send(calls.is_up("/v2/health/live"))

    def is_server_ready(self) -> bool:
        """Whether the server takes inferences."""
        return self.send(calls.is_up("/v2/health/ready"))

    def is_model_ready(self, model: str) -> bool:
        """Whether a model answers; RequestFailed (404) where there is none of this name."""
        return self.send(calls.model_ready(model))

    def server_metadata(self) -> dict[str, Any]:
        """Return name, version and extensions of the server."""
        return self.send(calls.get("/v2", calls.read_json))

    def model_metadata(self, model: str) -> dict[str, Any]:
        """Return name, platform, inputs and outputs of a model."""
        return self.send(calls.model_metadata(model))

    def models(self) -> list[str]:
        """Return the names of all models."""
        return list(self.send(calls.get("/v2/models", calls.read_json))["models"])

    def index(self, ready: bool = False) -> list[dict[str, Any]]:
        """Return name, state and reason of each model, or of the ready ones."""
        return self.send(calls.index(ready))

    def load(self, model: str) -> None:
        """Load a model, or load it anew."""
        self.send(calls.repository(model, "load"))

    def unload(self, model: str) -> None:
        """Unload a model."""
        self.send(calls.repository(model, "unload"))

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- sending -----------------------------------------------------------------------------

    def send(self, call: Call[Result], headers: dict[str, str] | None = None) -> Result:
        """Make a call, with retries; return what its answer is read as."""
        tried = 0
        while True:
            tried += 1
            try:
                answer = self._once(call, self._headers_of(call, headers))
            except NoAnswer as error:
                wait = None if error.sent else self._policy.wait(tried)
                if wait is None:
                    raise
            else:
                if answer.ok or answer.status in call.refusals:
                    return call.read(answer)
                wait = None
                if answer.status in RETRIED_STATUSES:
                    wait = self._policy.wait(tried, answer.headers.get("retry-after", ""))
                if wait is None:
                    raise RequestFailed(answer, self._address.url(call.path))
            time.sleep(wait)

    def _headers_of(self, call: Call[Any], headers: dict[str, str] | None) -> dict[str, str]:
        return {**self._headers, **call.headers, **make_headers(headers, "")}

    def _once(self, call: Call[Any], headers: dict[str, str]) -> Answer:
        """Send once; on a kept connection that the server had closed meanwhile, once more."""
        connection, kept = self._open(call)
        try:
            response = self._ask(connection, call, headers)
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if kept and isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
                return self._once(call, headers)
            raise NoAnswer(self._address.url(call.path), _why(error), sent=True) from error
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, body)

    def _open(
        self, call: Call[Any], *, fresh: bool = False
    ) -> tuple[http.client.HTTPConnection, bool]:
        try:
            return (self._connections.make(), False) if fresh else self._connections.take()
        except OSError as error:
            raise NoAnswer(self._address.url(call.path), _why(error), sent=False) from error

    def _ask(
        self, connection: http.client.HTTPConnection, call: Call[Any], headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        body = call.body if call.method == "POST" else None
        # A server that refuses a large body answers and closes before all of it was sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(call.method, self._address.prefix + call.path, body, headers)
        return connection.getresponse()


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
