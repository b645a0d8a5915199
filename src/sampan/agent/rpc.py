"""gRPC through the agent: calls pass to the component as they are, whether they stream or not.

KServe, agent: its proxy speaks HTTP/2 without TLS to the component. Which methods stream is the
component's knowledge alone, so every call is passed on as it comes, both ways, and flow control
reaches from end to end: who reads slowly is sent no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Iterable

from sampan.agent.recorder import MOST_BYTES, Entry, Recorder
from sampan.protocol.grpc.status import Status, encode_message, from_http
from sampan.wire.calls import Channel
from sampan.wire.http2_head import encode_fields, encode_post
from sampan.wire.message import Reply, Request, Response
from sampan.wire.upstream_answer import Answer, CallFailed
from sampan.wire.upstream_http2_pool import Http2Pool

_GRPC = b"application/grpc"
_TELLS_END = frozenset({b"grpc-status", b"grpc-message", b"grpc-status-details-bin"})
_OWN = frozenset({b"host", b"content-length", b"content-type", b"date"})


class AllMethods(Container[bytes]):
    """Every method: any of them may stream."""

    def __contains__(self, target: object) -> bool:
        return True


class Rpc:
    """Passes the calls of a wire on (`sampan.wire.calls.Calls`)."""

    def __init__(self, pool: Http2Pool, recorder: Recorder | None = None) -> None:
        self.streaming: Container[bytes] = AllMethods()
        self._pool = pool
        self._recorder = recorder

    def open(self, request: Request, channel: Channel) -> Passing:
        """Pass a call on."""
        entry = self._recorder.begin(request) if self._recorder is not None else None
        return Passing(self._pool, request, channel, entry)

    def submit(self, request: Request, reply: Reply) -> None:
        """Refuse a call that is not opened; there is none, for all methods may stream."""
        reply(self.refuse(501, f'"{request.target.decode("latin-1")}" is passed on as a stream'))

    def refuse(self, status: int, text: str) -> Response:
        """Return the answer to a call that the wire refuses for an HTTP status."""
        return Response(200, b"", _GRPC, trailers=make_end(from_http(status), text))


class Passing:
    """One call on its way (`sampan.wire.calls.Handler`)."""

    def __init__(
        self, pool: Http2Pool, request: Request, channel: Channel, entry: Entry | None
    ) -> None:
        self._channel = channel
        self._entry = entry
        self._asked = Seen()
        self._unsent = 0  # bytes that the client may not send anew yet
        self._sending: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._started = False
        self._over = False
        self._upload = pool.open(render_head(request), self._answered, self._drained)

    # -- the client's side -------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Pass a piece of the request on."""
        if self._entry is not None:
            self._asked.add(data)
        if self._upload.send(data):
            self._channel.consumed(len(data))
        else:
            self._unsent += len(data)

    def ended(self) -> None:
        """Tell the component that nothing follows."""
        if self._entry is not None:
            self._entry.asked(self._asked.take())
        self._upload.end()

    def drained(self) -> None:
        """Go on with the answer: the client has taken what it was sent."""
        self._room.set()

    def cancelled(self) -> None:
        """Call it off: nobody waits for the answer."""
        self._over = True
        self._upload.cancel()
        if self._sending is not None:
            self._sending.cancel()

    def drain(self) -> None:
        """Go on: a call under way is finished while the agent stops."""

    # -- the component's side ----------------------------------------------------------------

    def _drained(self) -> None:
        """Let the client send as much as the component has taken."""
        taken, self._unsent = self._unsent, 0
        if taken:
            self._channel.consumed(taken)

    def _answered(self, result: Answer | CallFailed) -> None:
        if self._over:
            return
        try:
            self._pass_on(result)
        except ValueError as error:
            self._refuse(error)

    def _pass_on(self, result: Answer | CallFailed) -> None:
        """Begin the answer, or give all of it; ValueError for a header that none may be."""
        if isinstance(result, CallFailed):
            self._fail(Status.UNAVAILABLE, result.message)
        elif result.status != 200:  # PROTOCOL-HTTP2: it is no gRPC that answers there
            self._fail(from_http(result.status), f"the component answered HTTP {result.status}")
        elif result.chunks is None:
            self._whole(result)
        else:
            self._start(result.content_type, select_fields(result.fields))
            self._sending = asyncio.get_running_loop().create_task(self._send(result.chunks))

    def _whole(self, answer: Answer) -> None:
        fields = select_fields(answer.fields)
        self._start(answer.content_type, [f for f in fields if f[0] not in _TELLS_END])
        if answer.body:
            self._channel.send(answer.body)
        self._end([f for f in fields if f[0] in _TELLS_END], answer.body)

    async def _send(self, chunks: AsyncIterator[bytes]) -> None:
        seen = Seen()
        try:
            async for chunk in chunks:
                if self._entry is not None:
                    seen.add(chunk)
                self._room.clear()
                if not self._channel.send(chunk):
                    await self._room.wait()
        except CallFailed as failure:
            self._fail(Status.UNAVAILABLE, failure.message)
            return
        try:
            self._end(select_fields(getattr(chunks, "trailers", ())), seen.take())
        except ValueError as error:
            self._refuse(error)

    def _start(self, content_type: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        self._channel.start(content_type, fields)
        self._started = True

    def _refuse(self, error: ValueError) -> None:
        """Tell the client of an answer that cannot be passed on: it would wait for ever."""
        self._upload.cancel()
        self._fail(Status.INTERNAL, f"the component's answer is no gRPC: {error}")

    def _end(self, trailers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._over = True
        if self._entry is not None:
            self._entry.answered(body)
        self._channel.end(trailers)

    def _fail(self, code: Status, text: str) -> None:
        self._over = True
        if not self._started:
            self._channel.start(_GRPC)
        self._channel.end(make_end(code, text))


class Seen:
    """The first bytes of what passes, for the log."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, piece: bytes) -> None:
        """See a piece."""
        room = MOST_BYTES - len(self._bytes)
        if room > 0:
            self._bytes += piece[:room]

    def take(self) -> bytes:
        """Return what was seen, once."""
        seen, self._bytes = bytes(self._bytes), bytearray()
        return seen


def render_head(request: Request) -> bytes:
    """Return the header block of a call that is passed on, under the name it was asked by. Pure."""
    content_type = request.header(b"content-type") or _GRPC
    fields = [(b"content-type", content_type), *select_fields(request.headers)]
    block = encode_post(b"http", request.header(b"host") or b"", request.target, ())
    return block + encode_fields(fields)


def select_fields(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that go on, those of the connection left out. Pure.

    Blanks around a value are no part of it (RFC 9110, section 5.5), and HTTP/2 has no header with
    them (RFC 9113, 8.2.1). gRPC's libraries send them all the same, at the ends of `grpc-message`.
    """
    return [(name, value.strip(b" \t")) for name, value in fields if name not in _OWN]


def make_end(code: Status, text: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the trailers that tell a status. Pure."""
    return (b"grpc-status", b"%d" % code), (b"grpc-message", encode_message(text))
