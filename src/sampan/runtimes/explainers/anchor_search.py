"""Anchors: the shortest rule under which a model nearly always says what it says of a row.

Ribeiro, Singh and Guestrin, "Anchors: High-Precision Model-Agnostic Explanations" (2018): rules
grow by one condition at a time, the best few of each length are kept (a beam), and each is tried
only as often as it takes to tell it from the others (bounds by Kullback-Leibler).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import NamedTuple, TypeAlias

Rule: TypeAlias = frozenset[int]
"""The features whose conditions hold."""

Sample: TypeAlias = Callable[[Rule, int], int]
"""Tries a rule on so many rows that keep it; returns of how many the model says the same."""


class Search(NamedTuple):
    """How sure to be: `threshold` is the precision that a rule must have, but for a chance of
    `delta`; bounds closer than `tolerance` are as good as equal; `budget` rows at most."""

    threshold: float = 0.95
    delta: float = 0.1
    tolerance: float = 0.15
    beam: int = 3
    batch: int = 100
    budget: int = 100_000


@dataclass(slots=True)
class Tried:
    """How often a rule was tried, and how often the model said the same."""

    tries: int = 0
    same: int = 0

    @property
    def mean(self) -> float:
        """The precision as far as it is known."""
        return self.same / self.tries if self.tries else 0.0


class Found(NamedTuple):
    """The rule that was found, and whether it has the precision that was asked for."""

    rule: Rule
    precision: float
    holds: bool


class Trials:
    """What is known of each rule, and how many rows that took."""

    def __init__(self, sample: Sample, search: Search) -> None:
        self._sample = sample
        self._search = search
        self._known: dict[Rule, Tried] = {}
        self.spent = 0

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        return self.spent >= self._search.budget

    def ask(self, rule: Rule) -> None:
        """Try a rule once more."""
        batch = self._search.batch
        known = self._known.setdefault(rule, Tried())
        known.same += self._sample(rule, batch)
        known.tries += batch
        self.spent += batch

    def of(self, rule: Rule) -> Tried:
        """Return what is known of a rule, which is tried where nothing is."""
        if rule not in self._known:
            self.ask(rule)
        return self._known[rule]

    def mean(self, rule: Rule) -> float:
        """Return the precision of a rule as far as it is known."""
        return self.of(rule).mean

    def low(self, rule: Rule, level: float) -> float:
        """Return the lower bound of its precision."""
        return lower(self.of(rule).mean, level / self.of(rule).tries)

    def high(self, rule: Rule, level: float) -> float:
        """Return the upper bound of its precision."""
        return upper(self.of(rule).mean, level / self.of(rule).tries)


def upper(mean: float, level: float) -> float:
    """Return the largest precision from which the mean is no further than `level` (KL)."""
    return _bound(mean, level, 1.0)


def lower(mean: float, level: float) -> float:
    """Return the smallest such precision."""
    return _bound(mean, level, 0.0)


def divergence(p: float, q: float) -> float:
    """Return the Kullback-Leibler divergence of two coins."""
    q = min(max(q, 1e-12), 1 - 1e-12)
    total = p * math.log(p / q) if p > 0 else 0.0
    return total + ((1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0)


def find_anchor(
    features: int, sample: Sample, coverage: Callable[[Rule], float], search: Search
) -> Found:
    """Return the rule of the fewest conditions with enough precision, of those the widest.

    Where none has it, the most precise that was met. `coverage` is the share of rows that keep a
    rule.
    """
    trials = Trials(sample, search)
    beam: list[Rule] = [frozenset()]
    best: Rule = frozenset()
    for length in range(features + 1):
        if length:
            grown = {rule | {one} for rule in beam for one in range(features) if one not in rule}
            beam = _select_beam(sorted(grown, key=sorted), trials, search)
        good = [rule for rule in beam if _is_precise(rule, trials, search)]
        if good:
            best = max(good, key=coverage)
            return Found(best, trials.mean(best), holds=True)
        best = max((best, *beam), key=trials.mean)
        if trials.over:
            break
    return Found(best, trials.mean(best), holds=False)


def _select_beam(rules: list[Rule], trials: Trials, search: Search) -> list[Rule]:
    """Return the most precise rules, each tried until they are told from the rest (KL-LUCB)."""
    for turn in count(1):
        ranked = sorted(rules, key=lambda rule: -trials.mean(rule))
        kept, rest = ranked[: search.beam], ranked[search.beam :]
        if not rest or trials.over:
            break
        # Kaufmann and Kalyanakrishnan, 2013: the level grows with turns and rules.
        level = math.log(405.5 * len(rules) * turn**1.1 / search.delta)
        level += math.log(level)
        weakest = min(kept, key=partial(trials.low, level=level))
        rival = max(rest, key=partial(trials.high, level=level))
        if trials.high(rival, level) - trials.low(weakest, level) < search.tolerance:
            break
        trials.ask(weakest)
        trials.ask(rival)
    return kept


def _is_precise(rule: Rule, trials: Trials, search: Search) -> bool:
    """Tell whether a rule has the precision, trying it until that is clear or the budget spent."""
    level, least = math.log(1 / search.delta), search.threshold - search.tolerance / 3
    while True:
        mean = trials.mean(rule)
        if mean >= search.threshold and trials.low(rule, level) >= least:
            return True
        if mean < least or trials.high(rule, level) < search.threshold:
            return False
        if trials.over:
            return mean >= search.threshold
        trials.ask(rule)


def _bound(mean: float, level: float, end: float) -> float:
    """Return how far towards `end` a precision may be, to a millionth, by halving."""
    near, far = mean, end
    while abs(far - near) > 1e-6:
        middle = (near + far) / 2
        if divergence(mean, middle) > level:
            far = middle
        else:
            near = middle
    return (near + far) / 2
