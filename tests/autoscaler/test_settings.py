"""What a revision's annotations and the cluster's configuration resolve to."""

from __future__ import annotations

import pytest

from sampan.autoscaler.annotations import CAMEL_CASE, DOMAIN, READERS, read_settings
from sampan.autoscaler.cluster import KEYS, read_defaults
from sampan.autoscaler.settings import Defaults, Settings
from sampan.autoscaler.target import select_target, select_total


def read(annotations: dict[str, str], concurrency: int = 0, **defaults: object) -> Settings:
    given = {DOMAIN + key: text for key, text in annotations.items()}
    settings, problems = read_settings(given, concurrency, Defaults(**defaults))  # type: ignore[arg-type] # keywords of the table
    assert problems == []
    return settings


TARGETS = {
    "by default 70 of 100": ({}, 0, (70, 100)),
    "a limit of one is held at 0.7": ({}, 1, (0.7, 1)),
    "the least target is 0.01": ({"target": "0.01", "target-utilization-percentage": "1"}, 0, 0.01),
    "requests a second: 140 of 200": ({"metric": "rps"}, 0, (140, 200)),
    "an annotation replaces the total": ({"target": "10"}, 0, (7, 10)),
    "a hard limit bounds the annotation": ({"target": "10"}, 4, (2.8, 4)),
    "a hard limit does not bound requests a second": (
        {"metric": "rps", "target": "10"},
        4,
        (7, 10),
    ),
    "the share may be another": ({"target-utilization-percentage": "100"}, 0, (100, 100)),
}


@pytest.mark.parametrize("row", TARGETS)
def test_a_target(row: str) -> None:
    annotations, concurrency, expected = TARGETS[row]
    settings = read(annotations, concurrency)
    if isinstance(expected, tuple):
        assert (settings.target, settings.total) == pytest.approx(expected)
    else:
        assert settings.target == expected


def test_without_a_floor_a_target_would_ask_for_thousands() -> None:
    assert select_target(select_total("concurrency", 1, 0, Defaults()), 0.1) == 0.01


READ = {
    "min-scale": ("2", "minimum", 2),
    "max-scale": ("7", "maximum", 7),
    "initial-scale": ("3", "initial", 3),
    "activation-scale": ("4", "activation", 4),
    "scale-down-delay": ("1m30s", "scale_down_delay", 90),
    "scale-to-zero-pod-retention-period": ("1h", "pod_retention", 3600),
    "window": ("6s", "stable_window", 6),
    "panic-window-percentage": ("50", "panic_window", 30),
    "panic-threshold-percentage": ("110", "panic_threshold", 1.1),
    "target-burst-capacity": ("-1", "burst_capacity", -1),
    "metric-aggregation-algorithm": ("weighted-exponential", "algorithm", "weighted-exponential"),
    "target": ("5", "total", 5),
    "target-utilization-percentage": ("50", "target", 50),
}


def test_each_annotation_that_is_read_has_a_row() -> None:
    assert set(READ) == set(READERS)


@pytest.mark.parametrize("key", READ)
def test_an_annotation_is_read(key: str) -> None:
    text, field, value = READ[key]
    assert getattr(read({key: text}), field) == value


@pytest.mark.parametrize("key", sorted(CAMEL_CASE))
def test_an_alias_is_read_and_gives_way_to_its_key(key: str) -> None:
    first, *rest = key.split("-")
    alias = first + "".join(word.capitalize() for word in rest)
    text, field, value = READ[key]
    assert getattr(read({alias: text}), field) == value
    assert getattr(read({alias: "nonsense", key: text}), field) == value


MISTAKES = {
    "below the least": ({"min-scale": "-1"}, '"min-scale" is "-1"; it must be at least 0'),
    "no number": ({"max-scale": "many"}, '"max-scale" is "many"; it must be a whole number'),
    "half a replica": ({"min-scale": "1.5"}, '"min-scale" is "1.5"; it must be a whole number'),
    "not a number at all": ({"target": "nan"}, '"target" is "nan"; it must be at least 0.01'),
    "a target below the least": ({"target": "0"}, '"target" is "0"; it must be at least 0.01'),
    "a share above 100": (
        {"target-utilization-percentage": "101"},
        '"target-utilization-percentage" is "101"; it must be at least 1 and at most 100',
    ),
    "a window below 6 s": (
        {"window": "5s"},
        '"window" is "5s"; it must be at least 6 and at most 3600',
    ),
    "a window of half seconds": ({"window": "6.5s"}, '"window" is "6.5s"; it must be whole'),
    "a window without a unit": (
        {"window": "60"},
        '"window" is "60"; it must be a duration such as "90s"',
    ),
    "a threshold below 110": (
        {"panic-threshold-percentage": "109"},
        '"panic-threshold-percentage" is "109"; it must be at least 110 and at most 1000',
    ),
    "a burst below -1": (
        {"target-burst-capacity": "-2"},
        '"target-burst-capacity" is "-2"; it must be at least 0, or -1',
    ),
    "an activation of one": (
        {"activation-scale": "1"},
        '"activation-scale" is "1"; it must be at least 2',
    ),
    "an activation above the maximum": (
        {"activation-scale": "5", "max-scale": "4"},
        '"activation-scale" is 5; it must be from min-scale (0) to max-scale (4)',
    ),
    "a maximum below the minimum": (
        {"min-scale": "3", "max-scale": "2"},
        '"max-scale" is 2 and "min-scale" 3; the maximum must be at least the minimum',
    ),
    "a start at zero": (
        {"initial-scale": "0"},
        '"initial-scale" is 0; "allow-zero-initial-scale" must allow it',
    ),
    "an unknown class of Knative's": (
        {"class": "vpa.autoscaling.knative.dev"},
        (
            '"class" is "vpa.autoscaling.knative.dev"; it must be "kpa.autoscaling.knative.dev" or '
            '"hpa.autoscaling.knative.dev"'
        ),
    ),
    "a metric of the other class": (
        {"metric": "cpu"},
        '"metric" is "cpu"; for "kpa.autoscaling.knative.dev" it must be "concurrency" or "rps"',
    ),
    "an algorithm that hpa has not": (
        {"class": "hpa.autoscaling.knative.dev", "metric-aggregation-algorithm": "linear"},
        '"metric-aggregation-algorithm" has no effect with "hpa.autoscaling.knative.dev"',
    ),
}


@pytest.mark.parametrize("row", MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_can_be(row: str) -> None:
    annotations, told = MISTAKES[row]
    given = {DOMAIN + key: text for key, text in annotations.items()}
    _, problems = read_settings(given, 0, Defaults())
    assert [problem.replace(DOMAIN, "")[: len(told)] for problem in problems] == [told]


def test_all_mistakes_are_told_at_once_and_count_as_absent() -> None:
    given = {DOMAIN + "min-scale": "x", DOMAIN + "window": "1s", DOMAIN + "target": "5"}
    settings, problems = read_settings(given, 0, Defaults())
    assert len(problems) == 2
    assert (settings.minimum, settings.stable_window, settings.total) == (0, 60, 5)


def test_another_domains_class_is_left_alone() -> None:
    assert read({"class": "mine.example.com", "metric": "anything"}).metric == "concurrency"


def test_a_limit_forbids_no_bound_and_what_is_above_it() -> None:
    for text in ("0", "11"):
        _, problems = read_settings({DOMAIN + "max-scale": text}, 0, Defaults(max_scale_limit=10))
        assert problems == [f'"{DOMAIN}max-scale" is {text}; "max-scale-limit" allows from 1 to 10']


CLUSTER = {
    "container-concurrency-target-percentage": ("0.5", 50.0),
    "container-concurrency-target-default": ("10", 10.0),
    "requests-per-second-target-default": ("20", 20.0),
    "pod-autoscaler-class": ("hpa.autoscaling.knative.dev", "hpa.autoscaling.knative.dev"),
    "min-scale": ("1", 1),
    "max-scale": ("9", 9),
    "max-scale-limit": ("9", 9),
    "initial-scale": ("2", 2),
    "allow-zero-initial-scale": ("True", True),
    "scale-down-delay": ("15m", 900.0),
    "scale-to-zero-pod-retention-period": ("1m", 60.0),
    "stable-window": ("30s", 30.0),
    "panic-window-percentage": ("20", 20.0),
    "panic-threshold-percentage": ("150", 150.0),
    "target-burst-capacity": ("0", 0.0),
    "max-scale-up-rate": ("10", 10.0),
    "max-scale-down-rate": ("1.5", 1.5),
    "scale-to-zero-grace-period": ("5s", 5.0),
    "enable-scale-to-zero": ("false", False),
    "activator-capacity": ("50", 50.0),
}


def test_each_key_of_the_cluster_has_a_row() -> None:
    assert set(CLUSTER) == set(KEYS)


@pytest.mark.parametrize("key", CLUSTER)
def test_a_key_of_the_cluster_is_read(key: str) -> None:
    text, value = CLUSTER[key]
    defaults, problems = read_defaults({key: text, "_example": "min-scale: nonsense"})
    assert problems == []
    assert getattr(defaults, KEYS[key][0]) == value


def test_a_bad_key_names_itself_and_keeps_its_default() -> None:
    defaults, problems = read_defaults({"stable-window": "2s", "mn-scale": "1"})
    assert defaults == Defaults()
    assert problems == [
        '"stable-window" is "2s"; it must be at least 6 and at most 3600',
        '"mn-scale" is no key of config-autoscaler; did you mean "min-scale"',
    ]
