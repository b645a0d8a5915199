"""A part of PromQL, read: what asks replicas for one number, such as `sum(rate(a_total[1m]))`.

Prometheus, querying: selectors with matchers, functions over a range, aggregations without `by`,
numbers and the four operations. A query that says more is refused with what is known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sampan.autoscaler.errors import MetricError
from sampan.machinery.go_duration import parse_duration

AGGREGATES = ("sum", "avg", "min", "max", "count")
OVER_TIME = (
    "rate", "irate", "increase", "avg_over_time", "min_over_time", "max_over_time",
    "sum_over_time", "count_over_time", "last_over_time",
)  # fmt: skip
LONGEST_RANGE = 3600.0
"""Seconds: what replicas told is remembered so long at most."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[a-zA-Z_:][\w:]*)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<range>\[[^\]]*\])
    |(?P<sign>=~|!~|!=|[-+*/(){}=,]))""",
    re.ASCII | re.VERBOSE,
)
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands."""

    value: float


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label: `sign` is one of `=`, `!=`, `=~`, `!~`."""

    label: str
    sign: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """The series of a metric that match, and how many seconds of them (0: the last value)."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class OverTime:
    """One value of each series from its values in a range."""

    function: str
    of: Selector


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One value of all series."""

    function: str
    of: Expression


@dataclass(frozen=True, slots=True)
class Operation:
    """Two values made one."""

    sign: str
    left: Expression
    right: Expression


Expression: TypeAlias = Number | Selector | OverTime | Aggregate | Operation


def parse_query(text: str) -> Expression:
    """Return what a query asks for; raise MetricError naming what cannot be read."""
    reader = _Reader(text)
    found = reader.sum()
    if reader.kind:
        raise reader.refused()
    return found


def find_selectors(expression: Expression) -> Iterator[Selector]:
    """Yield every selector in an expression."""
    match expression:
        case Selector():
            yield expression
        case OverTime(of=of) | Aggregate(of=of):
            yield from find_selectors(of)
        case Operation(left=left, right=right):
            yield from find_selectors(left)
            yield from find_selectors(right)


class _Reader:
    """Reads an expression from left to right; `kind` and `word` are the token that comes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = self._end = self._depth = 0
        self.kind = self.word = ""
        self._next()

    def sum(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise MetricError(f"the query nests more than {_DEEPEST} deep; write it plainer")
        found = self._product()
        while self.word in ("+", "-") and self.kind == "sign":
            found = Operation(self._take(), found, self._product())
        self._depth -= 1
        return found

    def refused(self) -> MetricError:
        """Return the error about the token that comes."""
        rest = self._text[self._at :].strip()
        where = f'"{rest[:40]}"' if rest else "the end"
        return MetricError(
            f'the query "{self._text}" cannot be read from {where} on; replicas are asked with '
            f"selectors, {', '.join(AGGREGATES)}, {', '.join(OVER_TIME[:3])}, ..._over_time and "
            '+ - * /; for more of PromQL name a Prometheus in "serverAddress"'
        )

    def _product(self) -> Expression:
        found = self._single()
        while self.word in ("*", "/") and self.kind == "sign":
            found = Operation(self._take(), found, self._single())
        return found

    def _single(self) -> Expression:
        if self.kind == "number":
            return Number(float(self._take()))
        if self._skip("("):
            found = self.sum()
            self._must(")")
            return found
        if self.kind != "name":
            raise self.refused()
        start, name = self._at, self._take()
        if self.word != "(" or self.kind != "sign":
            return self._selector(name)
        if name not in AGGREGATES + OVER_TIME:
            self._at = start
            raise self.refused()
        self._take()
        argument = self.sum()
        self._must(")")
        if name in AGGREGATES:
            return Aggregate(name, argument)
        if not isinstance(argument, Selector) or not argument.seconds:
            raise MetricError(f'"{name}" needs a range, such as {name}(requests_total[1m])')
        return OverTime(name, argument)

    def _selector(self, name: str) -> Selector:
        matchers = []
        if self._skip("{"):
            while not self._skip("}"):
                matchers.append(self._matcher())
                if not self._skip(","):
                    self._must("}")
                    break
        if self.kind != "range":
            return Selector(name, tuple(matchers))
        return Selector(name, tuple(matchers), self._range())

    def _matcher(self) -> Matcher:
        if self.kind != "name":
            raise self.refused()
        label = self._take()
        if self.kind != "sign" or self.word not in ("=", "!=", "=~", "!~"):
            raise self.refused()
        sign = self._take()
        if self.kind != "string":
            raise self.refused()
        value = re.sub(r"\\(.)", r"\1", self._take()[1:-1])
        if sign.endswith("~"):
            try:
                re.compile(value)
            except re.error as error:
                raise MetricError(f'"{value}" is no regular expression: {error}') from error
        return Matcher(label, sign, value)

    def _range(self) -> float:
        text = self._take()[1:-1].strip()
        try:
            seconds = parse_duration(text)
        except ValueError as error:
            raise MetricError(f"{error}") from error
        if not 0 < seconds <= LONGEST_RANGE:
            raise MetricError(f'the range "{text}" must be above 0 and at most 1h')
        return seconds

    def _skip(self, sign: str) -> bool:
        found = self.kind == "sign" and self.word == sign
        if found:
            self._next()
        return found

    def _must(self, sign: str) -> None:
        if not self._skip(sign):
            raise self.refused()

    def _take(self) -> str:
        word = self.word
        self._next()
        return word

    def _next(self) -> None:
        self._at = self._end
        found = _TOKEN.match(self._text, self._end)
        self.kind, self.word = "", ""
        if found:
            self._end, self.kind = found.end(), str(found.lastgroup)
            self.word = found[self.kind]
        elif self._text[self._end :].strip():
            raise self.refused()
