"""Ages as kubectl prints them: two units at most, coarser with age. Pure."""

from __future__ import annotations

from sampan.machinery.timestamps import seconds

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 86400 * 365

_SCALE = (
    # below this many seconds -> (unit, its letter, smaller unit or 0, its letter); the bounds are
    # those of apimachinery's duration.HumanDuration
    (2 * MINUTE, 1, "s", 0, ""),
    (10 * MINUTE, MINUTE, "m", 1, "s"),
    (3 * HOUR, MINUTE, "m", 0, ""),
    (8 * HOUR, HOUR, "h", MINUTE, "m"),
    (48 * HOUR, HOUR, "h", 0, ""),
    (8 * DAY, DAY, "d", HOUR, "h"),
    (2 * YEAR, DAY, "d", 0, ""),
    (8 * YEAR, YEAR, "y", DAY, "d"),
)


def render_duration(elapsed: float) -> str:
    """Return seconds as kubectl's AGE (`5s`, `3m20s`, `2d4h`); `<invalid>` for the future."""
    whole = int(elapsed)
    if whole < -1:  # a second or two ahead is another machine's clock, not a mistake
        return "<invalid>"
    whole = max(whole, 0)
    for bound, unit, letter, small, small_letter in _SCALE:
        if whole < bound:
            rest = whole % unit // small if small else 0
            return f"{whole // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{whole // YEAR}y"


def render_age(timestamp: str | None, now: float) -> str:
    """Return the age of a Kubernetes timestamp; `<unknown>` where there is none."""
    if not timestamp:
        return "<unknown>"
    try:
        return render_duration(now - seconds(timestamp))
    except ValueError:
        return "<invalid>"
