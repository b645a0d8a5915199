"""What a query comes to, over what replicas have told.

Prometheus, querying: an instant selector is the last value, a function over a range takes the
values in it, a counter that goes back began anew. A rate is the slope between the first and the
last value, without the extrapolation to the range's ends that Prometheus adds.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from sampan.autoscaler.errors import MetricError
from sampan.autoscaler.exposition import Series
from sampan.autoscaler.query import (
    Aggregate,
    Expression,
    Matcher,
    Number,
    Operation,
    OverTime,
    Selector,
)

Point: TypeAlias = tuple[float, float]
"""(when, value)."""
Told: TypeAlias = Mapping[Series, Sequence[Point]]
"""The values of each series that is there now, the oldest first."""


def evaluate(expression: Expression, told: Told, now: float) -> float:
    """Return the one number that a query comes to; none is 0, as KEDA reads an empty answer.

    Raise MetricError where there are several.
    """
    values = _values(expression, told, now)
    if len(values) > 1:
        raise MetricError(
            f"the query tells {len(values)} numbers and one is needed; wrap it in sum(...)"
        )
    value = values[0] if values else 0.0
    return value if math.isfinite(value) else 0.0


def _values(expression: Expression, told: Told, now: float) -> list[float]:
    match expression:
        case Number(value=value):
            return [value]
        case Selector(seconds=0.0):
            return [points[-1][1] for points in _select(expression, told) if points]
        case Selector():
            raise MetricError("a range needs a function around it, such as rate(...)")
        case OverTime(function=function, of=of):
            found = [_since(points, now - of.seconds) for points in _select(of, told)]
            made = [OVER_TIME[function](points) for points in found if points]
            return [value for value in made if value is not None]
        case Aggregate(function=function, of=of):
            values = _values(of, told, now)
            return [AGGREGATES[function](values)] if values else []
        case Operation():
            return _operate(expression, told, now)


def _operate(operation: Operation, told: Told, now: float) -> list[float]:
    left, right = (_values(side, told, now) for side in (operation.left, operation.right))
    if not left or not right:
        return []
    if len(left) > 1 or len(right) > 1:
        text = f'"{operation.sign}" joins one number with one; wrap its sides in sum(...)'
        raise MetricError(text)
    if operation.sign == "/" and right[0] == 0:
        return [math.nan]
    return [_OPERATIONS[operation.sign](left[0], right[0])]


def _select(selector: Selector, told: Told) -> list[Sequence[Point]]:
    return [
        points
        for series, points in told.items()
        if series.name == selector.name and _matches(selector.matchers, dict(series.labels))
    ]


def _matches(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    return all(_SIGNS[m.sign](labels.get(m.label, ""), m.value) for m in matchers)


def _since(points: Sequence[Point], start: float) -> list[Point]:
    return [point for point in points if point[0] >= start]


def _rate(points: Sequence[Point]) -> float | None:
    increase, seconds = _increase(points), points[-1][0] - points[0][0]
    return increase / seconds if increase is not None and seconds > 0 else None


def _increase(points: Sequence[Point]) -> float | None:
    """Return by how much a counter grew; one that went back began anew at 0."""
    if len(points) < 2:
        return None
    pairs = pairwise(points)
    return sum(after - before if after >= before else after for (_, before), (_, after) in pairs)


def _over(function: Callable[[list[float]], float]) -> Callable[[Sequence[Point]], float | None]:
    return lambda points: function([value for _, value in points])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


AGGREGATES: Mapping[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "avg": _mean,
    "min": min,
    "max": max,
    "count": lambda values: float(len(values)),
}
OVER_TIME: Mapping[str, Callable[[Sequence[Point]], float | None]] = {
    "rate": _rate,
    "irate": lambda points: _rate(points[-2:]),
    "increase": _increase,
    "avg_over_time": _over(_mean),
    "min_over_time": _over(min),
    "max_over_time": _over(max),
    "sum_over_time": _over(sum),
    "count_over_time": lambda points: float(len(points)),
    "last_over_time": lambda points: points[-1][1],
}
_OPERATIONS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_SIGNS: Mapping[str, Callable[[str, str], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "=~": lambda text, pattern: re.fullmatch(pattern, text) is not None,
    "!~": lambda text, pattern: re.fullmatch(pattern, text) is None,
}
