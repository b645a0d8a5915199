"""One value as text, read within its bounds; each mistake names the key, the value and the bounds.

Shared by the annotations of a revision and the keys of `config-autoscaler`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sampan.machinery.go_duration import parse_duration

HOUR = 3600.0

Read = TypeVar("Read")


class AutoscalerValueError(ValueError):
    """A value that cannot be meant: the message names the key, the value and what can be."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be: from `low` to `high`, both allowed; or one of `also`."""

    low: float
    high: float = math.inf
    also: tuple[float, ...] = ()

    def render(self) -> str:
        """Return the bounds as words."""
        upper = f" and at most {self.high:g}" if self.high < math.inf else ""
        more = "".join(f", or {value:g}" for value in self.also)
        return f"at least {self.low:g}{upper}{more}"

    def hold(self, value: float) -> bool:
        """Tell whether a number is allowed; NaN never is."""
        return self.low <= value <= self.high or value in self.also


def read_number(key: str, text: str, bounds: Bounds) -> float:
    """Return a number; raises AutoscalerValueError."""
    return _bounded(key, text, float, bounds, "a number")


def read_integer(key: str, text: str, bounds: Bounds) -> int:
    """Return a whole number; raises AutoscalerValueError."""
    return int(_bounded(key, text, int, bounds, "a whole number"))


def read_seconds(key: str, text: str, bounds: Bounds) -> float:
    """Return a duration in seconds, whole ones only; raises AutoscalerValueError."""
    value = _bounded(key, text, parse_duration, bounds, 'a duration such as "90s"')
    if value != int(value):
        raise AutoscalerValueError(f'"{key}" is "{text}"; it must be whole seconds')
    return value


def read_flag(key: str, text: str) -> bool:
    """Return whether a text says true, as Go's ParseBool and Knative read it."""
    if text.lower() not in {"true", "false"}:
        raise AutoscalerValueError(f'"{key}" is "{text}"; it must be "true" or "false"')
    return text.lower() == "true"


def read_choice(key: str, text: str, choices: tuple[str, ...]) -> str:
    """Return one of the choices; raises AutoscalerValueError."""
    if text not in choices:
        allowed = ", ".join(f'"{choice}"' for choice in choices)
        raise AutoscalerValueError(f'"{key}" is "{text}"; it must be one of {allowed}')
    return text


def _bounded(
    key: str, text: str, parse: Callable[[str], float], bounds: Bounds, what: str
) -> float:
    try:
        value = parse(text.strip())
    except ValueError:
        raise AutoscalerValueError(f'"{key}" is "{text}"; it must be {what}') from None
    if not bounds.hold(value):
        raise AutoscalerValueError(f'"{key}" is "{text}"; it must be {bounds.render()}')
    return value
