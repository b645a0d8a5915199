"""Calling servers: answers however their bytes are cut, and a pool that bounds and reuses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machinery.web_address import Origin
from sampan.wire.upstream import Upstreams
from sampan.wire.upstream_answer import Answer, CallFailed, UpstreamLimits
from sampan.wire.upstream_incoming import Incoming

LIMITS = UpstreamLimits()
DATES = (b"Sat, 21 Nov 2026 16:00:00 GMT", b"Sat, 21 Nov 2026 16:00:01 GMT")

answers = st.builds(
    Answer,
    st.sampled_from([200, 201, 400, 404, 503]),
    st.binary(max_size=60),
    st.sampled_from([b"", b"application/json", b"text/plain; charset=utf-8"]),
    st.none(),
    st.just(()),
)


def render(answer: Answer, date: bytes, framing: str) -> bytes:
    """Return the bytes of an answer, as servers write them."""
    head = b"HTTP/1.1 %d X\r\ndate: %b\r\n" % (answer.status, date)
    if answer.content_type:
        head += b"Content-Type:  " + answer.content_type + b" \r\n"
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(answer.body) + answer.body
    middle = len(answer.body) // 2
    chunks = [part for part in (answer.body[:middle], answer.body[middle:]) if part]
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in chunks)
    return head + b"transfer-encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


@given(
    st.lists(
        st.tuples(answers, st.sampled_from(DATES), st.sampled_from(["length", "chunks"])),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
def test_answers_are_the_same_however_their_bytes_are_cut(
    said: list[tuple[Answer, bytes, str]], data: st.DataObject
) -> None:
    incoming = Incoming("a server", LIMITS)
    for answer, date, framing in said * 2:  # heads that are known, too
        whole = render(answer, date, framing)
        cuts = data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=3))
        edges = [0, *sorted(cuts), len(whole)]
        results = [incoming.feed(whole[a:b]) for a, b in pairwise(edges)]
        assert results[:-1] == [None] * (len(results) - 1)
        last = results[-1]
        assert isinstance(last, Answer)
        assert last._replace(fields=()) == answer
        assert (b"date", date) in last.fields
        assert incoming.reusable


@given(st.binary(max_size=300))
def test_no_bytes_break_it(data: bytes) -> None:
    incoming = Incoming("a server", LIMITS)
    told = incoming.feed(data) or incoming.end(None)
    assert isinstance(told, Answer | CallFailed)


def test_a_known_head_with_more_after_it_is_not_taken_for_known() -> None:
    incoming = Incoming("a server", LIMITS)
    whole = render(Answer(200, b"{}", b"application/json"), DATES[0], "length")
    first = incoming.feed(whole)
    assert isinstance(first, Answer)
    assert first._replace(fields=()) == Answer(200, b"{}", b"application/json")
    assert incoming.feed(whole) == first
    assert incoming.feed(whole + b"HTTP/1.1 200 OK\r\n") == first
    assert not incoming.reusable


class Server:
    """Answers with what it was asked, when it is let; counts its connections."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.open = 0
        self.most = 0
        self.opened = 0
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.opened += 1
        self.most = max(self.most, self.open)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head.split()[1])
                await self.let.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


class Calls:
    """Calls of one server, and what came of them."""

    def __init__(self, server: Server, origin: Origin, limits: UpstreamLimits) -> None:
        self.server = server
        self.upstreams = Upstreams(asyncio.get_running_loop(), limits)
        self.pool = self.upstreams.pool(origin)

    def call(self, name: str, seconds: float | None = None):
        told: asyncio.Future[Answer | CallFailed] = asyncio.get_running_loop().create_future()
        head = f"GET {name} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
        return told, self.pool.call(head, b"", seconds, told.set_result)


@pytest.fixture
async def make_calls() -> AsyncIterator:
    made: list[Calls] = []
    servers = []

    async def make(**limits: float) -> Calls:
        server = Server()
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        servers.append(listening)
        port = listening.sockets[0].getsockname()[1]
        calls = Calls(server, Origin("http", "localhost", port), replace(LIMITS, **limits))
        made.append(calls)
        return calls

    yield make
    for calls in made:
        calls.upstreams.close()
        calls.server.let.set()
    for listening in servers:
        listening.close()


async def until(true, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  # what is waited for is not ours to tell an event
            await asyncio.sleep(0.01)


async def test_calls_beyond_the_connections_wait_and_are_all_answered(make_calls) -> None:
    calls = await make_calls(connections=3)
    told = [calls.call(f"/{n}")[0] for n in range(10)]
    await until(lambda: len(calls.server.asked) == 3)
    calls.server.let.set()
    results = await asyncio.wait_for(asyncio.gather(*told), 20)
    assert {r.status for r in results} == {200}
    assert calls.server.most == 3


async def test_a_call_that_is_called_off_while_it_waits_is_never_sent(make_calls) -> None:
    calls = await make_calls(connections=1)
    first, _ = calls.call("/first")
    waiting, cancel = calls.call("/waiting")
    await until(lambda: calls.server.asked == [b"/first"])
    cancel()
    calls.server.let.set()
    last, _ = calls.call("/last")
    assert (await asyncio.wait_for(last, 20)).status == 200
    assert calls.server.asked == [b"/first", b"/last"]
    assert first.done()
    assert not waiting.done()


async def test_a_call_that_is_called_off_under_way_takes_its_connection_along(make_calls) -> None:
    calls = await make_calls(connections=1)
    _, cancel = calls.call("/first")
    await until(lambda: calls.server.asked == [b"/first"])
    cancel()
    calls.server.let.set()
    assert (await asyncio.wait_for(calls.call("/next")[0], 20)).status == 200
    assert calls.server.opened == 2


async def test_a_call_that_waits_too_long_for_a_connection_fails_unsent(make_calls) -> None:
    calls = await make_calls(connections=1)
    calls.call("/first")
    told = await asyncio.wait_for(calls.call("/late", seconds=0.2)[0], 20)
    assert isinstance(told, CallFailed)
    assert (told.reason, told.sent) == ("Timeout", False)


async def test_calls_beyond_the_connections_fail_too_where_nobody_listens() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        origin = Origin("http", "127.0.0.1", unheard.getsockname()[1])
        calls = Calls(Server(), origin, replace(LIMITS, connections=2))
        told = [calls.call(f"/{n}")[0] for n in range(7)]
        results = await asyncio.wait_for(asyncio.gather(*told), 20)
    assert [r.reason for r in results] == ["ConnectionRefused"] * 7


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("a..b", id="an empty part"),
        pytest.param("a" * 64 + ".example", id="a part of 64 letters"),
    ],
)
async def test_a_host_that_no_resolver_takes_fails_each_call(host: str) -> None:
    calls = Calls(Server(), Origin("http", host, 80), LIMITS)
    rpc: asyncio.Future[Answer | CallFailed] = asyncio.get_running_loop().create_future()
    for _ in range(2):
        told = await asyncio.wait_for(calls.call("/")[0], 20)
        assert (told.reason, told.sent) == ("ConnectionRefused", False)
        assert "between dots is empty or longer than 63 letters" in str(told)
    calls.upstreams.http2_pool(Origin("http", host, 80)).call(b"", b"", None, rpc.set_result)
    assert (await asyncio.wait_for(rpc, 20)).reason == "ConnectionRefused"


async def test_an_idle_connection_is_closed_before_its_server_would(make_calls) -> None:
    calls = await make_calls(idle_seconds=0.1)
    calls.server.let.set()
    await asyncio.wait_for(calls.call("/one")[0], 20)
    await until(lambda: calls.server.open == 0)
    assert (await asyncio.wait_for(calls.call("/two")[0], 20)).status == 200


async def test_what_waits_is_told_when_the_router_stops(make_calls) -> None:
    calls = await make_calls(connections=1)
    calls.call("/first")
    waiting, _ = calls.call("/waiting")
    calls.upstreams.close()
    told = await asyncio.wait_for(waiting, 20)
    assert isinstance(told, CallFailed)
    assert told.reason == "Stopping"
