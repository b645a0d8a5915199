"""A head that came before means what it meant: known or parsed, the same bytes are one request."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.wire.head import Head
from sampan.wire.http1 import Http1
from sampan.wire.known_head import VARYING, learn
from sampan.wire.limits import Limits
from sampan.wire.message import Request, Response

LIMITS = Limits(body_bytes=1000, header_bytes=4096)
GATEWAY = (
    b"POST /v1/models/iris:predict HTTP/1.1\r\n"
    b"host: iris.default.localhost\r\n"
    b"content-type: application/json\r\n"
    b"user-agent: curl/8.14\r\n"
    b"x-request-id: 6f9ab1\r\n"
    b"Traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 \r\n"
    b"accept: */*\r\n"
    b"content-length: 4\r\n\r\n"
)
PLAIN = b"GET /v2/health/ready HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"


class Transport(asyncio.Transport):
    """The edge: takes what is written."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data):
        self.written += data

    def write_eof(self):
        self.closed = True

    close = abort = write_eof

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


class Host:
    """What a listener is to a connection."""

    limits = LIMITS
    now = 0.0
    draining = False

    def __init__(self):
        self.head = Head()

    def opened(self, _connection):
        return True

    def closed(self, connection):
        pass


def exchange(messages, *, whole):
    """Return what the application saw, what was written, and whether the connection ended.

    In two pieces a request is never known: its head does not arrive whole.
    """
    seen = []

    def submit(request, reply):
        texts = dict(request.texts())
        seen.append((request.method, request.target, list(request.headers), request.body, texts))
        request.add(b"x-of-the-application", b"1")  # must not come back with the next one
        reply(Response(200, request.body, b"text/plain"))

    loop = asyncio.new_event_loop()
    connection, transport = Http1(Host(), submit, loop), Transport()
    connection.connection_made(transport)
    for message in messages:
        for piece in [message] if whole else [message[:1], message[1:]]:
            if piece:
                connection.data_received(piece)
    loop.close()
    return seen, transport.written, transport.closed


def known(head, body):
    """Return the head as a connection would know it."""
    requests = []
    loop = asyncio.new_event_loop()
    connection = Http1(Host(), lambda request, _: requests.append(request), loop)
    connection.connection_made(Transport())
    connection.data_received(head + body)
    loop.close()
    return learn(head + body, requests[0], LIMITS)


@st.composite
def repeats(draw):
    """Draw requests that begin with a head that came before, some of them a little different."""
    head = draw(st.sampled_from([GATEWAY, GATEWAY, PLAIN]))
    body = b"[12]" if head is GATEWAY else b""
    messages = [head + body] * 3
    for _ in range(draw(st.integers(1, 4))):
        message = bytearray(head + body)
        for place, byte in draw(
            st.lists(
                st.tuples(st.integers(0, 400), st.sampled_from(b"\r\n\0 :\t;aZ0\xff\x7f")),
                max_size=2,
            )
        ):
            message[place % len(message)] = byte
        name = draw(st.sampled_from([b"x-request-id: ", b"content-length: ", b"user-agent: "]))
        value = draw(st.sampled_from([b"7", b"0", b"4", b"04", b"+4", b"a b", b"4 ", b"", b"1001"]))
        changed = bytes(message)
        if draw(st.booleans()) and name in changed:
            start = changed.index(name) + len(name)
            changed = changed[:start] + value + changed[changed.index(b"\r", start) :]
        messages += [changed + draw(st.sampled_from([b"", b"", b"more", head + body])), head + body]
    return messages


@settings(max_examples=400, deadline=None)
@given(repeats())
def test_a_known_head_is_read_as_a_parsed_one(messages):
    assert exchange(messages, whole=True) == exchange(messages, whole=False)


@pytest.mark.parametrize(
    ("head", "body", "later"),
    [
        pytest.param(PLAIN, b"", PLAIN, id="the same without a body"),
        pytest.param(GATEWAY, b"[12]", GATEWAY + b"[34]", id="the same with another body"),
        pytest.param(
            GATEWAY,
            b"[12]",
            GATEWAY.replace(b"6f9ab1", b"another-id").replace(b"length: 4", b"length: 6")
            + b"[5678]",
            id="another request id and length, as a gateway sends them",
        ),
    ],
)
def test_what_repeats_is_known(head, body, later):
    request = known(head, body).read(later)
    assert request is not None
    assert request.body == later.partition(b"\r\n\r\n")[2]
    assert request.texts() == {k.decode(): v.decode() for k, v in request.headers}


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(GATEWAY, id="the body is still to come"),
        pytest.param(GATEWAY + b"[12]G", id="the next request has begun"),
        pytest.param(GATEWAY.replace(b"iris:", b"lily:") + b"[12]", id="another target"),
        pytest.param(GATEWAY.replace(b"/json", b"/cbor") + b"[12]", id="a header that matters"),
        pytest.param(GATEWAY.replace(b"6f9ab1", b"a\nb: c") + b"[12]", id="a bare line feed"),
        pytest.param(GATEWAY.replace(b"6f9ab1", b"\xe9") + b"[12]", id="what is not plain text"),
        pytest.param(GATEWAY.replace(b"length: 4", b"length: +4") + b"[12]", id="a signed length"),
        pytest.param(
            GATEWAY.replace(b"length: 4", b"length: 1001") + b"1" * 1001, id="a body too large"
        ),
        pytest.param(GATEWAY.replace(b"6f9ab1", b"a" * 2048) + b"[12]", id="a head grown large"),
        pytest.param(GATEWAY.replace(b"accept", b"expect") + b"[12]", id="another header's name"),
    ],
)
def test_what_differs_is_left_to_the_parser(later):
    assert known(GATEWAY, b"[12]").read(later) is None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(PLAIN.replace(b"keep-alive", b"close"), id="the last of its connection"),
        pytest.param(PLAIN.replace(b"1.1", b"1.0"), id="HTTP/1.0"),
        pytest.param(PLAIN.replace(b"keep-alive", b"x-other"), id="a connection option"),
        pytest.param(PLAIN.replace(b"Host: a", b"Host: a\r\nExpect: 100-continue"), id="Expect"),
        pytest.param(PLAIN.replace(b"Host: a", b"Host: a\r\nTrailer: b"), id="trailers"),
        pytest.param(
            PLAIN.replace(b"Host: a", b"Host: a\r\nUser-Agent: a\r\nUser-Agent: b"),
            id="a header that may vary, twice",
        ),
        pytest.param(PLAIN.replace(b"Host: a", b"Host: " + b"a" * 2048), id="a large head"),
    ],
)
def test_what_is_unusual_is_never_known(head):
    assert known(head, b"") is None


def test_more_than_one_request_at_once_teaches_nothing():
    request = Request(b"GET", b"/v2/health/ready", [(b"host", b"a")], b"")
    head = b"GET /v2/health/ready HTTP/1.1\r\nHost: a\r\n\r\n"
    assert learn(head, request, LIMITS) is not None
    assert learn(head + head, request, LIMITS) is None


def test_a_note_lasts_from_request_to_request_and_ends_with_its_head():
    head = known(GATEWAY, b"[12]")
    first = head.read(GATEWAY + b"[34]")
    varied = head.read(GATEWAY.replace(b"6f9ab1", b"b") + b"[56]")
    assert first.note is varied.note
    assert known(GATEWAY, b"[12]").read(GATEWAY + b"[34]").note is not first.note


def test_what_may_vary_has_no_say_in_framing_but_the_length():
    framing = {b"host", b"connection", b"transfer-encoding", b"expect", b"upgrade", b"te"}
    assert not VARYING & framing
