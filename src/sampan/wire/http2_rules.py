"""What a frame may be, whatever it says: its size, and the stream it stands on (RFC 9113). Pure.

Errors are the connection's: nothing after such a frame can be understood.
"""

from __future__ import annotations

from sampan.wire.http2_frames import FRAME_BYTES, Code, ConnectionFault, Kind

_SIZES = {
    Kind.PRIORITY: 5,
    Kind.RST_STREAM: 4,
    Kind.PING: 8,
    Kind.WINDOW_UPDATE: 4,
}
_ABOUT_CONNECTION = frozenset({Kind.SETTINGS, Kind.PING, Kind.GOAWAY})
_ABOUT_STREAM = frozenset({Kind.DATA, Kind.HEADERS, Kind.PRIORITY, Kind.RST_STREAM})


def validate_frame(kind: int, size: int, stream: int, block_stream: int, *, settled: bool) -> None:
    """Raise ConnectionFault for a frame that may not come now, by its head alone.

    `block_stream`: whose header block is incomplete (0: none is); `settled`: SETTINGS have come.
    """
    if size > FRAME_BYTES:
        raise ConnectionFault(
            Code.FRAME_SIZE_ERROR, f"a frame of {size} bytes; {FRAME_BYTES} are the most"
        )
    if block_stream and (kind != Kind.CONTINUATION or stream != block_stream):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "another frame inside a header block")
    if not settled and kind != Kind.SETTINGS:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
    if (stream and kind in _ABOUT_CONNECTION) or (not stream and kind in _ABOUT_STREAM):
        raise ConnectionFault(Code.PROTOCOL_ERROR, f"frame {kind} on stream {stream}")


def validate_size(kind: int, size: int) -> None:
    """Raise ConnectionFault where a frame of this kind has one size, and this is another."""
    wanted = _SIZES.get(kind)  # type: ignore[call-overload]  # any int may be asked for
    if wanted is not None and size != wanted:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"frame {kind} of {size} bytes")


def unpadded(payload: bytes) -> bytes:
    """Return a padded frame's own part; raise ConnectionFault."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "padding that is longer than its frame")
    return payload[1 : len(payload) - payload[0]]
