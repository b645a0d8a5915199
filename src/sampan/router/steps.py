"""The words between a node's way and whoever makes its calls.

A way is a generator: it yields `Call` or `Race` and is sent the `Outcome`, yields `Together` and is
sent the outcomes of all its ways, yields `Pause` or `Aside` and is sent None. It ends with its own
outcome, or raises `RouterError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from sampan.router.body import Body
from sampan.router.budget import Budget, Gate
from sampan.router.graph import Graph, Place, Step

JSON = b"application/json"


class Outcome(NamedTuple):
    """What a step, or a node, answered; where it is passed on as it comes, as `chunks`."""

    status: int
    body: Body
    content_type: bytes = b""
    chunks: AsyncIterator[bytes] | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300


class Call(NamedTuple):
    """A step's service is to be asked with a body.

    `ends`: its answer is the graph's, whatever it is, and may be passed on as it comes.
    """

    step: Step
    body: Body
    ends: bool = False


class Together(NamedTuple):
    """Several ways are to be gone at once.

    Outcomes are looked at in the order of the ways. The first that `settles` calls off the rest,
    which then have no outcome: the list that is sent back ends with it.
    """

    ways: tuple[Way, ...]
    settles: Callable[[int, Outcome], bool]


class Race(NamedTuple):
    """A call is to be made again after so many seconds without an answer, if it `may`.

    The first that succeeds is the outcome and the other is called off; where both fail, what the
    first came to.
    """

    call: Call
    after: float
    may: Callable[[], bool]


class Pause(NamedTuple):
    """The way goes on after so many seconds."""

    seconds: float


class Aside(NamedTuple):
    """A call is to be made that nobody waits for, whatever comes of it. `gate` bounds how many."""

    call: Call
    gate: Gate


Wish: TypeAlias = Call | Together | Race | Pause | Aside
Way: TypeAlias = Generator[Wish, Any, Outcome]
Go: TypeAlias = Callable[[Step, Body, "Walk"], Way]
"""Takes one step with a body: how nodes hold each other without knowing each other."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What a request's ways share: the graph, and a die that falls on 0 to 99.

    `ends`: the outcome of the way is the graph's as it is. `middle` is the walk of a way on which
    more follows. `budgets` and `gate` count over all requests.
    """

    graph: Graph
    draw: Callable[[], int]
    ends: bool = True
    budgets: dict[Place, Budget] = field(default_factory=dict, repr=False, compare=False)
    gate: Gate = field(default_factory=Gate, repr=False, compare=False)
    middle: Walk = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.budgets:
            repeating = (step for step in self.graph.steps() if step.options.repeats)
            self.budgets.update((s.place, Budget(s.options.budget)) for s in repeating)
        middle = replace(self, ends=False) if self.ends else self
        object.__setattr__(self, "middle", middle)


class RouterError(Exception):
    """The graph has no answer. `answered` is the status of the step's answer, 0 where none came."""

    def __init__(
        self,
        cause: str,
        *,
        status: int = 500,
        node: str = "",
        step: Step | None = None,
        answered: int = 0,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
        self.node = node or (step.node if step else "")
        self.step = step
        self.answered = answered
