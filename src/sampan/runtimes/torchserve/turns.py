"""Requests of a handler in turn: batches as TorchServe gathers them, and answers in parts.

A handler is not made for threads: each has one of its own. A batch is what came within
`delay` seconds of its first request, at most `size` of them (TorchServe, "Batch Inference").
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from sampan.runtimes.torchserve.answers import Answer
from sampan.runtimes.torchserve.batches import Batch
from sampan.server.model import Headers


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a handler gets it. `envelope` is V1's or V2's; only plain ones are batched."""

    row: dict[str, Any]
    headers: Headers
    envelope: str = ""


class Parts:
    """The parts of one answer, in their order. Used on the loop's thread."""

    def __init__(self, first: Answer) -> None:
        self.first = first
        self._waiting: asyncio.Queue[Answer | BaseException | None] = asyncio.Queue()
        self._waiting.put_nowait(first)

    def put(self, part: Answer | BaseException | None) -> None:
        """Add a part, or what went wrong; None ends it."""
        self._waiting.put_nowait(part)

    def __aiter__(self) -> AsyncIterator[Answer]:
        return self

    async def __anext__(self) -> Answer:
        part = await self._waiting.get()
        if part is None:
            raise StopAsyncIteration
        if isinstance(part, BaseException):
            raise part
        return part


class Turn:
    """A request that waits for its answer: an Answer, or Parts. Made on the loop's thread."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Answer | Parts] = self._loop.create_future()
        self._parts: Parts | None = None

    def part(self, answer: Answer) -> None:
        """Add a part of the answer, from any thread; more is coming."""
        self._call(self._add, answer)

    def end(self, outcome: Answer | BaseException) -> None:
        """End with an answer, its last part, or what went wrong; from any thread."""
        self._call(self._end, outcome)

    def _call(self, act: Callable[[Any], None], value: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(act, value)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _add(self, answer: Answer) -> None:
        if self._parts is not None:
            self._parts.put(answer)
        elif not self.outcome.done():
            self._parts = Parts(answer)
            self.outcome.set_result(self._parts)

    def _end(self, outcome: Answer | BaseException) -> None:
        if self._parts is not None:
            self._parts.put(outcome)
            self._parts.put(None)
        elif self.outcome.done():
            return
        elif isinstance(outcome, BaseException):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


Run = Callable[[Sequence[Turn]], Sequence[Answer]]
"""Asks a handler: an answer a turn, in their order; what it raises is told to each."""


class Turns:
    """The waiting requests of one handler. Its thread starts with the first of them."""

    def __init__(self, run: Run, batch: Batch) -> None:
        self._run = run
        self._batch = batch
        self._waiting: SimpleQueue[Turn | None] = SimpleQueue()
        self._held: Turn | None = None
        self._thread: threading.Thread | None = None

    async def ask(self, asked: Asked) -> Answer | Parts:
        """Return the answer, whole or in parts, once it is this request's turn."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="torchserve", daemon=True)
            self._thread.start()
        turn = Turn(asked)
        self._waiting.put(turn)
        return await turn.outcome

    def stop(self) -> None:
        """Let the thread end after what waits already."""
        self._waiting.put(None)

    def _work(self) -> None:
        while True:
            first, self._held = self._held or self._waiting.get(), None
            if first is None:
                return
            turns = self._gather(first)
            try:
                answers = self._run(turns)
            except BaseException as error:  # noqa: BLE001  # told to each who asked
                for turn in turns:
                    turn.end(error)
                continue
            for turn, answer in zip(turns, answers, strict=True):
                turn.end(answer)

    def _gather(self, first: Turn) -> list[Turn]:
        """Return a batch: the first, and what comes in time and may be beside it."""
        turns, until = [first], monotonic() + self._batch.delay
        while not first.asked.envelope and len(turns) < self._batch.size:
            try:
                turn = self._waiting.get(timeout=max(0.0, until - monotonic()))
            except Empty:
                break
            if turn is None or turn.asked.envelope:
                self._held = turn
                if turn is None:
                    self._waiting.put(None)  # for the next look
                break
            turns.append(turn)
        return turns
