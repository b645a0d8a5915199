"""HTTP/2 on a real socket: the same application, real peers, deadlines, drain."""

from __future__ import annotations

import asyncio
import shutil
import socket

import h2.config
import h2.connection
import h2.events
import pytest

from sampan.wire.http2_frames import HEAD, PREFACE, Kind, frame, settings
from sampan.wire.limits import Limits
from sampan.wire.message import Response

GREETING = PREFACE + settings({})
POST = [(":method", "POST"), (":scheme", "http"), (":path", "/x?y"), (":authority", "a")]


class Client:
    """An `h2` client on a socket."""

    def __init__(self, peer) -> None:
        self.peer = peer
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.events = []
        self.said_all = False

    async def flush(self) -> None:
        data = self.h2.data_to_send()
        if not self.said_all:
            await self.peer.send(data)

    def say_no_more(self) -> None:
        """Half-close."""
        self.said_all = True
        self.peer.writer.write_eof()

    async def request(self, body: bytes = b"", fields=POST, *, ends: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, fields, end_stream=ends and not body)
        if body:
            self.h2.send_data(stream, body, end_stream=ends)
        await self.flush()
        return stream

    async def until(self, kind: type, seconds: float = 5.0):
        """Read until the client is told of an event of this kind; None when the server closes."""
        async with asyncio.timeout(seconds):
            while True:
                found = next((event for event in self.events if isinstance(event, kind)), None)
                if found is not None:
                    self.events.remove(found)
                    return found
                data = await self.peer.reader.read(65536)
                if not data:
                    return None
                self.events += self.h2.receive_data(data)
                await self.flush()

    async def status(self) -> str:
        response = await self.until(h2.events.ResponseReceived)
        return dict(response.headers)[":status"]


@pytest.fixture
async def connect(start):
    """Start a listener and connect an `h2` client to it."""

    async def connected(limits: Limits | None = None, *, held: bool = False):
        wire = await start(limits, held=held)
        return wire, Client(await wire.connect())

    return connected


async def test_the_application_sees_the_same_request_as_from_http1(connect):
    wire, client = await connect()
    await client.request(b"body", [*POST, ("x-a", "1")])
    response = await client.until(h2.events.ResponseReceived)
    assert (await client.until(h2.events.DataReceived)).data == b"/x?y|body"
    (request,) = wire.requests
    assert (request.method, request.target, request.body) == (b"POST", b"/x?y", b"body")
    assert request.headers == [(b"host", b"a"), (b"x-a", b"1")]
    fields = dict(response.headers)
    assert (fields[":status"], fields["content-length"]) == ("200", "9")
    assert fields["date"].endswith("GMT")


async def test_answers_overtake_each_other(connect):
    wire, client = await connect(held=True)
    first, second = await client.request(b"1"), await client.request(b"2")
    await wire.until(lambda: len(wire.replies) == 2)
    wire.replies[1](Response(200, b"two"))
    assert (await client.until(h2.events.StreamEnded)).stream_id == second
    wire.replies[0](Response(200, b"one"))
    wire.replies[0](Response(500, b"again"))
    assert (await client.until(h2.events.StreamEnded)).stream_id == first


async def test_pieces_are_sent_as_they_come_and_end_when_the_peer_leaves(connect):
    wire, client = await connect(held=True)
    stream = await client.request()
    await wire.until(lambda: bool(wire.replies))
    closed = asyncio.Event()

    async def pieces():
        try:
            yield b"one"
            await asyncio.sleep(60)
        finally:
            closed.set()

    wire.replies[0](Response(200, content_type=b"text/event-stream", chunks=pieces()))
    assert (await client.until(h2.events.DataReceived)).data == b"one"
    client.h2.reset_stream(stream)
    await client.flush()
    await asyncio.wait_for(closed.wait(), 5)


async def test_a_body_above_the_limit_is_413_and_the_connection_goes_on(connect):
    _, client = await connect(Limits(body_bytes=10))
    await client.request(bytes(11))
    assert await client.status() == "413"
    await client.request(b"", [*POST, ("content-length", "11")], ends=False)
    assert await client.status() == "413"
    await client.request(b"ok")
    assert await client.status() == "200"


async def test_unfinished_bodies_of_a_connection_have_a_limit_together(connect):
    _, client = await connect(Limits(connection_bytes=30_000))
    for _ in range(3):
        await client.request(bytes(12_000), ends=False)
    assert await client.status() == "503"


async def test_a_slow_body_is_408(connect):
    _, client = await connect(Limits(body_seconds=0.1, body_rate=1 << 30))
    await client.request(b"x", ends=False)
    assert await client.status() == "408"


async def test_who_does_not_finish_its_preface_is_let_go(start):
    wire = await start(Limits(header_seconds=0.1))
    for said in (PREFACE[:10], PREFACE, GREETING + b"\0\0\1\1\0\0\0\0\1\x82"):
        peer = await wire.connect()
        await peer.send(said)
        await peer.rest(3)


async def test_an_idle_connection_is_told_goodbye(connect):
    _, client = await connect(Limits(http2_idle_seconds=0.1, idle_seconds=0.1))
    await client.request(b"x")
    assert await client.status() == "200"
    ended = await client.until(h2.events.ConnectionTerminated, 3)
    assert ended.error_code == 0


async def test_who_sends_no_more_gets_its_answers_and_then_the_end(connect):
    wire, client = await connect(held=True)
    await client.request(b"whole")
    cut = await client.request(b"cut off", ends=False)
    await wire.until(lambda: bool(wire.replies))
    client.say_no_more()
    assert (await client.until(h2.events.StreamReset)).stream_id == cut
    wire.replies[0](Response(200, b"late"))
    assert (await client.until(h2.events.DataReceived)).data == b"late"
    assert await client.until(h2.events.ConnectionTerminated) is None  # closed, and no more


async def test_who_sends_no_more_and_waits_for_nothing_is_let_go(connect):
    _, client = await connect()
    await client.request(b"x")
    assert await client.status() == "200"
    client.say_no_more()
    assert await client.until(h2.events.ConnectionTerminated) is None


async def test_a_reply_knows_when_nobody_waits_for_it(connect):
    wire, client = await connect(held=True)
    stream = await client.request(b"x")
    await client.request(b"y")
    await wire.until(lambda: len(wire.replies) == 2)
    assert not any(reply.gone() for reply in wire.replies)
    client.h2.reset_stream(stream)
    await client.flush()
    await wire.until(wire.replies[0].gone)
    assert not wire.replies[1].gone()
    client.peer.writer.close()
    await wire.until(wire.replies[1].gone)


async def test_who_opens_no_window_for_its_answer_is_reset(connect):
    wire, client = await connect(Limits(write_seconds=0.2), held=True)
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    await client.request()
    await wire.until(lambda: bool(wire.replies))
    await client.until(h2.events.SettingsAcknowledged)
    wire.replies[0](Response(200, b"held"))
    assert (await client.until(h2.events.StreamReset)).error_code == 8


async def read_frames(peer, count: int) -> list[tuple[int, int, int, bytes]]:
    """Return the next frames: kind, flags, stream, payload. (`h2` hears nothing after a GOAWAY.)"""
    frames = []
    async with asyncio.timeout(5):
        while len(frames) < count:
            high, low, kind, flags, stream = HEAD.unpack(await peer.reader.readexactly(9))
            payload = await peer.reader.readexactly(high << 16 | low)
            frames.append((kind, flags, stream, payload))
    return frames


async def test_draining_answers_what_is_going_on_and_refuses_what_comes_too_late(start):
    wire = await start(held=True)
    peer = await wire.connect()
    block = b"\x83\x86\x84"  # POST http /
    await peer.send(GREETING + frame(Kind.HEADERS, 5, 1, block))
    await wire.until(lambda: bool(wire.replies))
    await read_frames(peer, 3)  # SETTINGS, WINDOW_UPDATE, the acknowledgement
    draining = asyncio.ensure_future(wire.listener.drain(5))
    goodbye, ping = await read_frames(peer, 2)
    assert goodbye == (Kind.GOAWAY, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0")
    await peer.send(frame(Kind.HEADERS, 5, 3, block) + frame(Kind.PING, 1, 0, ping[3]))
    assert await read_frames(peer, 1) == [(Kind.GOAWAY, 0, 0, b"\0\0\0\3\0\0\0\0")]
    await peer.send(frame(Kind.HEADERS, 5, 5, block))
    assert await read_frames(peer, 1) == [(Kind.RST_STREAM, 0, 5, b"\0\0\0\7")]
    for reply in wire.replies:
        reply(Response(200, b"done"))
    assert [row[2] for row in await read_frames(peer, 4)] == [1, 1, 3, 3]
    assert await draining == 0


async def test_resets_end_with_enhance_your_calm(connect):
    _, client = await connect(Limits(resets=20), held=True)
    for _ in range(22):
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, POST)
        client.h2.reset_stream(stream)
    await client.flush()
    assert (await client.until(h2.events.ConnectionTerminated)).error_code == 11


async def test_a_peer_that_leaves_early_harms_nobody(connect):
    wire, client = await connect(held=True)
    await client.request(b"1")
    await wire.until(lambda: bool(wire.replies))
    sock = client.peer.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.peer.writer.close()
    await asyncio.sleep(0.05)
    wire.replies[0](Response(200, b"late"))


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    return out.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("flag", "version"),
    [("--http2-prior-knowledge", "2"), ("--http2", "1.1"), ("--http1.1", "1.1")],
    ids=["prior knowledge", "Upgrade: h2c, not taken up", "HTTP/1.1"],
)
async def test_curl_is_answered_in_its_http(start, flag, version):
    wire = await start()
    url = "http://{}:{}/p".format(*wire.listener.address)
    out = await run("curl", "-s", flag, "-d", "hi", "-w", " %{http_version}", url)
    assert out == f"/p|hi {version}"


@pytest.mark.skipif(shutil.which("nghttp") is None, reason="nghttp is not installed")
async def test_nghttp_is_answered(start, tmp_path):
    wire = await start()
    body = tmp_path / "body"
    body.write_bytes(b"z" * 300_000)
    out = await run("nghttp", "-d", str(body), "http://{}:{}/p".format(*wire.listener.address))
    assert len(out) == 300_003


@pytest.mark.parametrize("when", ["before the end", "after the end"])
async def test_who_sends_no_more_and_opened_no_window_is_let_go_at_once(connect, when):
    wire, client = await connect(held=True)
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1})
    stream = await client.request()
    await wire.until(lambda: bool(wire.replies))
    await client.until(h2.events.SettingsAcknowledged)
    if when == "before the end":
        wire.replies[0](Response(200, b"held"))
    client.say_no_more()
    if when == "after the end":
        await wire.until(wire.replies[0].gone)
        wire.replies[0](Response(200, b"held"))
    assert (await client.until(h2.events.StreamReset)).stream_id == stream
    assert await client.until(h2.events.ConnectionTerminated) is None
