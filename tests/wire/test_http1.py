"""HTTP/1.1 on real sockets: framing, order, refusals."""

from __future__ import annotations

import asyncio

import pytest

from sampan.wire.limits import Limits
from sampan.wire.message import Response

HOST = b"Host: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n"


def post(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"POST /p HTTP/1.1\r\n" + HOST + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def test_a_connection_is_kept_for_the_next_request(start):
    peer = await (await start()).connect()
    for _ in range(3):
        await peer.send(GET)
        assert await peer.response() == (200, ANY_HEADERS, b"/x|")


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


ANY_HEADERS = _Any()


async def test_a_request_may_arrive_byte_by_byte(start):
    peer = await (await start()).connect()
    for byte in post(b"hello"):
        await peer.send(bytes([byte]))
    assert (await peer.response())[2] == b"/p|hello"


async def test_pipelined_requests_are_answered_in_order_though_answers_come_late(start):
    wire = await start(held=True)
    peer = await wire.connect()
    await peer.send(b"".join(b"GET /%d HTTP/1.1\r\n%s\r\n" % (i, HOST) for i in range(40)))
    for i in range(40):
        await wire.until(lambda i=i: len(wire.replies) == i + 1)
        assert wire.requests[i].target == b"/%d" % i
        wire.replies[i](Response(200, b"%d" % i))
    assert [(await peer.response())[2] for _ in range(40)] == [b"%d" % i for i in range(40)]


async def test_reading_pauses_beyond_the_pipelining_depth_and_nothing_is_lost(start):
    wire = await start(Limits(pipelining=2), held=True)
    peer = await wire.connect()
    count = 1000
    sending = asyncio.ensure_future(peer.send(post(b"x" * 20_000) * count))
    await asyncio.sleep(0.2)
    assert not sending.done(), "the server read everything though nothing was answered"
    for i in range(count):
        await wire.until(lambda i=i: len(wire.replies) > i)
        wire.replies[i](Response(200))
    for _ in range(count):
        assert (await peer.response())[0] == 200
    await sending


async def test_one_connection_full_of_requests_does_not_keep_others_waiting(start):
    wire = await start(Limits(pipelining=4))
    busy, other = await wire.connect(), await wire.connect()
    await busy.send(GET * 2000)
    await other.send(GET.replace(b"/x", b"/other"))
    assert (await other.response())[0] == 200
    order = [request.target for request in wire.requests]
    assert order.index(b"/other") < 1000
    for _ in range(2000):
        assert (await busy.response())[0] == 200


async def test_a_second_answer_to_a_request_goes_nowhere(start):
    wire = await start(held=True)
    peer = await wire.connect()
    await peer.send(GET + GET)
    await wire.until(lambda: len(wire.replies) == 1)
    wire.replies[0](Response(200, b"one"))
    wire.replies[0](Response(200, b"again"))
    wire.replies[1](Response(200, b"two"))
    assert [(await peer.response())[2] for _ in range(2)] == [b"one", b"two"]


async def test_head_has_the_length_and_no_body(start):
    peer = await (await start()).connect()
    await peer.send(b"HEAD /x HTTP/1.1\r\n" + HOST + b"\r\n")
    head = await asyncio.wait_for(peer.reader.readuntil(b"\r\n\r\n"), 5)
    assert b"content-length: 3\r\n" in head
    await peer.send(GET)
    assert (await peer.response())[2] == b"/x|"


async def test_a_chunked_body_is_joined_and_trailers_are_dropped(start):
    wire = await start()
    peer = await wire.connect()
    await peer.send(
        b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nX-Trailer: no\r\n\r\n"
    )
    assert (await peer.response())[2] == b"/p|abcdefg"
    assert wire.requests[0].header(b"x-trailer") is None


async def test_expect_100_continue_is_answered_before_the_body(start):
    peer = await (await start()).connect()
    await peer.send(
        b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    assert await asyncio.wait_for(peer.reader.readuntil(b"\r\n\r\n"), 5) == (
        b"HTTP/1.1 100 Continue\r\n\r\n"
    )
    await peer.send(b"ok")
    assert (await peer.response())[2] == b"/p|ok"


async def test_100_continue_waits_for_the_answers_before_it(start):
    wire = await start(held=True)
    peer = await wire.connect()
    expecting = b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    await peer.send(GET + expecting)
    await wire.until(lambda: len(wire.replies) == 1)
    wire.replies[0](Response(200, b"first"))
    assert (await peer.response())[2] == b"first"
    assert (await peer.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")


async def test_an_offer_to_upgrade_is_declined_and_the_body_read(start):
    peer = await (await start()).connect()
    offer = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAA")
    await peer.send(post(b"abc", *offer) + GET)
    assert (await peer.response())[2] == b"/p|abc"
    assert (await peer.response())[2] == b"/x|"


async def test_connection_close_is_honoured(start):
    peer = await (await start()).connect()
    await peer.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
    answer = await peer.rest()
    assert b"connection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1


async def test_http_1_0_needs_no_host_and_closes(start):
    peer = await (await start()).connect()
    await peer.send(b"GET /x HTTP/1.0\r\n\r\n")
    assert (await peer.rest()).endswith(b"/x|")


async def test_a_half_closed_peer_still_gets_its_answer(start):
    wire = await start(held=True)
    peer = await wire.connect()
    await peer.send(GET)
    peer.writer.write_eof()
    await wire.until(lambda: len(wire.replies) == 1)
    await asyncio.sleep(0.05)
    wire.replies[0](Response(200, b"late"))
    assert (await peer.rest()).endswith(b"late")


REFUSED = {
    "content-length beside transfer-encoding": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" + CHUNKED + b"0\r\n\r\n",
        400,
    ),
    "transfer-encoding beside content-length": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        400,
    ),
    "two lengths, even equal": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        400,
    ),
    "a list of lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    "a signed length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    "a negative length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", 400),
    "a length beyond 64 bits": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        400,
    ),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "a bare line feed after a header": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    "a bare carriage return in a header": (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400),
    "a folded header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
    "a blank before the colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "a nul in a header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
    "an unknown coding": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "a coding that only looks like chunked": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "a coding in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a chunk size that is no number": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        400,
    ),
    "chunked twice": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + CHUNKED + b"0\r\n\r\n",
        400,
    ),
    "chunked hidden by a vertical tab": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunked on a folded line": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "identity": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\nabc",
        501,
    ),
    "a blank before the coding's colon": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a hexadecimal length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400),
    "an empty length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400),
    "two lengths that differ": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        400,
    ),
    "a chunk size beyond 64 bits": (
        b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        400,
    ),
    "a negative chunk size": (
        b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
        400,
    ),
    "a chunk longer than its size": (
        b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
        400,
    ),
    "a chunk size ended by a bare line feed": (
        b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"3\nabc\r\n0\r\n\r\n",
        400,
    ),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "HTTP/2 by a preface that is none": (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 400),
    "a method that is no word": (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a proxy's CONNECT": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "another expectation": (
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\nx",
        417,
    ),
}


@pytest.mark.parametrize("row", REFUSED, ids=list(REFUSED))
async def test_a_faulty_request_is_refused_and_nothing_after_it_is_read(start, row):
    data, status = REFUSED[row]
    wire = await start()
    peer = await wire.connect()
    await peer.send(data + GET)
    answer = await peer.response()
    assert answer[0] == status
    assert answer[2].startswith(b'{"error":"')
    assert answer[1]["connection"] == "close"
    peer.writer.write_eof()
    assert await peer.rest() == b""
    assert wire.requests == []


async def test_a_refusal_comes_after_the_answers_before_it(start):
    wire = await start(held=True)
    peer = await wire.connect()
    await peer.send(GET + b"junk\r\n\r\n")
    await wire.until(lambda: len(wire.replies) == 1)
    await asyncio.sleep(0.05)
    wire.replies[0](Response(200, b"first"))
    assert (await peer.response())[2] == b"first"
    assert (await peer.response())[0] == 400


async def test_an_application_that_raises_answers_500(start):
    wire = await start()

    def broken(request, reply):
        raise RuntimeError("no")

    wire.listener._submit = broken
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    peer = await wire.connect()
    await peer.send(GET)
    assert (await peer.response())[0] == 500


async def test_a_header_with_a_line_break_is_not_sent(start):
    wire = await start(held=True)
    peer = await wire.connect()
    await peer.send(GET)
    await wire.until(lambda: len(wire.replies) == 1)
    with pytest.raises(ValueError, match="line break"):
        wire.replies[0](Response(200, headers=((b"x", b"a\r\nset-cookie: b"),)))
    wire.replies[0](Response(500))
    assert (await peer.response())[0] == 500
