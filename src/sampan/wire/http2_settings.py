"""What a peer's SETTINGS change of our sending (RFC 9113, section 6.5.2).

Our header blocks use no table, so its size does not matter.
"""

from __future__ import annotations

from collections.abc import Collection

from sampan.wire.http2_events import Stream
from sampan.wire.http2_frames import (
    FRAME_BYTES,
    MAX_WINDOW,
    Code,
    ConnectionFault,
    Setting,
    read_settings,
)
from sampan.wire.http2_outbound import Outbound


def take_settings(payload: bytes, outbound: Outbound, streams: Collection[Stream]) -> None:
    """Take the settings of a frame; raise ConnectionFault."""
    for number, value in read_settings(payload):
        _take(number, value, outbound, streams)


def _take(number: int, value: int, outbound: Outbound, streams: Collection[Stream]) -> None:
    if number == Setting.INITIAL_WINDOW_SIZE:
        if value > MAX_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, f"an initial window of {value}")
        difference = value - outbound.peer_window
        outbound.peer_window = value
        for stream in streams:
            stream.send_window += difference
            if stream.send_window > MAX_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, f"an initial window of {value}")
    elif number == Setting.MAX_FRAME_SIZE:
        if not FRAME_BYTES <= value < 2**24:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"a greatest frame of {value}")
        outbound.peer_frame = value
    elif number == Setting.ENABLE_PUSH and value > 1:
        raise ConnectionFault(Code.PROTOCOL_ERROR, f"ENABLE_PUSH of {value}")
