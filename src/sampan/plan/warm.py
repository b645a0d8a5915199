"""When a service that may sleep is kept warm: "Mon-Fri 08:00-18:00". Pure.

While one of the times of its annotation is, one replica runs whatever comes; otherwise it sleeps as
it would without. Times are those of the machine's clock; one that ends before it begins ends on the
next day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sampan.plan.rollout_settings import WARM
from sampan.plan.service import annotations_of
from sampan.plan.types import Workload

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "|".join(DAYS)
_TIME = re.compile(
    rf"(?:(?P<daily>daily)|(?P<first>{_DAY})(?:-(?P<last>{_DAY}))?)\s+"
    r"(?P<begin>[0-2]?\d(?::[0-5]\d)?)\s*-\s*(?P<end>[0-2]?\d(?::[0-5]\d)?)"
)
_WEEK, _DAY_MINUTES = 7, 24 * 60
_EXAMPLE = 'write it as "Mon-Fri 08:00-18:00", or several of them with ";" between'


@dataclass(frozen=True, slots=True)
class WarmTime:
    """A time of the week: on these days (0: Monday), from and to minutes of the day."""

    days: frozenset[int]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Warmth:
    """Whether a service is kept warm now, and when that changes.

    `changes_at` is in seconds since the epoch, 0 for never.
    """

    warm: bool = False
    changes_at: float = 0.0


def derive_warmth(service: Mapping[str, Any], now: float) -> Warmth:
    """Return whether a service is kept warm; `now` is in seconds since the epoch."""
    times = _read(service)[0]
    if not times:
        return Warmth()
    local = datetime.fromtimestamp(now).astimezone()
    later = (moment for moment in _edges(times, local) if moment > local)
    return Warmth(is_warm(times, local), min(moment.timestamp() for moment in later))


def is_warm(times: tuple[WarmTime, ...], local: datetime) -> bool:
    """Return whether one of the times is at a moment of the machine's clock."""
    minute = local.hour * 60 + local.minute
    return any(_is_in(one, local.weekday(), minute) for one in times)


def keep_warm(workload: Workload, warmth: Warmth) -> Workload:
    """Return a workload that keeps a replica while it is to be warm."""
    if not warmth.warm or workload.scaling.minimum != 0:
        return workload
    scaling = replace(workload.scaling, minimum=1)
    return replace(workload, scaling=scaling, replicas=max(1, workload.replicas))


def parse_warm_times(text: str) -> tuple[WarmTime, ...]:
    """Return the times of an annotation; raises ValueError for what is none."""
    return tuple(_parse(part.strip()) for part in text.split(";"))


def warm_warnings(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield `(path, sentence)` where the annotation has no effect."""
    if wrong := _read(service)[1]:
        yield f'metadata.annotations["{WARM}"]', wrong


def _read(service: Mapping[str, Any]) -> tuple[tuple[WarmTime, ...], str]:
    text = annotations_of(service).get(WARM, "")
    if not text:
        return (), ""
    try:
        return parse_warm_times(text), ""
    except ValueError as error:
        return (), str(error)


def _parse(text: str) -> WarmTime:
    found = _TIME.fullmatch(text.lower())
    if found is None:
        raise ValueError(f'"{text}" is no time of the week; {_EXAMPLE}')
    first = DAYS.index(found["first"] or "mon")
    last = DAYS.index(found["last"] or found["first"] or "sun")
    span = (last - first) % _WEEK + 1
    days = frozenset((first + n) % _WEEK for n in range(span))
    begin, end = _minutes(found["begin"], text), _minutes(found["end"], text)
    if begin == end:
        raise ValueError(f'"{text}" begins when it ends; {_EXAMPLE}')
    return WarmTime(days, begin, end)


def _minutes(text: str, whole: str) -> int:
    hour, _, minute = text.partition(":")
    total = int(hour) * 60 + int(minute or 0)
    if total > _DAY_MINUTES:
        raise ValueError(f'"{whole}" names an hour after 24:00; {_EXAMPLE}')
    return total


def _is_in(one: WarmTime, day: int, minute: int) -> bool:
    if one.begin < one.end:
        return day in one.days and one.begin <= minute < one.end
    yesterday = (day - 1) % _WEEK
    return (day in one.days and minute >= one.begin) or (yesterday in one.days and minute < one.end)


def _edges(times: tuple[WarmTime, ...], local: datetime) -> Iterator[datetime]:
    """Yield the beginnings and ends of a week and a day from now on, in no order."""
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    for ahead in range(-1, _WEEK + 1):
        day = midnight + timedelta(days=ahead)
        for one in times:
            if day.weekday() in one.days:
                until = one.end if one.begin < one.end else one.end + _DAY_MINUTES
                for minute in (one.begin, until):
                    yield (day + timedelta(minutes=minute)).astimezone()
