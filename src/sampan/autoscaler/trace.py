"""A load over time, as a table of text: `second,concurrency` or `second,requests`."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

METRICS = {"concurrency": "concurrency", "requests": "rps"}
"""The columns that a trace may have, and the metric that each one is."""

LONGEST = 7 * 86_400
"""Seconds of a trace: a week is simulated in some ten seconds."""


class TraceError(ValueError):
    """A trace that cannot be read: the message names the line, the value and what mends it."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A load: the value of each second from 0 on, and the metric that it is."""

    metric: str
    values: tuple[float, ...]


def parse_trace(text: str) -> Trace:
    """Return a trace; a value holds until the next row's second. Raises TraceError."""
    rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"))))
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if len(header) != 2 or header[0] != "second" or header[1] not in METRICS:
        told = ",".join(header) or "nothing"
        raise TraceError(
            f'line 1 is "{told}"; write "second,concurrency" (requests in flight) or '
            '"second,requests" (requests that came in the second)'
        )
    values: list[float] = []
    for number, row in enumerate(rows[1:], start=2):
        if any(cell.strip() for cell in row):
            _extend(values, *_read(number, row), number)
    if not values:
        raise TraceError('there is no row below the header; write one as "0,5"')
    return Trace(METRICS[header[1]], tuple(values))


def _read(number: int, row: list[str]) -> tuple[int, float]:
    if len(row) != 2:
        raise TraceError(
            f'line {number} is "{",".join(row)}"; write a second and a value, as "0,5"'
        )
    second, value = row[0].strip(), row[1].strip()
    if not second.isdecimal() or int(second) >= LONGEST:
        raise TraceError(
            f'line {number} has the second "{second}"; write a whole number from 0 to {LONGEST - 1}'
        )
    try:
        read = float(value)
    except ValueError:
        read = math.nan
    if not 0 <= read < math.inf:
        raise TraceError(f'line {number} has the value "{value}"; write a number from 0')
    return int(second), read


def _extend(values: list[float], second: int, value: float, number: int) -> None:
    if second < len(values):
        raise TraceError(
            f"line {number} has the second {second}, which is not after {len(values) - 1}; "
            "sort the rows by their second, each once"
        )
    before = values[-1] if values else 0.0
    values += [before] * (second - len(values))
    values.append(value)
