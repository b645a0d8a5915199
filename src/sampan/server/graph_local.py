"""Steps of a graph that are models of the router's own process: no connection, no copy.

The model server's application is asked as the wire would ask it, so that answers, errors and its
own metrics are the same; the body is handed over as it is. (`graph_handed`: as a value.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TypeAlias

from sampan.router.body import Body, Carried, text_of
from sampan.router.headers import Header
from sampan.router.steps import Outcome
from sampan.router.walk import Cancel
from sampan.wire.message import Note, Request, Response, Submit
from sampan.wire.pump import discard
from sampan.wire.upstream_answer import Answer, CallFailed
from sampan.wire.upstream_stream import is_stream

LOCAL = "local:"
"""Begins the URL of a step that is answered in this process; the path follows."""

LocalDone: TypeAlias = Callable[[Answer | Outcome | CallFailed], None]
"""Told what came of a call, once, on the loop's thread; an outcome's body may be a value."""

_JSON = (b"content-type", b"application/json")


class LocalTarget:
    """One step's address in this process. Made and used on its loop's thread."""

    def __init__(self, submit: Submit, target: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self._submit = submit
        self._target = target
        self._loop = loop
        self._note = Note()  # of the head that most calls have: the content type alone
        self._gathering: set[asyncio.Task[None]] = set()

    def call(
        self,
        headers: Sequence[Header],
        body: Body,
        seconds: float | None,
        done: LocalDone,
        *,
        streams: bool = False,
    ) -> Cancel:
        """Ask, and tell what came of it as a connection does; what is returned calls it off."""
        call = LocalCall(self, done, streams=streams)
        if seconds is not None:
            call.limit(self._loop, seconds, self._target.decode("latin-1"))
        self.ask(headers, body, call)
        return call.cancel

    def ask(self, headers: Sequence[Header], body: Body, call: LocalCall) -> None:
        """Have a call answered."""
        self._submit(self.make_request(headers, text_of(body)), call)

    def make_request(self, headers: Sequence[Header], body: bytes) -> Request:
        """Return the request of a call."""
        if not headers:
            return Request(b"POST", self._target, [_JSON], body, True, self._note)
        told = list(headers)
        if not any(name == _JSON[0] for name, _ in told):
            told.append(_JSON)
        return Request(b"POST", self._target, told, body)

    def gather(self, response: Response, call: LocalCall) -> None:
        """Have an answer in pieces told as a whole one."""
        task = self._loop.create_task(_gather(response, call))
        self._gathering.add(task)
        task.add_done_callback(self._gathering.discard)


class HandedResponse(Response):
    """An answer that is a value; it has no body."""

    carried: Carried


class LocalCall:
    """The `Reply` of one call, told once; it also says whether anybody waits."""

    __slots__ = ("_done", "_owner", "_streams", "_timer", "over")

    def __init__(self, owner: LocalTarget, done: LocalDone, *, streams: bool) -> None:
        self._owner = owner
        self._done: LocalDone | None = done
        self._streams = streams
        self._timer: asyncio.TimerHandle | None = None
        self.over = False

    def limit(self, loop: asyncio.AbstractEventLoop, seconds: float, name: str) -> None:
        """Let it fail after so many seconds."""
        text = f'"{name}" did not answer within {seconds:g} seconds'
        failure = CallFailed("Timeout", text, sent=True)
        self._timer = loop.call_later(seconds, partial(self.tell, failure))

    def __call__(self, response: Response) -> None:
        """Take the answer."""
        if self.over:
            discard(response)
        elif isinstance(response, HandedResponse):
            self.tell(Outcome(response.status, response.carried, response.content_type))
        elif response.chunks is None:
            self.tell(Answer(response.status, response.body, response.content_type))
        elif self._streams and 200 <= response.status < 300 and is_stream(response.content_type):
            self.tell(Answer(response.status, b"", response.content_type, response.chunks))
        else:
            self._owner.gather(response, self)

    def gone(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.over

    def tell(self, result: Answer | Outcome | CallFailed) -> None:
        """Tell what came of it, unless that was told, or it was called off."""
        if self.over:
            return
        self.cancel()
        done, self._done = self._done, None  # freed at once: it leads back to who called
        if done is not None:
            done(result)

    def cancel(self) -> None:
        """Call it off."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()


async def _gather(response: Response, call: LocalCall) -> None:
    chunks: AsyncIterator[bytes] | None = response.chunks
    try:
        pieces = [] if chunks is None else [piece async for piece in chunks if not call.over]
    except Exception as error:  # noqa: BLE001  # the model's own, whatever it is
        text = f"the model broke off in the middle of its answer ({type(error).__name__}: {error})"
        call.tell(CallFailed("ConnectionLost", text, sent=True))
    else:
        call.tell(Answer(response.status, b"".join(pieces), response.content_type))
