"""ASGI applications on the wire, and the wire's application inside ASGI middleware."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from sampan.wire.asgi import Asgi, as_asgi
from sampan.wire.listener import Listener
from sampan.wire.message import Response


class Client:
    """Speaks to a listener over a real socket."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    async def connect(self):
        return await asyncio.open_connection(*self.listener.address)

    async def ask(self, request: bytes) -> bytes:
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(-1), 5)
        finally:
            writer.close()


def get(path: str, *headers: str, method: str = "GET", body: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


@pytest.fixture
async def listen():
    listeners = []

    async def starter(submit) -> Client:
        listener = Listener(submit)
        await listener.listen("127.0.0.1", 0)
        listeners.append(listener)
        return Client(listener)

    yield starter
    for listener in listeners:
        await listener.drain(0)


async def echo(request):
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "body": (await request.body()).decode(),
            "who": request.headers.get("x-who"),
        },
        status_code=201,
    )


def starlette(*routes: Route, **more) -> Asgi:
    return Asgi(Starlette(routes=routes, **more))


async def test_starlette_answers_on_the_wire(listen):
    client = await listen(starlette(Route("/käse/{rest}", echo, methods=["POST"])).submit)
    answer = await client.ask(get("/k%C3%A4se/x?q=1", "X-Who: me", method="POST", body="hello"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 ")
    assert head.count(b"content-length") == 1
    assert b"date:" in head
    assert body == (
        '{"method":"POST","path":"/käse/x","query":"q=1","body":"hello","who":"me"}'.encode()
    )


async def test_head_has_the_length_and_no_body(listen):
    client = await listen(starlette(Route("/", lambda _: JSONResponse({"a": 1}))).submit)
    answer = await client.ask(get("/", method="HEAD"))
    assert b"content-length: 7" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_streams_go_out_piece_by_piece(listen):
    async def pieces():
        for number in range(3):
            yield f"{number}"
            await asyncio.sleep(0)

    client = await listen(starlette(Route("/", lambda _: StreamingResponse(pieces()))).submit)
    answer = await client.ask(get("/"))
    assert answer.endswith(b"\r\n\r\n1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\n")


async def test_a_client_that_leaves_ends_the_stream(listen):
    ended = asyncio.Event()

    async def pieces():
        try:
            yield "one"
            await asyncio.sleep(30)
        finally:
            ended.set()

    client = await listen(starlette(Route("/", lambda _: StreamingResponse(pieces()))).submit)
    reader, writer = await client.connect()
    writer.write(get("/"))
    await reader.readuntil(b"one\r\n")
    writer.close()
    await asyncio.wait_for(ended.wait(), 2)


async def raises(scope, receive, send):
    raise KeyError("boom")


async def says_nothing(scope, receive, send):
    pass


async def body_first(scope, receive, send):
    await send({"type": "http.response.body", "body": b"x"})


@pytest.mark.parametrize(
    ("app", "text"),
    [
        (raises, b"KeyError : 'boom'"),
        (says_nothing, b"the application returned before its answer was complete"),
        (body_first, b"is out of turn"),
    ],
)
async def test_an_application_that_breaks_its_word_is_answered_with_500(listen, app, text, caplog):
    caplog.set_level(logging.CRITICAL, "sampan.asgi")
    answer = await (await listen(Asgi(app).submit)).ask(get("/"))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert text in answer


async def test_middleware_wraps_the_wires_application(listen):
    def plain(request, reply):
        reply(Response(200, b"x" * 5000 + request.body, b"text/plain"))

    client = await listen(Asgi(GZipMiddleware(as_asgi(plain))).submit)
    answer = await client.ask(get("/", "Accept-Encoding: gzip"))
    assert b"content-encoding: gzip" in answer
    assert len(answer) < 1000
    assert (await client.ask(get("/", method="POST", body="end"))).endswith(b"xxend")


async def test_middleware_wraps_streams_too(listen):
    async def pieces():
        yield b"one"
        yield b"two"

    def streaming(request, reply):
        reply(Response(200, content_type=b"text/plain", chunks=pieces()))

    answer = await (await listen(Asgi(as_asgi(streaming)).submit)).ask(get("/"))
    assert b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" in answer


async def test_lifespan_is_told_of_start_and_end():
    seen = []

    async def app(scope, receive, send):
        while True:
            kind = (await receive())["type"]
            seen.append(kind)
            await send({"type": f"{kind}.complete"})
            if kind.endswith("shutdown"):
                return

    async with Asgi(app).lifespan():
        assert seen == ["lifespan.startup"]
    assert seen == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_application_without_lifespan_is_served():
    async with Asgi(as_asgi(lambda *_: None)).lifespan():
        pass


async def test_a_start_that_fails_is_raised():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="no database"):
        async with Asgi(app).lifespan():
            pass
