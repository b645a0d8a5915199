"""Running a way: calls are made as it asks for them, and it goes on as they are answered.

Knows neither sockets nor time: `ask` makes a call and tells its outcome, at once or later. No task
and no future: a request that makes three calls costs three callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

from sampan.router.steps import (
    Aside,
    Call,
    Outcome,
    Pause,
    Race,
    RouterError,
    Together,
    Way,
)

Result: TypeAlias = Outcome | RouterError
Done: TypeAlias = Callable[[Result], None]
Cancel: TypeAlias = Callable[[], None]
Ask: TypeAlias = Callable[[Call, Done], Cancel]
"""Makes a call and tells what came of it, once; what is returned calls it off."""
Later: TypeAlias = Callable[[float, Callable[[], None]], Cancel]
"""Calls something after so many seconds; what is returned calls it off."""


class Hands(NamedTuple):
    """What a run does with: how calls are made, and how time passes."""

    ask: Ask
    later: Later


class Run:
    """One way on its way. `done` is told its result once, unless it is called off before."""

    __slots__ = ("_cancel", "_done", "_hands", "_over", "_turn", "_way")

    def __init__(self, way: Way, hands: Hands, done: Done) -> None:
        self._way = way
        self._hands = hands
        self._done = done
        self._cancel: Cancel | None = None
        self._over = False
        self._turn = 0

    @property
    def over(self) -> bool:
        """Whether it has its result, or was called off."""
        return self._over

    def start(self) -> None:
        """Begin. What is answered at once may end it before this returns."""
        self._told(None)

    def cancel(self) -> None:
        """Call off whatever is under way; `done` is told nothing."""
        if self._over:
            return
        self._over = True
        if self._cancel is not None:
            self._cancel()
        self._way.close()

    def _told(self, result: Result | list[Outcome] | None) -> None:
        """Let the way go on with what came of its last wish, to its next or to its end.

        One function, for it is the path of every call: a frame more is felt.
        """
        if self._over:
            return
        way = self._way
        try:
            wanted = way.throw(result) if isinstance(result, RouterError) else way.send(result)
        except StopIteration as end:
            self._end(end.value)
            return
        except RouterError as error:
            self._end(error)
            return
        except Exception as error:  # noqa: BLE001  # a client gets an answer whatever broke
            self._end(_broken(error))
            return
        self._turn = turn = self._turn + 1
        if isinstance(wanted, Call):
            cancel = self._hands.ask(wanted, self._told)
        else:
            cancel = self._grant(wanted)
        if turn == self._turn:  # else it was answered at once, and the next call is under way
            self._cancel = cancel

    def _grant(self, wanted: Together | Race | Pause | Aside) -> Cancel:
        """Begin what is no plain call; return what calls it off."""
        hands, told = self._hands, self._told
        match wanted:
            case Together():
                several = Several(wanted, hands, told)
                several.start()
                return several.cancel
            case Race():
                racing = Racing(wanted, hands, told)
                racing.start()
                return racing.cancel
            case Pause(seconds):
                return hands.later(seconds, partial(told, None))
            case Aside(call, gate):
                if gate.enter():
                    hands.ask(call, lambda _: gate.leave())
                told(None)
                return _nothing

    def _end(self, result: Result) -> None:
        self._over = True
        self._cancel = None  # it leads back here: what is over is freed at once, not collected
        self._done(result)


class Several:
    """Several ways at once; `done` is told the outcomes in order, or the first error in order."""

    __slots__ = ("_done", "_next", "_over", "_results", "_runs", "_settles")

    def __init__(
        self, wanted: Together, hands: Hands, done: Callable[[list[Outcome] | RouterError], None]
    ) -> None:
        self._done = done
        self._settles = wanted.settles
        self._results: list[Result | None] = [None] * len(wanted.ways)
        self._next = 0
        self._over = False
        self._runs = [Run(way, hands, self._teller(index)) for index, way in enumerate(wanted.ways)]

    def start(self) -> None:
        """Begin all."""
        for run in self._runs:
            if not self._over:
                run.start()
        if not self._runs:
            self._end([])

    def cancel(self) -> None:
        """Call off those that are under way."""
        self._over = True
        for run in self._runs:
            run.cancel()

    def _teller(self, index: int) -> Done:
        def tell(result: Result) -> None:
            self._results[index] = result
            if index == self._next and not self._over:
                self._look()

        return tell

    def _look(self) -> None:
        """Go over what is there in the order of the ways, up to the first that is not."""
        while self._next < len(self._results):
            result = self._results[self._next]
            if result is None:
                return
            self._next += 1
            if isinstance(result, RouterError):
                self._end(result)
                return
            if self._settles(self._next - 1, result):
                break
        self._end([r for r in self._results[: self._next] if isinstance(r, Outcome)])

    def _end(self, result: list[Outcome] | RouterError) -> None:
        self.cancel()
        self._done(result)


class Racing:
    """A call, and the same again if it takes long: the first that succeeds is the outcome.

    An answer of 5xx is no success, nor is none at all; where both fail, it is what the first came
    to.
    """

    __slots__ = ("_cancels", "_done", "_hands", "_over", "_results", "_timer", "_wanted")

    def __init__(self, wanted: Race, hands: Hands, done: Done) -> None:
        self._wanted = wanted
        self._hands = hands
        self._done = done
        self._cancels: list[Cancel] = []
        self._results: dict[int, Result] = {}
        self._timer: Cancel | None = None
        self._over = False

    def start(self) -> None:
        """Begin with the first."""
        self._ask()
        if not self._over:
            self._timer = self._hands.later(self._wanted.after, self._again)

    def cancel(self) -> None:
        """Call off what is under way."""
        self._over = True
        if self._timer is not None:
            self._timer()
        for cancel in self._cancels:
            cancel()

    def _again(self) -> None:
        self._timer = None
        if self._wanted.may():
            self._ask()

    def _ask(self) -> None:
        number = len(self._cancels)
        self._cancels.append(_nothing)
        cancel = self._hands.ask(self._wanted.call, partial(self._told, number))
        self._cancels[number] = _nothing if number in self._results else cancel

    def _told(self, number: int, result: Result) -> None:
        self._cancels[number] = _nothing
        self._results[number] = result
        if self._over:
            return
        good = isinstance(result, Outcome) and result.status < 500
        if good or len(self._results) == len(self._cancels):
            self.cancel()
            self._done(result if good else self._results[0])


def _nothing() -> None:
    """Call off what is over."""


def _broken(error: Exception) -> RouterError:
    return RouterError(f"the router broke on this request: {type(error).__name__}: {error}")
