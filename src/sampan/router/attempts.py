"""How a step with options is taken: asked again, asked twice at once, or another in its place.

Sampan's own: KServe's router asks once. What counts as failed is what another attempt may mend: no
answer, or 502, 503 and 504; for another in its place, any 5xx.
"""

from __future__ import annotations

from sampan.router.body import Body
from sampan.router.graph import Step
from sampan.router.steps import Call, Go, Outcome, Pause, Race, RouterError, Walk, Way

PASSING = frozenset({502, 503, 504})
"""Statuses of who is not there now and may be in a moment (RFC 9110, section 15.6)."""

FIRST_PAUSE = 0.025
"""Seconds before the second attempt; each further pause is twice as long."""


def attempt(step: Step, body: Body, walk: Walk, take: Go) -> Way:
    """Return the outcome of a step, or of its fallback."""
    try:
        outcome = yield from _again(step, body, walk, take)
    except RouterError:
        if step.fallback is None:
            raise
    else:
        if step.fallback is None or outcome.status < 500:
            return outcome
    return (yield from take(step.fallback, body, walk))


def _again(step: Step, body: Body, walk: Walk, take: Go) -> Way:
    if not step.options.repeats:
        return (yield from take(step, body, walk))
    budget = walk.budgets[step.place]
    budget.earn()
    pause = FIRST_PAUSE
    for left in range(step.options.attempts - 1, -1, -1):
        try:
            outcome = yield from _ask(step, body, walk)
        except RouterError:
            if not left or not budget.spend():
                raise
        else:
            if outcome.status not in PASSING or not left or not budget.spend():
                return outcome
        yield Pause(pause)
        pause *= 2
    raise AssertionError("the last attempt returns or raises")


def _ask(step: Step, body: Body, walk: Walk) -> Way:
    call, hedge = Call(step, body, walk.ends), step.options.hedge
    budget = walk.budgets[step.place]
    answer: Outcome = yield call if hedge is None else Race(call, hedge, budget.spend)
    return answer
