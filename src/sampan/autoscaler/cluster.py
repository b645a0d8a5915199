"""`config-autoscaler`: what holds for every revision that does not say otherwise.

Knative Serving, the keys of that ConfigMap. A bad value names its key and keeps the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sampan.autoscaler.settings import Defaults
from sampan.autoscaler.target import LEAST
from sampan.autoscaler.values import (
    HOUR,
    AutoscalerValueError,
    Bounds,
    read_flag,
    read_integer,
    read_number,
    read_seconds,
)
from sampan.machinery.suggest import did_you_mean

_Reader = Callable[[str, str], Any]


def _number(low: float, high: float = float("inf"), also: tuple[float, ...] = ()) -> _Reader:
    return lambda key, text: read_number(key, text, Bounds(low, high, also))


def _integer(low: int) -> _Reader:
    return lambda key, text: read_integer(key, text, Bounds(low))


def _seconds(low: float, high: float = float("inf")) -> _Reader:
    return lambda key, text: read_seconds(key, text, Bounds(low, high))


def _share(key: str, text: str) -> float:
    """Read percent; up to 1 it is a fraction, as an older configuration wrote it."""
    value = read_number(key, text, Bounds(0.0001, 100))
    return value * 100 if value <= 1 else value


ABOVE_ONE = 1.000001

KEYS: Mapping[str, tuple[str, _Reader]] = {
    "pod-autoscaler-class": ("autoscaler_class", lambda _key, text: text),
    "container-concurrency-target-default": ("concurrency_target", _number(LEAST)),
    "requests-per-second-target-default": ("requests_per_second_target", _number(LEAST)),
    "container-concurrency-target-percentage": ("target_percentage", _share),
    "min-scale": ("min_scale", _integer(0)),
    "max-scale": ("max_scale", _integer(0)),
    "max-scale-limit": ("max_scale_limit", _integer(0)),
    "initial-scale": ("initial_scale", _integer(0)),
    "allow-zero-initial-scale": ("allow_zero_initial_scale", read_flag),
    "scale-down-delay": ("scale_down_delay", _seconds(0, HOUR)),
    "scale-to-zero-pod-retention-period": ("pod_retention", _seconds(0, HOUR)),
    "stable-window": ("stable_window", _seconds(6, HOUR)),
    "panic-window-percentage": ("panic_window_percentage", _number(1, 100)),
    "panic-threshold-percentage": ("panic_threshold_percentage", _number(110, 1000)),
    "target-burst-capacity": ("target_burst_capacity", _number(0, also=(-1,))),
    "max-scale-up-rate": ("max_scale_up_rate", _number(ABOVE_ONE)),
    "max-scale-down-rate": ("max_scale_down_rate", _number(ABOVE_ONE)),
    "scale-to-zero-grace-period": ("grace_period", _seconds(1)),
    "enable-scale-to-zero": ("enable_scale_to_zero", read_flag),
    "activator-capacity": ("activator_capacity", _number(1)),
}
"""Each key, the field it fills and how its text is read."""


def read_defaults(data: Mapping[str, str]) -> tuple[Defaults, list[str]]:
    """Return the defaults that the ConfigMap's data give, and what is wrong with it."""
    read: dict[str, Any] = {}
    problems: list[str] = []
    for key, text in data.items():
        if key.startswith("_"):
            continue  # Knative's own `_example`, which documents the keys
        if key not in KEYS:
            near = did_you_mean(key, KEYS)
            problems.append(f'"{key}" is no key of config-autoscaler{near}')
            continue
        name, reader = KEYS[key]
        try:
            read[name] = reader(key, text)
        except AutoscalerValueError as error:
            problems.append(str(error))
    defaults = replace(Defaults(), **read)
    return defaults, problems + validate_defaults(defaults)


def validate_defaults(defaults: Defaults) -> list[str]:
    """Return what is wrong with defaults that are right one by one."""
    problems = []
    if defaults.max_scale and defaults.max_scale < defaults.min_scale:
        problems.append(f'"max-scale" is {defaults.max_scale}, below "min-scale"')
    if defaults.max_scale_limit and defaults.max_scale > defaults.max_scale_limit:
        problems.append(f'"max-scale" is {defaults.max_scale}, above "max-scale-limit"')
    if defaults.initial_scale == 0 and not defaults.allow_zero_initial_scale:
        problems.append('"initial-scale" is 0; "allow-zero-initial-scale" must allow it')
    return problems
