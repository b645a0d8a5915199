"""The annotations `autoscaling.knative.dev/…` of a revision, read and checked.

Knative Serving, annotation validation. All mistakes are told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sampan.autoscaler.settings import Defaults, Settings
from sampan.autoscaler.target import LEAST, select_target, select_total
from sampan.autoscaler.values import (
    HOUR,
    AutoscalerValueError,
    Bounds,
    read_choice,
    read_integer,
    read_number,
    read_seconds,
)
from sampan.autoscaler.windows import panic_seconds

DOMAIN = "autoscaling.knative.dev/"
KPA, HPA = f"kpa.{DOMAIN[:-1]}", f"hpa.{DOMAIN[:-1]}"

METRICS = {KPA: ("concurrency", "rps"), HPA: ("cpu", "memory")}
"""What each class measures; the second one also takes the name of any custom metric."""

CAMEL_CASE = frozenset(
    {
        "target-utilization-percentage",
        "min-scale",
        "max-scale",
        "initial-scale",
        "scale-down-delay",
        "scale-to-zero-pod-retention-period",
        "panic-window-percentage",
        "panic-threshold-percentage",
        "target-burst-capacity",
        "metric-aggregation-algorithm",
    }
)
"""Keys that are also read as `minScale` and the like."""

_NOT_NEGATIVE = Bounds(0)
_PERCENT = Bounds(1, 100)

READERS: Mapping[str, Callable[[str, str], Any]] = {
    "target": lambda key, text: read_number(key, text, Bounds(LEAST)),
    "target-utilization-percentage": lambda key, text: read_number(key, text, _PERCENT),
    "min-scale": lambda key, text: read_integer(key, text, _NOT_NEGATIVE),
    "max-scale": lambda key, text: read_integer(key, text, _NOT_NEGATIVE),
    "initial-scale": lambda key, text: read_integer(key, text, _NOT_NEGATIVE),
    "activation-scale": lambda key, text: read_integer(key, text, Bounds(2)),
    "scale-down-delay": lambda key, text: read_seconds(key, text, Bounds(0, HOUR)),
    "scale-to-zero-pod-retention-period": lambda key, text: read_seconds(
        key, text, Bounds(0, HOUR)
    ),
    "window": lambda key, text: read_seconds(key, text, Bounds(6, HOUR)),
    "panic-window-percentage": lambda key, text: read_number(key, text, _PERCENT),
    "panic-threshold-percentage": lambda key, text: read_number(key, text, Bounds(110, 1000)),
    "target-burst-capacity": lambda key, text: read_number(key, text, Bounds(0, also=(-1,))),
    "metric-aggregation-algorithm": lambda key, text: read_choice(
        key, text, ("linear", "weighted-exponential")
    ),
}


def read_settings(
    annotations: Mapping[str, str], container_concurrency: int, defaults: Defaults
) -> tuple[Settings, list[str]]:
    """Return what holds for a revision, and what is wrong with its annotations.

    A value that is wrong counts as absent. `container_concurrency` 0: no limit.
    """
    given = find_annotations(annotations)
    problems: list[str] = []
    read: dict[str, Any] = {}
    for key, text in given.items():
        try:
            read[key] = READERS[key](DOMAIN + key, text) if key in READERS else text
        except AutoscalerValueError as error:
            problems.append(str(error))
    settings = _settings(read, container_concurrency, defaults)
    return settings, problems + validate_together(read, settings)


def find_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the annotations of the domain by their short key; an alias gives way to its key."""
    aliases = {_camel(key): key for key in CAMEL_CASE}
    own = {
        key.removeprefix(DOMAIN): text
        for key, text in annotations.items()
        if key.startswith(DOMAIN)
    }
    by_alias = {aliases[key]: text for key, text in own.items() if key in aliases}
    return by_alias | {key: text for key, text in own.items() if key not in aliases}


def _camel(key: str) -> str:
    first, *rest = key.split("-")
    return first + "".join(word.capitalize() for word in rest)


def _settings(read: Mapping[str, Any], container_concurrency: int, defaults: Defaults) -> Settings:
    metric = read.get("metric", "concurrency")
    metric = metric if metric in METRICS[KPA] else "concurrency"
    total = select_total(metric, read.get("target"), container_concurrency, defaults)
    share = read.get("target-utilization-percentage", defaults.target_percentage)
    stable = read.get("window", defaults.stable_window)
    panic = read.get("panic-window-percentage", defaults.panic_window_percentage)
    threshold = read.get("panic-threshold-percentage", defaults.panic_threshold_percentage)
    retention = "scale-to-zero-pod-retention-period"
    return Settings(
        metric=metric,
        target=select_target(total, share),
        total=total,
        minimum=read.get("min-scale", defaults.min_scale),
        maximum=read.get("max-scale", defaults.max_scale),
        initial=read.get("initial-scale", defaults.initial_scale),
        activation=read.get("activation-scale", 1),
        stable_window=int(stable),
        panic_window=panic_seconds(stable, panic),
        panic_threshold=threshold / 100,
        algorithm=read.get("metric-aggregation-algorithm", "linear"),
        scale_down_delay=read.get("scale-down-delay", defaults.scale_down_delay),
        pod_retention=read.get(retention, defaults.pod_retention),
        burst_capacity=read.get("target-burst-capacity", defaults.target_burst_capacity),
        defaults=defaults,
    )


def validate_together(read: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return what is wrong with values that are right one by one."""
    return [
        *_validate_class(read),
        *_validate_maximum(read, settings),
        *_validate_start(read, settings),
    ]


def _validate_class(read: Mapping[str, Any]) -> list[str]:
    name = read.get("class", KPA)
    if not name.endswith("." + DOMAIN[:-1]):
        return []  # another domain's autoscaler: its own business
    if name not in METRICS:
        return [f'"{DOMAIN}class" is "{name}"; it must be "{KPA}" or "{HPA}"']
    problems = []
    if name == KPA and read.get("metric", "concurrency") not in METRICS[KPA]:
        allowed = " or ".join(f'"{metric}"' for metric in METRICS[KPA])
        problems.append(f'"{DOMAIN}metric" is "{read["metric"]}"; for "{KPA}" it must be {allowed}')
    if name == HPA and "metric-aggregation-algorithm" in read:
        problems.append(f'"{DOMAIN}metric-aggregation-algorithm" has no effect with "{HPA}"')
    return problems


def _validate_maximum(read: Mapping[str, Any], settings: Settings) -> list[str]:
    problems = []
    most, limit = settings.maximum, settings.defaults.max_scale_limit
    if most and most < settings.minimum:
        problems.append(
            f'"{DOMAIN}max-scale" is {most} and "{DOMAIN}min-scale" {settings.minimum}; '
            "the maximum must be at least the minimum"
        )
    if limit and "max-scale" in read and not 1 <= most <= limit:
        problems.append(
            f'"{DOMAIN}max-scale" is {most}; "max-scale-limit" allows from 1 to {limit}'
        )
    return problems


def _validate_start(read: Mapping[str, Any], settings: Settings) -> list[str]:
    problems = []
    if read.get("initial-scale") == 0 and not settings.defaults.allow_zero_initial_scale:
        problems.append(f'"{DOMAIN}initial-scale" is 0; "allow-zero-initial-scale" must allow it')
    least = read.get("activation-scale")
    if least is None:
        return problems
    if least < settings.minimum or (settings.maximum and least > settings.maximum):
        most = settings.maximum or "any number"
        problems.append(
            f'"{DOMAIN}activation-scale" is {least}; it must be from min-scale '
            f"({settings.minimum}) to max-scale ({most})"
        )
    return problems
