"""The bridge to ASGI 3.0, both ways: pages, user routes and middleware on the wire's connections.

`Asgi(app).submit` serves an ASGI application; `as_asgi(submit)` is one made of ours, for a
middleware to wrap. What needs no ASGI never passes here, so it costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

from sampan.protocol.errors import describe
from sampan.wire.message import Reply, Request, Response, Submit

logger = logging.getLogger("sampan.asgi")

Message: TypeAlias = "MutableMapping[str, Any]"
Scope: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_OF_THE_WIRE = frozenset({b"content-length", b"transfer-encoding", b"connection", b"date"})
_VERSION = {"version": "3.0", "spec_version": "2.3"}
"""2.3 and not later: from 2.4 on Starlette learns that a client left at its next piece only."""


class Asgi:
    """Serves an ASGI application. Used on the loop's thread."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, request: Request, reply: Reply) -> None:
        """Answer a request by the application, in a task of its own."""
        exchange = _Exchange(request, reply)
        task = asyncio.get_running_loop().create_task(exchange.run(self._app))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextlib.asynccontextmanager
    async def lifespan(self) -> Any:
        """Tell the application of start and end; an error at its start is raised.

        An application that knows no lifespan is served without (ASGI, "Lifespan Protocol").
        """
        events: asyncio.Queue[Message] = asyncio.Queue()
        told: asyncio.Queue[Message] = asyncio.Queue()

        async def run() -> None:
            scope: Scope = {"type": "lifespan", "asgi": _VERSION, "state": {}}
            try:
                await self._app(scope, events.get, told.put)
            except Exception as error:  # noqa: BLE001  # by the protocol: no lifespan, then
                logger.debug("the application has no lifespan: %s", error)
            await told.put({"type": "ended"})

        task = asyncio.get_running_loop().create_task(run())
        await events.put({"type": "lifespan.startup"})
        answer = await told.get()
        if answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(
                f"the ASGI application does not start: {answer.get('message') or 'no reason given'}"
            )
        try:
            yield
        finally:
            if answer["type"] != "ended":
                await events.put({"type": "lifespan.shutdown"})
            await task


class _Exchange:
    """One request and its answer, as the application sees them."""

    def __init__(self, request: Request, reply: Reply) -> None:
        self._request = request
        self._reply = reply
        self._start: Message | None = None
        self._chunks: _Chunks | None = None
        self._ended = False
        self._body: bytes | None = request.body
        self._left = asyncio.Event()

    async def run(self, app: AsgiApp) -> None:
        """Run the application; what it raises becomes the answer, if none has begun."""
        try:
            await app(_scope(self._request), self._receive, self._send)
            if not self._ended:
                self._break_off(
                    RuntimeError("the application returned before its answer was complete")
                )
        except Exception as error:
            if not self._left.is_set():
                logger.exception("the ASGI application raised")
                self._break_off(error)

    def _break_off(self, error: Exception) -> None:
        if self._chunks is not None:
            self._chunks.end(error)
        elif not self._ended:
            self._reply(Response(*describe(error)))

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._left.is_set():
            raise OSError("the client has left")
        if kind == "http.response.start" and self._start is None:
            self._start = message
        elif kind == "http.response.body" and self._start is not None and not self._ended:
            await self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f'message "{kind}" is out of turn in an HTTP answer')

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        self._ended = not more
        if self._chunks is None and not more:
            self._reply(self._response(body))
            self._left.set()
            return
        if self._chunks is None:
            self._chunks = _Chunks(self._left)
            self._reply(self._response(b"")._replace(chunks=self._chunks))
        if body:
            await self._chunks.put(body)
        if not more:
            self._chunks.end(None)

    def _response(self, body: bytes) -> Response:
        start = self._start or {}
        headers = [(bytes(name).lower(), bytes(value)) for name, value in start.get("headers", ())]
        kept = tuple(pair for pair in headers if pair[0] not in _OF_THE_WIRE)
        return Response(start["status"], bytes(body), b"", kept)


class _Chunks:
    """Pieces on their way from the application to the wire, one at a time: neither runs ahead."""

    def __init__(self, left: asyncio.Event) -> None:
        self._left = left
        self._pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._taken = asyncio.Event()

    async def put(self, piece: bytes) -> None:
        """Hand a piece over and wait until it is taken, or the client has left."""
        self._taken.clear()
        self._pieces.put_nowait(bytes(piece))
        await self._taken.wait()

    def end(self, error: Exception | None) -> None:
        """Say that no piece follows; with an error the answer breaks off."""
        self._pieces.put_nowait(error)

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._pieces.get()
        self._taken.set()
        if piece is None:
            raise StopAsyncIteration
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def aclose(self) -> None:
        """The wire takes no more: all is sent, or the client has left."""
        self._left.set()
        self._taken.set()


def _scope(request: Request) -> Scope:
    raw_path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": _VERSION,
        "http_version": "1.1",
        "method": request.method.decode("latin-1"),
        "scheme": "http",
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": request.headers,
        "client": None,
        "server": None,
        "state": {},
    }


def as_asgi(submit: Submit) -> AsgiApp:
    """Return our application as an ASGI one: `Asgi(middleware(as_asgi(submit)))` puts it in front.

    Raises for any scope but `http`: this application has no lifespan and no WebSocket.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f'scope "{scope["type"]}" is not served; only "http" is')
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def reply(response: Response) -> None:
            if not answered.done():
                answered.set_result(response)

        submit(_request(scope, await _body(receive)), reply)
        await _send_response(await answered, send)

    return app


async def _body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise OSError("the client has left")
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


def _request(scope: Scope, body: bytes) -> Request:
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    query = scope.get("query_string") or b""
    target = path + b"?" + query if query else path
    headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    return Request(scope["method"].encode(), target, headers, body)


async def _send_response(response: Response, send: Send) -> None:
    headers = list(response.headers)
    if response.content_type:
        headers.append((b"content-type", response.content_type))
    if response.chunks is None:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.chunks is not None:
        try:
            async for piece in response.chunks:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            ending = getattr(response.chunks, "aclose", None)
            if ending is not None:
                await ending()
    await send({"type": "http.response.body", "body": response.body, "more_body": False})
