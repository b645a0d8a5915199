"""Waiting awake: it ends with whatever comes, gives up soon, and is tried where it helps."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from sampan.wire.brief_wait import MOST_SKIPPED, BriefWait, Tries, make_poll


def tries_among(tries: Tries, calls: int, *, helps: bool) -> list[int]:
    """Return which of so many calls were tried with."""
    due = []
    for call in range(calls):
        if tries.is_due():
            due.append(call)
            tries.helped() if helps else tries.was_in_vain()
    return due


def test_while_it_helps_it_is_tried_at_each_call() -> None:
    assert tries_among(Tries(), 100, helps=True) == list(range(100))


def test_in_vain_it_is_tried_half_as_often_each_time() -> None:
    assert tries_among(Tries(), 64, helps=False) == [0, 2, 6, 14, 30, 62]


def test_it_is_never_given_up_for_good() -> None:
    tries = Tries()
    tries_among(tries, 20_000, helps=False)
    assert len(tries_among(tries, 10 * (MOST_SKIPPED + 1), helps=False)) == 10


def test_once_it_helps_again_it_is_tried_at_each_call_again() -> None:
    tries = Tries()
    tries_among(tries, 7, helps=False)
    tries_among(tries, 20, helps=True)
    assert tries_among(tries, 10, helps=True) == list(range(10))


def run(test: Callable[[asyncio.AbstractEventLoop], Awaitable[None]]) -> None:
    async def main() -> None:
        await test(asyncio.get_running_loop())

    uvloop.run(main())


class Watched(Tries):
    """Tells how each try ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[str] = []

    def helped(self) -> None:
        self.ends.append("helped")

    def was_in_vain(self) -> None:
        self.ends.append("in vain")


def test_what_is_ready_ends_the_wait_and_is_not_taken_from_who_reads_it() -> None:
    async def test(loop: asyncio.AbstractEventLoop) -> None:
        wait = BriefWait(loop)
        wait.tries = watched = Watched()
        (asks, asked), (ours, theirs) = socket.socketpair(), socket.socketpair()
        came: asyncio.Future[bytes] = loop.create_future()

        def ask() -> None:
            """As a router does: what has come leads to a call, whose answer is there soon."""
            asked.recv(10)
            theirs.send(b"now")
            wait.asked()
            wait.asked()  # of the same turn: one wait for both

        with asks, asked, ours, theirs:
            loop.add_reader(asked, ask)
            loop.add_reader(ours, lambda: came.done() or came.set_result(ours.recv(10)))
            await asyncio.sleep(0.01)  # a turn, so that the loop knows its readers
            asks.send(b"go")
            assert await asyncio.wait_for(came, 20) == b"now"
            loop.remove_reader(asked)
            loop.remove_reader(ours)
        assert watched.ends == ["helped"]

    run(test)


def test_a_wait_in_vain_ends_soon() -> None:
    async def test(loop: asyncio.AbstractEventLoop) -> None:
        wait = BriefWait(loop)
        wait.tries = watched = Watched()
        wait.asked()
        await asyncio.sleep(0.05)
        assert watched.ends == ["in vain"]

    run(test)


def test_a_loop_that_cannot_tell_is_left_alone() -> None:
    loop: Any = asyncio.SelectorEventLoop()
    try:
        assert make_poll(loop) is None
        BriefWait(loop).asked()
    finally:
        loop.close()
