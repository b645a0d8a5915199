"""A body while it comes in: its pieces, and no more memory than they are worth.

Whoever sends chooses the size of the pieces. Kept one by one, a body of two-byte chunks takes
twenty times its length (a bytes object is 33 bytes and its text), and thousands of small blocks
fragment the heap, so that it is not given back. So small pieces are gathered in one growing buffer,
and large ones, where the copy would cost more than the object, are kept as they are.
"""

from __future__ import annotations

from typing import TypeAlias

Pieces: TypeAlias = list[bytes | bytearray]
"""What has come, in order. `b"".join` of it is the body; of one piece it is no copy."""

_LARGE = 16 * 1024  # bytes; below, what an object and its block cost begins to show


def keep_piece(pieces: Pieces, piece: bytes) -> None:
    """Add a piece. The first is kept as it is: most bodies have no other."""
    if not pieces or len(piece) >= _LARGE:
        pieces.append(piece)
        return
    last = pieces[-1]
    if isinstance(last, bytearray):
        last += piece
    else:
        pieces.append(bytearray(piece))
