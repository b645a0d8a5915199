"""Steps that answer a request by gRPC's ModelStreamInfer: one message in, any number out.

A step says so by the option `stream`. Where it is the graph's last, its messages are events of V2
answers, passed on as they come; elsewhere it is to answer by one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import orjson

from sampan.protocol import sse
from sampan.protocol.errors import ServingError
from sampan.protocol.grpc import framing, protobuf
from sampan.protocol.grpc.client_form import decode_response
from sampan.protocol.grpc.protobuf import fields, text
from sampan.protocol.grpc.status import RpcError
from sampan.router.headers import Header
from sampan.router.steps import JSON
from sampan.router.walk import Cancel
from sampan.server.graph_rpc import RpcTarget, as_json, nothing
from sampan.wire.upstream_answer import Answer, CallDone, CallFailed
from sampan.wire.upstream_stream import StreamedBody

_ERROR, _RESPONSE = (number << 3 | protobuf.LENGTH for number in (1, 2))
_SEVERAL = (
    "answers by several messages, and its answer is not passed on as it comes; make it the last "
    "step, and ask the graph by HTTP or ModelStreamInfer"
)


class Ended(Exception):
    """A stream ended with a status; `answer` is the HTTP answer that stands for it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        self.answer = answer


class RpcStreamTarget(RpcTarget):
    """One step's address."""

    method = b"ModelStreamInfer"

    def call(
        self,
        headers: Sequence[Header],
        body: bytes,
        seconds: float | None,
        done: CallDone,
        *,
        streams: bool = False,
    ) -> Cancel:
        """Ask, and tell what came of it. `seconds` bound the time until its first message."""
        message = self.encode(body)
        if isinstance(message, Answer):
            done(message)
            return nothing
        call = _Call(self, seconds, done, streams=streams)
        head, packed = self.make_head(headers), framing.pack(message)
        call.leave = self._pool.call(head, packed, seconds, call.begin, streams=True)
        return call.cancel

    async def documents(self, answer: Answer, body: StreamedBody) -> AsyncGenerator[bytes, None]:
        """Yield each message as V2 JSON. Raise Ended or CallFailed where it does not end well."""
        unpacker = framing.Unpacker(dict(answer.fields).get(b"grpc-encoding", b""), self._most)
        try:
            async for piece in body:
                unpacker.feed(piece)
                while (found := unpacker.next()) is not None:
                    yield _document(found[0])
        except (RpcError, ServingError, ValueError) as error:
            raise self.strange(error) from None
        finally:
            await body.aclose()
        end = self.read_end(body.trailers)
        if isinstance(end, Answer):
            raise Ended(end)
        if end is not None:
            raise end


class _Call:
    """One call: told once, by its first message or by what it ends with."""

    def __init__(
        self, target: RpcStreamTarget, seconds: float | None, done: CallDone, *, streams: bool
    ) -> None:
        self._target = target
        self._done = done
        self._streams = streams
        self._loop = asyncio.get_running_loop()
        self._ends = None if seconds is None else self._loop.time() + seconds
        self._task: asyncio.Task[None] | None = None
        self.leave: Cancel = nothing

    def cancel(self) -> None:
        """Call it off; nothing is told."""
        self.leave()
        if self._task is not None:
            self._task.cancel()

    def begin(self, result: Answer | CallFailed) -> None:
        """Take the head of an answer, or what the call ended with before there was one."""
        if isinstance(result, CallFailed):
            self._done(result)
        elif isinstance(result.chunks, StreamedBody):
            documents = self._target.documents(result, result.chunks)
            self._task = self._loop.create_task(self._read(documents))
        else:
            end = self._target.read_end(result.fields, result.status)
            self._done(end or self._target.strange(ValueError("it ended without a message")))

    async def _read(self, documents: AsyncGenerator[bytes, None]) -> None:
        try:
            async with asyncio.timeout_at(self._ends):
                result = await self._take(documents)
        except Ended as ended:
            result = ended.answer
        except CallFailed as failure:
            result = failure
        except TimeoutError:
            text = f"{self._target.name} sent no message in time"
            result = CallFailed("Timeout", text, sent=True)
        self._done(result)

    async def _take(self, documents: AsyncGenerator[bytes, None]) -> Answer | CallFailed:
        """Return the answer, or where it is passed on its beginning."""
        first = await anext(documents, b"")
        if not first:
            return self._target.strange(ValueError("it ended without a message"))
        if first.startswith(_SAYS_ERROR):
            await documents.aclose()
            return Answer(500, first, JSON)
        if self._streams:
            return Answer(200, b"", sse.CONTENT_TYPE, Events(first, documents))
        if await anext(documents, b""):
            await documents.aclose()
            text = f"{self._target.name} {_SEVERAL}"
            return CallFailed("InvalidAnswer", text, sent=True)
        return Answer(200, first, JSON)


class Events:
    """The events of a stream; what it ends with, if that is not well, is its last."""

    def __init__(self, first: bytes, documents: AsyncGenerator[bytes, None]) -> None:
        self._first = first
        self._documents = documents

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, b""
        if first:
            return sse.event(first)
        try:
            return sse.event(await anext(self._documents))
        except Ended as ended:
            return sse.event(ended.answer.body)

    async def aclose(self) -> None:
        """Want no more."""
        await self._documents.aclose()


_SAYS_ERROR = b'{"error":'


def _document(message: bytes) -> bytes:
    """Return a ModelStreamInferResponse as V2 JSON: an answer, or `{"error":...}`."""
    said, response = "", b""
    for tag, start, stop in fields(message, 0, len(message)):
        if tag == _ERROR:
            said = text(message, start, stop)
        elif tag == _RESPONSE:
            response = message[start:stop]
    return orjson.dumps({"error": said}) if said else as_json(decode_response(response))
