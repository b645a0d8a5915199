"""Replicas over time as a chart of text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sampan.autoscaler.simulate import Moment

HEIGHT = 10
SERVING, STARTING = "█", "▒"
_EIGHTHS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Column:
    """The most of each within the seconds that one column stands for."""

    load: float
    wanted: int
    ready: int


def render_chart(moments: Sequence[Moment], unit: str, width: int) -> str:
    """Return the chart: replicas that serve and that start, and the load below them."""
    columns = list(fold(moments, max(20, width - 8)))
    most = max((max(c.wanted, c.ready) for c in columns), default=0) or 1
    step = max(1, -(-most // HEIGHT))
    lines = [
        f"replicas ({SERVING} serving, {STARTING} starting)",
        *(f"{level:>6} {_row(columns, level, step)}" for level in _levels(most, step)),
        f"{'0':>6} {'─' * len(columns)}",
        f"{'load':>6} {_sparks([c.load for c in columns])}",
        f"{'':>6} {_axis(len(moments), len(columns))}",
        f"at most {max((m.load for m in moments), default=0):g} {unit}",
    ]
    return "\n".join(line.rstrip() for line in lines)


def fold(moments: Sequence[Moment], width: int) -> Iterator[Column]:
    """Yield at most `width` columns, each of equally many seconds."""
    each = max(1, -(-len(moments) // width))
    for start in range(0, len(moments), each):
        part = moments[start : start + each]
        yield Column(
            max(m.load for m in part), max(m.wanted for m in part), max(m.ready for m in part)
        )


def _levels(most: int, step: int) -> range:
    return range(-(-most // step) * step, 0, -step)


def _row(columns: Sequence[Column], level: int, step: int) -> str:
    """A cell is filled where more than the level below it is reached."""
    floor = level - step
    return "".join(
        SERVING if c.ready > floor else STARTING if c.wanted > floor else " " for c in columns
    )


def _sparks(loads: Sequence[float]) -> str:
    most = max(loads, default=0.0)
    if not most:
        return " " * len(loads)
    # Any load at all is seen.
    return "".join(_EIGHTHS[max(int(bool(v)), round(8 * v / most))] for v in loads)


def _axis(seconds: int, width: int) -> str:
    last = f"{seconds} s"
    return "0 s" + last.rjust(max(len(last) + 1, width - 3))
