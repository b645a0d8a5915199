"""The HTTP/2 connection without I/O, against `h2` as client and against bytes that nobody sends."""

from __future__ import annotations

from itertools import pairwise

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.wire.http2_connection import Connection
from sampan.wire.http2_events import Ended, Opened, Received, Reset
from sampan.wire.http2_frames import PREFACE, Code, Kind, frame
from sampan.wire.http2_frames import reset as reset_frame
from sampan.wire.http2_frames import settings as settings_frame
from sampan.wire.http2_head import encode_fields, encode_response
from sampan.wire.limits import Limits

POST = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "a")]
GREETING = PREFACE + settings_frame({})


class Pair:
    """An `h2` client and our connection, wired back to back."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.server = Connection(limits or Limits())
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.client = h2.connection.H2Connection(config)
        self.client.initiate_connection()
        self.events = []
        self.told = []
        self.exchange()

    def exchange(self) -> None:
        """Carry bytes both ways until neither side has any."""
        while True:
            up, down = self.client.data_to_send(), self.server.outbound.take()
            if not up and not down:
                return
            self.events += self.server.receive(up)
            self.told += self.client.receive_data(down)

    def of(self, kind: type) -> list:
        """Return what the client was told of one kind."""
        return [event for event in self.told if isinstance(event, kind)]


def request(pair: Pair, body: bytes, fields=POST):
    stream = pair.client.get_next_available_stream_id()
    pair.client.send_headers(stream, fields, end_stream=not body)
    while body:
        size = min(len(body), pair.client.local_flow_control_window(stream), 16384)
        if not size:
            pair.exchange()
            for event in pair.events:
                if isinstance(event, Received) and event.size and not event.stream.remote_closed:
                    pair.server.inbound.credit(event.stream, event.stream.unread)
            pair.exchange()
            continue
        pair.client.send_data(stream, body[:size], end_stream=size == len(body))
        body = body[size:]
    pair.exchange()
    return stream


def body_of(pair: Pair, number: int) -> bytes:
    return b"".join(
        e.data for e in pair.events if isinstance(e, Received) and e.stream.id == number
    )


@pytest.mark.parametrize("size", [0, 1, 16384, 100_000, 3_000_000])
def test_a_request_of_h2_arrives_whole_through_our_windows(size):
    pair = Pair()
    number = request(pair, bytes(size))
    opened = next(event for event in pair.events if isinstance(event, Opened))
    assert (opened.head.method, opened.head.target, opened.stream.id) == (b"POST", b"/x", number)
    assert opened.head.headers == [(b"host", b"a")]
    assert len(body_of(pair, number)) == size


@pytest.mark.parametrize("size", [0, 1, 70_000, 1_000_000])
def test_a_response_reaches_h2_through_its_windows(size):
    pair = Pair()
    request(pair, b"")
    stream = pair.events[-1].stream
    head = encode_response(200, b"text/plain", size, ((b"x-a", b"1"),))
    pair.server.outbound.respond(stream, head, b"z" * size, encode_fields(((b"t", b"v"),)))
    got = 0
    for _ in range(1000):
        pair.exchange()
        for event in pair.of(h2.events.DataReceived)[got:]:
            pair.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            got += 1
        if pair.of(h2.events.StreamEnded):
            break
    data = b"".join(e.data for e in pair.of(h2.events.DataReceived))
    assert data == b"z" * size
    (response,) = pair.of(h2.events.ResponseReceived)
    assert (b"x-a", b"1") in response.headers
    assert [t.headers for t in pair.of(h2.events.TrailersReceived)] == [[(b"t", b"v")]]
    assert not pair.server.streams


def test_streams_share_the_connection_in_turn():
    pair = Pair()
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 200_000})
    for _ in range(2):
        request(pair, b"")
    for event in [e for e in pair.events if isinstance(e, Opened)]:
        pair.server.outbound.respond(event.stream, encode_response(200, b"", -1, ()), b"z" * 60_000)
    pair.exchange()
    sizes = {1: 0, 3: 0}
    for event in pair.of(h2.events.DataReceived):
        sizes[event.stream_id] += len(event.data)
    assert sizes[3] > 0  # the connection's 65,535 bytes are not the first stream's alone


def client_bytes() -> bytes:
    """Return what an `h2` client sends for two requests, one with trailers, and a ping."""
    config = h2.config.H2Configuration(client_side=True)
    client = h2.connection.H2Connection(config)
    client.initiate_connection()
    client.send_headers(1, POST)
    client.send_data(1, b"a" * 9000, pad_length=7)
    client.send_headers(1, [("x", "y")], end_stream=True)
    client.ping(b"12345678")
    client.send_headers(3, [*POST, ("k", "v" * 50)])
    client.send_data(3, b"b" * 16384)
    client.send_data(3, b"c", end_stream=True)
    return client.data_to_send()


def flattened(pieces: list[bytes]) -> tuple[list, bytes]:
    """Return what events come to, however the bodies were cut, and what was sent."""
    connection = Connection(Limits())
    told, bodies = [], {}
    for piece in pieces:
        for event in connection.receive(piece):
            if isinstance(event, Received):
                bodies[event.stream.id] = bodies.get(event.stream.id, b"") + event.data
                if event.ended:
                    told.append(("whole", event.stream.id, bodies[event.stream.id]))
            else:
                told.append((type(event).__name__, event.stream.id, event.head))
    return told, connection.outbound.take()


@given(st.lists(st.integers(0, 27_000), max_size=12))
@settings(max_examples=60, deadline=None)
def test_however_the_bytes_are_split_they_mean_the_same(cuts):
    whole = client_bytes()
    edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    pieces = [whole[a:b] for a, b in pairwise(edges)]
    assert flattened(pieces) == flattened([whole])
    assert [row[0] for row in flattened([whole])[0]] == ["Opened", "whole", "Opened", "whole"]


def test_byte_by_byte_means_the_same():
    whole = client_bytes()[:10_000]
    assert flattened([whole[i : i + 1] for i in range(len(whole))]) == flattened([whole])


@given(st.binary(max_size=400), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_it(junk, greeted):
    connection = Connection(Limits())
    connection.receive(GREETING + junk if greeted else junk)
    connection.outbound.take()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=40)
        ),
        max_size=12,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_sequence_of_frames_breaks_it(frames):
    connection = Connection(Limits())
    connection.receive(GREETING)
    for kind, flags, stream, payload in frames:
        connection.receive(frame(kind, flags, stream, payload))
        connection.outbound.take()
    assert len(connection.streams) <= Limits().streams


def block(*fields: tuple[str, str]) -> bytes:
    return hpack.Encoder().encode(fields or POST, huffman=False)


def headers(stream: int = 1, flags: int = 5, payload: bytes | None = None) -> bytes:
    return frame(Kind.HEADERS, flags, stream, block() if payload is None else payload)


FAULTS = {
    "no preface": (b"GET / HTTP/1.1\r\n\r\n......", Code.PROTOCOL_ERROR),
    "a first frame that is not SETTINGS": (PREFACE + frame(Kind.PING, 0, 0, bytes(8)), 1),
    "a frame above 16 KiB": (GREETING + bytes((1, 0, 0, 0, 0, 0, 0, 0, 1)), 6),
    "a stream with an even number": (GREETING + headers(2), 1),
    "a stream number that goes back": (GREETING + headers(5) + headers(3), 5),
    "HEADERS on stream 0": (GREETING + headers(0), 1),
    "DATA on stream 0": (GREETING + frame(Kind.DATA, 0, 0, b"x"), 1),
    "DATA on an idle stream": (GREETING + frame(Kind.DATA, 0, 1, b"x"), 1),
    "padding longer than its frame": (GREETING + frame(Kind.HEADERS, 0xC, 1, b"\xff" + block()), 1),
    "CONTINUATION without HEADERS": (GREETING + frame(Kind.CONTINUATION, 4, 1, block()), 1),
    "another frame inside a header block": (
        GREETING + headers(1, 1) + frame(Kind.PING, 0, 0, bytes(8)),
        1,
    ),
    "another stream's CONTINUATION": (
        GREETING + headers(1, 1) + frame(Kind.CONTINUATION, 4, 3, b""),
        1,
    ),
    "HPACK that is none": (GREETING + headers(payload=b"\xff\xff\xff\xff\xff\xff\xff"), 9),
    "an index that no table has": (GREETING + headers(payload=b"\xbf"), 9),
    "SETTINGS of five bytes": (GREETING + frame(Kind.SETTINGS, 0, 0, bytes(5)), 6),
    "an acknowledgement that says something": (GREETING + frame(Kind.SETTINGS, 1, 0, bytes(6)), 6),
    "SETTINGS on a stream": (GREETING + frame(Kind.SETTINGS, 0, 1, b""), 1),
    "an initial window above 2^31-1": (
        GREETING + frame(Kind.SETTINGS, 0, 0, b"\0\4\x80\0\0\0"),
        3,
    ),
    "a greatest frame below 16 KiB": (GREETING + frame(Kind.SETTINGS, 0, 0, b"\0\5\0\0\0\1"), 1),
    "PING of seven bytes": (GREETING + frame(Kind.PING, 0, 0, bytes(7)), 6),
    "a window opened by zero": (GREETING + frame(Kind.WINDOW_UPDATE, 0, 0, bytes(4)), 1),
    "a window opened beyond its end": (
        GREETING + frame(Kind.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
        3,
    ),
    "PUSH_PROMISE": (GREETING + frame(Kind.PUSH_PROMISE, 4, 1, bytes(4) + block()), 1),
    "RST_STREAM on an idle stream": (GREETING + reset_frame(1, Code.CANCEL), 1),
}


@pytest.mark.parametrize(("sent", "code"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_connection_ends_it(sent, code):
    connection = Connection(Limits())
    last = connection.receive(sent)[-1]
    assert isinstance(last, Ended)
    assert last.code == code
    assert connection.outbound.take()[-len(last.text) :] == last.text.encode()  # GOAWAY tells why
    assert connection.receive(headers(7)) == []


MALFORMED = {
    "a capital in a name": [*POST, ("X-A", "1")],
    "a blank in a name": [*POST, ("x a", "1")],
    "a line break in a value": [*POST, ("x", "1\r\ny: 2")],
    "a NUL in a value": [*POST, ("x", "a\0b")],
    "a blank before a value": [*POST, ("x", " 1")],
    "connection": [*POST, ("connection", "close")],
    "transfer-encoding": [*POST, ("transfer-encoding", "chunked")],
    "te other than trailers": [*POST, ("te", "gzip")],
    "no method": POST[1:],
    "no path": [POST[0], POST[1]],
    "an empty path": [POST[0], POST[1], (":path", "")],
    "a path without slash": [POST[0], POST[1], (":path", "x")],
    "a path with a line break": [POST[0], POST[1], (":path", "/\r\nx")],
    "a path twice": [*POST, (":path", "/y")],
    "a pseudo field after a field": [("x", "1"), *POST],
    "a pseudo field that is none": [*POST, (":status", "200")],
    "a length that is none": [*POST, ("content-length", "-1")],
    "two lengths": [*POST, ("content-length", "1"), ("content-length", "2")],
    "a length and no body": [*POST, ("content-length", "1")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_reset_and_the_next_is_served(fields):
    connection = Connection(Limits())
    connection.receive(GREETING)
    connection.outbound.take()
    assert connection.receive(headers(1, 5, block(*fields))) == []
    assert connection.outbound.take() == reset_frame(1, Code.PROTOCOL_ERROR)
    (opened,) = connection.receive(headers(3, 5, hpack.Encoder().encode([*POST, ("k", "v")])))
    assert (b"k", b"v") in opened.head.headers


def test_bodies_must_have_their_declared_length():
    for body, flags in ((b"abc", 1), (b"a", 1), (b"abc", 0)):
        connection = Connection(Limits())
        connection.receive(GREETING + headers(1, 4, block(*POST, ("content-length", "2"))))
        (event,) = connection.receive(frame(Kind.DATA, flags, 1, body))
        assert isinstance(event, Reset)


def test_equal_blocks_mean_other_headers_once_the_table_changed():
    """What was remembered of a block must not outlive the state that it was read in."""
    connection = Connection(Limits())
    connection.receive(GREETING)
    start, newest = b"\x83\x86\x84", b"\xbe"  # POST http /, and index 62 (RFC 7541)
    blocks = [start + newest]
    blocks = [start + b"\x40\x01x\x03one", *blocks, *blocks, start + b"\x40\x01x\x03two", *blocks]
    seen = []
    for number, encoded in enumerate(blocks):
        (opened,) = connection.receive(headers(2 * number + 1, 5, encoded))
        seen.append(dict(opened.head.headers)[b"x"])
    assert seen == [b"one", b"one", b"one", b"two", b"two"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_headers_are_those_that_were_sent_whatever_was_remembered(requests):
    encoder, connection = hpack.Encoder(), Connection(Limits())
    connection.receive(GREETING)
    encoder.header_table_size = 128  # so small that entries come and go
    for number, (name, value) in enumerate(requests):
        encoded = encoder.encode([*POST, (name, str(value) * 20)])
        (opened,) = connection.receive(headers(2 * number + 1, 5, encoded))
        assert opened.head.headers[1:] == [(name.encode(), str(value).encode() * 20)]
        connection.outbound.respond(opened.stream, encode_response(200, b"", 0, ()), b"")


# -- limits, each crossed ----------------------------------------------------------------------


def ended(connection: Connection, sent: bytes) -> Code | None:
    events = connection.receive(sent)
    return events[-1].code if events and isinstance(events[-1], Ended) else None


def test_streams_beyond_the_limit_are_refused():
    connection = Connection(Limits(streams=2))
    connection.receive(GREETING)
    connection.outbound.take()
    events = connection.receive(headers(1, 4) + headers(3, 4) + headers(5, 4))
    assert [event.stream.id for event in events] == [1, 3]
    assert connection.outbound.take() == reset_frame(5, Code.REFUSED_STREAM)


def test_rapid_resets_end_the_connection_and_time_forgives_them():
    connection = Connection(Limits(resets=10))
    connection.receive(GREETING)
    numbers = iter(range(1, 1000, 2))

    def open_and_reset(count: int) -> Code | None:
        return ended(
            connection,
            b"".join(
                headers(n) + reset_frame(n, Code.CANCEL)
                for n, _ in zip(numbers, range(count), strict=False)
            ),
        )

    assert open_and_reset(10) is None
    connection.forgive()
    assert open_and_reset(10) is None
    assert open_and_reset(1) is Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "nuisance",
    [
        frame(Kind.PING, 0, 0, bytes(8)),
        frame(Kind.SETTINGS, 0, 0),
        frame(Kind.PRIORITY, 0, 1, bytes(5)),
        frame(99, 0, 0, b"x"),
    ],
    ids=["PING", "SETTINGS", "PRIORITY", "unknown"],
)
def test_a_flood_without_requests_ends_the_connection(nuisance):
    connection = Connection(Limits(nuisances=50))
    connection.receive(GREETING)
    assert ended(connection, nuisance * 49) is None
    assert ended(connection, nuisance * 2) is Code.ENHANCE_YOUR_CALM


def test_empty_data_frames_are_a_flood():
    connection = Connection(Limits(nuisances=50))
    connection.receive(GREETING + headers(1, 4))
    assert ended(connection, frame(Kind.DATA, 0, 1) * 51) is Code.ENHANCE_YOUR_CALM


def test_endless_continuation_ends_the_connection():
    connection = Connection(Limits(continuations=4))
    connection.receive(GREETING + headers(1, 0, b""))
    one = frame(Kind.CONTINUATION, 0, 1, b"")
    assert ended(connection, one * 4) is None
    assert ended(connection, one) is Code.ENHANCE_YOUR_CALM


def test_a_header_block_above_the_limit_ends_the_connection():
    connection = Connection(Limits(header_bytes=1000))
    connection.receive(GREETING + headers(1, 0, b""))
    sent = frame(Kind.CONTINUATION, 0, 1, bytes(1001))
    assert ended(connection, sent) is Code.ENHANCE_YOUR_CALM


def test_an_hpack_bomb_ends_the_connection():
    """One entry of 4 KB, named 100 times in 100 bytes."""
    connection = Connection(Limits(header_bytes=16_384))
    connection.receive(GREETING)
    encoder = hpack.Encoder()
    bomb = encoder.encode([*POST, ("x", "y" * 4000)], huffman=False) + b"\xbe" * 100
    assert ended(connection, headers(1, 5, bomb)) is Code.ENHANCE_YOUR_CALM


def test_data_beyond_the_stream_window_resets_the_stream():
    connection = Connection(Limits(window=1000))
    connection.receive(GREETING + headers(1, 4))
    (event,) = connection.receive(frame(Kind.DATA, 0, 1, bytes(1001)))
    assert isinstance(event, Reset)
    assert event.code is Code.FLOW_CONTROL_ERROR


def test_data_beyond_the_connection_window_ends_the_connection():
    connection = Connection(Limits(connection_window=70_000))
    connection.receive(GREETING + headers(1, 4))
    piece = frame(Kind.DATA, 0, 1, bytes(16_000))
    assert ended(connection, piece * 4) is None
    assert ended(connection, piece) is Code.FLOW_CONTROL_ERROR


def test_a_reset_stream_gives_its_bytes_back():
    connection = Connection(Limits(connection_window=70_000))
    connection.receive(GREETING)
    for number in range(1, 60, 2):
        sent = headers(number, 4) + frame(Kind.DATA, 0, number, bytes(16_000))
        assert ended(connection, sent + reset_frame(number, Code.CANCEL)) is None
