"""What a peer may ask of a connection, each with its default and its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, counts and seconds. Crossing one gets an answer or a closed connection, never a hang.

    `body_rate` is the slowest upload accepted, in bytes a second, on top of `body_seconds`: a
    fixed total alone would cut honest large uploads, a pause limit alone would let a byte a
    minute hold a connection for years (Apache's mod_reqtimeout chose the same pair).
    """

    header_bytes: int = 64 * 1024  # request line and headers; browsers and meshes stay below 32 KiB
    header_count: int = 128
    body_bytes: int = 64 * 1024 * 1024
    pipelining: int = 16  # requests read ahead of the one being answered; then reading pauses
    connections: int = 10_000
    idle_seconds: float = 65.0  # KServe's --timeout-keep-alive; above the 60 s of common balancers
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    body_rate: int = 16 * 1024
    write_seconds: float = 60.0  # a peer that stops reading its answer
    linger_seconds: float = 5.0  # reading on after a refusal, so that the peer sees the answer
    write_buffer: int = 256 * 1024  # unsent bytes above which no further request is taken
    # HTTP/2 only
    streams: int = 128  # open at once on a connection; RFC 9113, section 6.5.2 asks for 100 or more
    window: int = 1024 * 1024  # a stream's unread bytes that a peer may send ahead
    connection_window: int = 8 * 1024 * 1024  # the same of all its streams together
    connection_bytes: int = 160 * 1024 * 1024  # of unfinished bodies: two of the largest, and more
    continuations: int = 16  # CONTINUATION frames of one header block; honest peers send 0 to 4
    resets: int = 200  # streams that a peer opens and resets in a second (CVE-2023-44487)
    nuisances: int = 1000  # PING, SETTINGS and other frames without a request, in a second
    http2_idle_seconds: float = 3600.0  # gRPC channels rest for long; Envoy's default
    message_bytes: int = 8 * 1024 * 1024  # of a gRPC message (KServe's default), unpacked too

    @property
    def sweep_seconds(self) -> float:
        """How often deadlines are looked at: a second, or finer where a limit is finer."""
        shortest = min(
            self.idle_seconds,
            self.header_seconds,
            self.body_seconds,
            self.write_seconds,
            self.linger_seconds,
        )
        return max(0.02, min(1.0, shortest / 4))
