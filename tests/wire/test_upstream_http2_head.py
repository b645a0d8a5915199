"""Header blocks of a called server: what is known again means what it meant."""

from __future__ import annotations

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from sampan.wire.http2_frames import ConnectionFault
from sampan.wire.message import Request
from sampan.wire.upstream_http2_head import Block, BlockReader

names = st.sampled_from([b"content-type", b"grpc-status", b"x-request-id", b"server", b"date"])
values = st.sampled_from([b"0", b"application/grpc", b"a", b"b", b"Sat, 21 Nov 2026 16:00:00 GMT"])
told = st.lists(st.tuples(names, values, st.booleans()), max_size=5)
sizes = st.sampled_from([None, 0, 64, 4096])


@given(st.lists(st.tuples(told, sizes, st.booleans()), min_size=1, max_size=25))
def test_fields_are_those_that_were_sent_whatever_was_known(
    blocks: list[tuple[list[tuple[bytes, bytes, bool]], int | None, bool]],
) -> None:
    """With a table that grows, shrinks and forgets, and fields that are kept out of it."""
    encoder, reader = Encoder(), BlockReader(64 * 1024)
    for fields, size, packed in blocks:
        if size is not None:
            encoder.header_table_size = size
        sent = [(b":status", b"200", False), *fields]
        read = reader.read(encoder.encode(sent, huffman=packed))
        assert read.status == 200
        assert read.fields == tuple((name, value) for name, value, _ in fields)


def test_a_block_that_comes_again_is_the_same_value_and_so_are_two_together() -> None:
    encoder, reader = Encoder(), BlockReader(1024)
    head = [(b":status", b"200"), (b"content-type", b"application/grpc")]
    trailers = [(b"grpc-status", b"0")]
    reader.read(encoder.encode(head + trailers))  # now the table holds all of it
    told = []
    for _ in range(3):
        first = reader.read(encoder.encode(head))
        told.append(first.then(reader.read(encoder.encode(trailers))))
    assert told[1] is told[2]
    assert told[2].fields == (*head[1:], *trailers)
    assert (told[2].status, told[2].content_type) == (200, b"application/grpc")


def test_what_may_be_known_has_an_end() -> None:
    first = Block(200, ())
    later = [Block(-1, ((b"grpc-message", b"%d" % n),)) for n in range(200)]
    assert [first.then(one).fields for one in later] == [one.fields for one in later]
    assert sum(first.then(one) is first.then(one) for one in later) == 64


@pytest.mark.parametrize("status", [b"", b"ok", b"2000"])
def test_a_status_that_is_none_is_refused_or_missing(status: bytes) -> None:
    block = Encoder().encode([(b":status", status)])
    if not status:
        assert BlockReader(1024).read(block).status == -1
        return
    with pytest.raises(ConnectionFault, match="without a status"):
        BlockReader(1024).read(block)


def test_texts_that_requests_share_are_each_one_s_own_to_change() -> None:
    shared = {"a": "1"}
    one, other = (Request(b"GET", b"/", [(b"a", b"1")], b"", texts=shared) for _ in range(2))
    one.add(b"x-request-id", b"7")
    assert one.texts() == {"a": "1", "x-request-id": "7"}
    assert one.header(b"x-request-id") == b"7"
    assert other.texts() == shared == {"a": "1"}
