"""`AsyncClient`: the same questions as `Client`, for a running event loop. Uses httpx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sampan.client import calls
from sampan.client.address import make_headers, parse_address
from sampan.client.calls import Answer, Call, Inputs
from sampan.client.events import DONE, EventReader
from sampan.client.failure import NoAnswer, RequestFailed
from sampan.client.retry import RETRIED_STATUSES, RetryPolicy
from sampan.protocol.tensors import InferResponse

if TYPE_CHECKING:
    import ssl

    import httpx

Result = TypeVar("Result")


class AsyncClient:
    """A server, or a service behind a gateway, at a base URL. Arguments as `Client`'s."""

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
        import httpx

        self._address = parse_address(base_url)
        self._policy = RetryPolicy(retries) if isinstance(retries, int) else retries
        self._http = httpx.AsyncClient(
            headers=make_headers(headers, token),
            timeout=timeout,
            verify=True if ssl_context is None else ssl_context,
        )

    # -- inference ---------------------------------------------------------------------------

    async def predict(self, model: str, payload: Any, headers: dict[str, str] | None = None) -> Any:
        """Send a V1 payload; return the decoded answer (bytes where it is no JSON)."""
        return await self.send(calls.predict(model, payload), headers)

    async def explain(self, model: str, payload: Any, headers: dict[str, str] | None = None) -> Any:
        """Send a V1 payload to be explained; return the decoded answer."""
        return await self.send(calls.explain(model, payload), headers)

    async def infer(
        self,
        model: str,
        inputs: Inputs,
        *,
        binary: bool = True,
        outputs: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> InferResponse:
        """Send a V2 request, or arrays by input name; return the response."""
        return await self.send(calls.infer(model, inputs, binary=binary, outputs=outputs), headers)

    async def stream(self, path: str, payload: Any) -> AsyncGenerator[bytes, None]:
        """Post a payload to a path; yield the pieces of the answer's body as they come."""
        import httpx

        call, url = calls.stream(path, payload), self._address.url(path)
        sent = False
        try:
            async with self._http.stream(
                call.method, url, content=call.body, headers=dict(call.headers)
            ) as response:
                sent = True
                if response.status_code >= 300:
                    body = await response.aread()
                    raise RequestFailed(Answer(response.status_code, {}, body), url)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.TransportError as error:
            raise NoAnswer(url, _why(error), sent=sent or not _is_unsent(error)) from error

    async def events(self, path: str, payload: Any) -> AsyncGenerator[str, None]:
        """Post a payload to a path that answers in server-sent events; yield each one's data."""
        reader = EventReader()
        async with aclosing(self.stream(path, payload)) as pieces:
            async for piece in pieces:
                for data in reader.feed(piece):
                    if data == DONE:
                        return
                    yield data

    # -- the server and its models -----------------------------------------------------------

    async def is_server_live(self) -> bool:
        """Whether the server runs."""
        return await self.send(calls.is_up("/v2/health/live"))

    async def is_server_ready(self) -> bool:
        """Whether the server takes inferences."""
        return await self.send(calls.is_up("/v2/health/ready"))

    async def is_model_ready(self, model: str) -> bool:
        """Whether a model answers; RequestFailed (404) where there is none of this name."""
        return await self.send(calls.model_ready(model))

    async def server_metadata(self) -> dict[str, Any]:
        """Return name, version and extensions of the server."""
        return await self.send(calls.get("/v2", calls.read_json))

    async def model_metadata(self, model: str) -> dict[str, Any]:
        """Return name, platform, inputs and outputs of a model."""
        return await self.send(calls.model_metadata(model))

    async def models(self) -> list[str]:
        """Return the names of all models."""
        return list((await self.send(calls.get("/v2/models", calls.read_json)))["models"])

    async def index(self, ready: bool = False) -> list[dict[str, Any]]:
        """Return name, state and reason of each model, or of the ready ones."""
        return await self.send(calls.index(ready))

    async def load(self, model: str) -> None:
        """Load a model, or load it anew."""
        await self.send(calls.repository(model, "load"))

    async def unload(self, model: str) -> None:
        """Unload a model."""
        await self.send(calls.repository(model, "unload"))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # -- sending -----------------------------------------------------------------------------

    async def send(self, call: Call[Result], headers: dict[str, str] | None = None) -> Result:
        """Make a call, with retries; return what its answer is read as."""
        tried = 0
        while True:
            tried += 1
            try:
                answer = await self._once(call, headers)
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
            await asyncio.sleep(wait)

    async def _once(self, call: Call[Any], headers: dict[str, str] | None) -> Answer:
        import httpx

        url = self._address.url(call.path)
        try:
            response = await self._http.request(
                call.method,
                url,
                content=call.body if call.method == "POST" else None,
                headers={**call.headers, **make_headers(headers, "")},
            )
        except httpx.TransportError as error:
            raise NoAnswer(url, _why(error), sent=not _is_unsent(error)) from error
        return Answer(response.status_code, _fields(response), response.content)


def _fields(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _is_unsent(error: Exception) -> bool:
    """Whether nothing had been sent, or the server closed a kept connection before reading it."""
    import httpx

    if isinstance(error, httpx.RemoteProtocolError):
        return "without sending a response" in str(error)
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
