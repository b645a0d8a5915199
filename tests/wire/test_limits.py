"""Every limit, crossed on a real socket: an answer or a closed connection, never a hang."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from pathlib import Path

import pytest

from sampan.wire.limits import Limits
from sampan.wire.message import Response

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("split", [True, False], ids=["in pieces", "at once"])
async def test_headers_larger_than_the_limit_are_refused(start, split):
    wire = await start(Limits(header_bytes=1000))
    peer = await wire.connect()
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 2000
    for piece in (
        [head[i : i + 100] for i in range(0, len(head), 100)] if split else [head + b"\r\n\r\n"]
    ):
        await peer.send(piece)
        await asyncio.sleep(0)
    assert (await peer.response())[0] == 431


async def test_a_header_that_never_ends_is_refused(start):
    wire = await start(Limits(header_bytes=10_000))
    peer = await wire.connect()
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
    with pytest.raises((ConnectionError, TimeoutError)):  # noqa: PT012  # refused while sending
        async with asyncio.timeout(5):
            while True:
                await peer.send(b"y" * 5000)
                if peer.reader._buffer:
                    raise TimeoutError
    assert (await peer.response())[0] == 431


async def test_more_headers_than_the_limit_are_refused(start):
    wire = await start(Limits(header_count=10))
    peer = await wire.connect()
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10 + b"\r\n")
    assert (await peer.response())[0] == 431


async def test_100_megabytes_announced_are_refused_before_they_are_sent(start):
    peer = await (await start()).connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n")
    status, _, body = await peer.response()
    assert status == 413
    assert b"67108864" in body


async def test_a_client_that_sends_100_megabytes_all_the_same_still_reads_the_413(start):
    peer = await (await start()).connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(100):
        await peer.send(b"x" * (1 << 20))
    assert (await peer.response())[0] == 413


async def test_who_goes_on_sending_after_a_refusal_is_cut_off(start):
    wire = await start(Limits(body_bytes=10, linger_seconds=0.1))
    peer = await wire.connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
    assert (await peer.response())[0] == 413

    async def go_on() -> None:
        for _ in range(1000):
            await peer.send(b"x")
            await asyncio.sleep(0.01)

    with pytest.raises(ConnectionError):
        await go_on()


@pytest.mark.parametrize("limit", [field.name for field in fields(Limits)])
def test_each_limit_is_crossed_by_a_test(limit):
    tests = Path(__file__).parents[1]
    found = [p for f in ("wire", "server") for p in (tests / f).glob("test_*.py")]
    assert any(f"{limit}=" in path.read_text() for path in found)


async def test_a_chunked_body_is_refused_where_it_crosses_the_limit(start):
    wire = await start(Limits(body_bytes=1000))
    peer = await wire.connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await peer.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
    assert (await peer.response())[0] == 413
    assert wire.requests == []


async def test_a_body_of_exactly_the_limit_passes(start):
    peer = await (await start(Limits(body_bytes=1000))).connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    assert (await peer.response())[0] == 200


async def test_an_idle_connection_is_closed_without_a_word(start):
    peer = await (await start(Limits(idle_seconds=0.1))).connect()
    await peer.send(GET)
    await peer.response()
    assert await peer.rest() == b""


async def test_headers_that_drip_are_refused(start):
    peer = await (await start(Limits(header_seconds=0.2))).connect()
    await peer.send(b"GET / HTT")
    assert (await peer.response())[0] == 408


async def test_a_body_that_drips_is_refused(start):
    peer = await (await start(Limits(body_seconds=0.2))).connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
    assert (await peer.response())[0] == 408


async def test_a_slow_body_above_the_rate_passes(start):
    peer = await (await start(Limits(body_seconds=0.1, body_rate=1000))).connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(10):
        await peer.send(b"x" * 100)
        await asyncio.sleep(0.03)
    assert (await peer.response())[0] == 200


async def test_a_model_may_take_longer_than_every_timeout(start):
    limits = Limits(idle_seconds=0.1, header_seconds=0.1, body_seconds=0.1, write_seconds=0.1)
    wire = await start(limits, held=True)
    peer = await wire.connect()
    await peer.send(GET)
    await wire.until(lambda: len(wire.replies) == 1)
    await asyncio.sleep(0.4)
    wire.replies[0](Response(200, b"at last"))
    assert (await peer.response())[2] == b"at last"


async def test_a_peer_that_does_not_read_is_cut_off(start):
    wire = await start(Limits(write_seconds=0.2, write_buffer=1000), held=True)
    peer = await wire.connect()
    await peer.send(GET * 3)
    await wire.until(lambda: len(wire.replies) == 1)
    wire.replies[0](Response(200, b"x" * 30_000_000))
    await asyncio.sleep(0.05)
    assert len(wire.replies) == 1, "a further request was taken while the peer did not read"
    await wire.until(lambda: not wire.listener._connections)


async def test_one_connection_too_many_is_told_so(start):
    wire = await start(Limits(connections=1))
    first = await wire.connect()
    await first.send(GET)
    await first.response()
    second = await wire.connect()
    assert (await second.response())[0] == 503
    await first.send(GET)
    assert (await first.response())[0] == 200


async def test_draining_finishes_what_is_in_flight_and_closes_the_idle(start):
    wire = await start(held=True)
    idle, busy = await wire.connect(), await wire.connect()
    await busy.send(GET)
    await wire.until(lambda: len(wire.replies) == 1)
    address = wire.listener.address
    draining = asyncio.ensure_future(wire.listener.drain(5))
    assert await idle.rest() == b""
    with pytest.raises(OSError):
        await asyncio.open_connection(*address)
    assert not draining.done()
    wire.replies[0](Response(200, b"done"))
    answer = await busy.rest()
    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"done")
    assert await draining == 0


async def test_draining_takes_a_request_whose_body_is_still_arriving(start):
    wire = await start()
    peer = await wire.connect()
    await peer.send(b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    await asyncio.sleep(0.05)
    draining = asyncio.ensure_future(wire.listener.drain(5))
    await asyncio.sleep(0.05)
    await peer.send(b"cd")
    assert (await peer.rest()).endswith(b"/p|abcd")
    assert await draining == 0


async def test_draining_cuts_off_after_the_grace_period(start):
    wire = await start(held=True)
    peer = await wire.connect()
    await peer.send(GET)
    await wire.until(lambda: len(wire.replies) == 1)
    assert await wire.listener.drain(0.1) == 1
