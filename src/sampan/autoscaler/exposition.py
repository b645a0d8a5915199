"""Prometheus's text format, read: the samples of some metrics in what a server tells of itself.

Prometheus, exposition formats: a line is `name{label="value"} number`, and a timestamp or an
exemplar may follow. What is no sample is passed over, as Prometheus's own readers pass comments.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

_LINE = re.compile(
    r'(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s*(?P<rest>.*)',
    re.ASCII,
)
_LABEL = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"', re.ASCII)
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True, slots=True)
class Series:
    """What tells one line of numbers from another: the metric's name and its sorted labels."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()


def make_series(name: str, labels: Mapping[str, str]) -> Series:
    """Return the series of a metric with labels."""
    return Series(name, tuple(sorted(labels.items())))


def parse_samples(text: str, names: Collection[str]) -> Iterator[tuple[Series, float]]:
    """Yield the samples of these metrics."""
    starts = tuple(names)
    for line in text.splitlines():
        if not line.startswith(starts):
            continue
        found = _LINE.match(line)
        if found and found["name"] in names and (value := _number(found["rest"])) is not None:
            yield make_series(found["name"], _labels(found["labels"] or "")), value


def _labels(text: str) -> dict[str, str]:
    return {name: _unescape(value) for name, value in _LABEL.findall(text)}


def _unescape(text: str) -> str:
    return re.sub(r"\\.", lambda found: _ESCAPES.get(found[0], found[0]), text)


def _number(rest: str) -> float | None:
    words = rest.split()
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None
