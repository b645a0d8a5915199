"""The header blocks of an answer: its head and its trailers, of plain HTTP and of gRPC."""

from __future__ import annotations

from functools import lru_cache

from sampan.wire.http2_head import encode_date, encode_fields, encode_response
from sampan.wire.message import Response

CONTINUE = encode_response(100, b"", -1, ())


def encode_answer(
    response: Response, grpc: bool, date: bytes
) -> tuple[bytes, bytes]:  # once an answer
    """Return the blocks of head and trailers; ValueError for a header that none may be."""
    if not grpc:
        bare = response.status == 204 or response.chunks is not None
        length = -1 if bare else len(response.body)
        block = encode_response(response.status, response.content_type, length, response.headers)
        return block + encode_date(date), b""
    head = _encode_grpc_head(response.status, response.content_type)
    if response.headers:  # a request's own: its id
        head += encode_fields(response.headers)
    return head, _encode_trailers(response.trailers)


@lru_cache(64)
def _encode_grpc_head(status: int, content_type: bytes) -> bytes:
    """Return the block that gRPC answers begin with: few, and always the same."""
    return encode_response(status, content_type, -1, ())


@lru_cache(64)
def _encode_trailers(trailers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Return the block that ends a gRPC answer: nearly always that of OK."""
    return encode_fields(trailers)
