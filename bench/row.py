"""One measured comparison, as it is printed."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of output.

    `ratio` says how many times better ours is than the peer (above 1: better), whichever way the
    unit points. `goal` is a least ratio, or a limit for `ours` where `goal_of` says so. Values
    are medians; `rounds` holds every one that was measured, in order, for whoever doubts them.
    """

    name: str
    unit: str
    ours: float | None = None
    peer: float | None = None
    ratio: float | None = None
    goal: float | None = None
    goal_of: str = "ratio"
    holds: bool | None = None
    peer_is: str = ""
    note: str = ""
    skipped: str = ""
    error: str = ""
    rounds: dict[str, list[float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the row without what is empty; the six promised fields always."""
        kept = {"name", "unit", "ours", "peer", "ratio", "goal", "holds"}
        return {k: v for k, v in asdict(self).items() if k in kept or v not in ("", {}, None)}


@dataclass(frozen=True)
class Goal:
    """What a row promises: `ratio` times better than the peer at least, or `ours` in `limit`."""

    ratio: float | None = None
    limit: float | None = None


def make_row(
    name: str,
    unit: str,
    ours: list[float],
    peer: list[float],
    goal: Goal,
    **words: str,
) -> Row:
    """Return the row of measured rounds. Rates (`unit` ends in `/s`) are better when higher."""
    our_median, peer_median = _median(ours), _median(peer)
    ratio = _ratio(our_median, peer_median, higher_is_better=unit.endswith("/s"))
    holds = None
    if goal.limit is not None and our_median is not None:
        holds = our_median <= goal.limit
    elif goal.ratio is not None and ratio is not None:
        holds = ratio >= goal.ratio
    return Row(
        name=name,
        unit=unit,
        ours=our_median,
        peer=peer_median,
        ratio=ratio,
        goal=goal.limit if goal.limit is not None else goal.ratio,
        goal_of="ours" if goal.limit is not None else "ratio",
        holds=holds,
        rounds={"ours": _rounded(ours), "peer": _rounded(peer)},
        **words,
    )


def _median(values: list[float]) -> float | None:
    return round(statistics.median(values), 4) if values else None


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 4) for value in values]


def _ratio(ours: float | None, peer: float | None, *, higher_is_better: bool) -> float | None:
    if not ours or not peer:
        return None
    return round(ours / peer if higher_is_better else peer / ours, 3)
