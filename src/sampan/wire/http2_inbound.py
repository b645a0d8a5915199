"""The receiving half of an HTTP/2 connection's flow control: what the peer may still send. Pure.

What was received counts until its receiver has consumed it; then it is given back, in few
WINDOW_UPDATE frames of half a window each (RFC 9113, section 5.2).
"""

from __future__ import annotations

from collections.abc import Callable

from sampan.wire.http2_events import Stream
from sampan.wire.http2_frames import Code, ConnectionFault, window_update
from sampan.wire.limits import Limits


class Inbound:
    """The windows of a connection and its streams. `put` queues a frame for the peer."""

    __slots__ = ("_half", "_put", "_stream_half", "_uncredited", "_window")

    def __init__(self, limits: Limits, put: Callable[[bytes], None]) -> None:
        self._window = limits.connection_window
        self._half = limits.connection_window // 2
        self._stream_half = limits.window // 2
        self._uncredited = 0
        self._put = put

    def take(self, size: int) -> None:
        """Count DATA, padding included; ConnectionFault where the window has no room for it."""
        self._window -= size
        if self._window < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more DATA than the connection's window")

    def give_back(self, size: int) -> None:
        """Let the peer send as many bytes more, on any stream."""
        self._uncredited += size
        if self._uncredited >= self._half:
            self._window += self._uncredited
            self._put(window_update(0, self._uncredited))
            self._uncredited = 0

    def credit(self, stream: Stream, size: int) -> None:
        """Take `size` bytes of a stream as consumed: the peer may send as many, on it too."""
        size = min(size, stream.unread)  # a stream that is gone has given all back
        stream.unread -= size
        self.give_back(size)
        if stream.remote_closed:
            return
        stream.uncredited += size
        if stream.uncredited >= self._stream_half:
            stream.window += stream.uncredited
            self._put(window_update(stream.id, stream.uncredited))
            stream.uncredited = 0
