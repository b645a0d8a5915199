"""A body while it comes in: what was sent comes out, and it costs no more than it is worth."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.wire.pieces import Pieces, keep_piece


@given(st.lists(st.one_of(st.integers(0, 8), st.integers(16_380, 16_390)), max_size=40))
def test_what_was_sent_comes_out(sizes: list[int]) -> None:
    sent = [bytes([at % 256]) * size for at, size in enumerate(sizes)]
    pieces: Pieces = []
    for piece in sent:
        keep_piece(pieces, piece)
    assert b"".join(pieces) == b"".join(sent)


@pytest.mark.parametrize("size", [1, 2, 100, 1024, 16_383, 16_384, 100_000])
def test_pieces_of_any_size_cost_little_more_than_the_body(size: int) -> None:
    pieces: Pieces = []
    for at in range(400_000 // size):
        keep_piece(pieces, bytes([at % 256]) * size)
    assert sum(map(sys.getsizeof, pieces)) + sys.getsizeof(pieces) < 500_000


def test_a_small_piece_between_large_ones_costs_them_no_copy() -> None:
    large = bytes(20_000)
    pieces: Pieces = []
    for piece in (large, b"x", b"y", large):
        keep_piece(pieces, piece)
    assert [len(piece) for piece in pieces] == [20_000, 2, 20_000]
    assert pieces[0] is large
    assert pieces[2] is large
