"""Who scales a component and how, and what of it is told to be in vain."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.autoscaler.annotations import DOMAIN
from sampan.autoscaler.behavior import make_direction
from sampan.autoscaler.hpa import DOWN, UP
from sampan.autoscaler.outcome import Seen
from sampan.autoscaler.policy import (
    ByRequests,
    ByResources,
    Component,
    Target,
    select_policy,
)
from sampan.autoscaler.queries import Readings
from sampan.autoscaler.resource_scaler import ResourceScaler, Use
from sampan.autoscaler.settings import Defaults
from sampan.autoscaler.silences import find_silences
from sampan.plan.scaling import AUTOSCALER_CLASS, make_scaling

MIB = 1 << 20


def component(
    spec: dict[str, Any], annotations: dict[str, str] | None = None, mode: str = "Standard"
) -> Component:
    given = annotations or {}
    concurrency = int(spec.get("containerConcurrency") or 0)
    return Component(make_scaling(spec, given), given, concurrency, mode)


def by_requests(*args: Any, defaults: Defaults | None = None, **kwargs: Any) -> Any:
    policy = select_policy(component(*args, **kwargs), defaults or Defaults())
    assert isinstance(policy, ByRequests)
    return policy.settings


KNATIVE: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, Any]]] = {
    "nothing said: one at least, no limit": (
        {}, {}, {"minimum": 1, "maximum": 0, "metric": "concurrency", "target": 70},
    ),
    "bounds are the fields'": (
        {"minReplicas": 0, "maxReplicas": 4}, {}, {"minimum": 0, "maximum": 4},
    ),
    "target and metric are the fields'": (
        {"scaleTarget": 10, "scaleMetric": "rps"}, {}, {"metric": "rps", "total": 10, "target": 7},
    ),
    "a field wins over its annotation": (
        {"scaleTarget": 10}, {f"{DOMAIN}target": "50"}, {"total": 10},
    ),
    "an annotation stands where no field does": ({}, {f"{DOMAIN}target": "50"}, {"total": 50}),
    "its alias as well": (
        {}, {f"{DOMAIN}targetUtilizationPercentage": "100"}, {"target": 100},
    ),
    "the hard limit is what one replica takes": (
        {"containerConcurrency": 4}, {}, {"total": 4, "target": 2.8},
    ),
    "the window is an annotation": ({}, {f"{DOMAIN}window": "30s"}, {"stable_window": 30}),
}  # fmt: skip


@pytest.mark.parametrize("row", KNATIVE)
def test_knative_mode_scales_by_requests(row: str) -> None:
    spec, annotations, expected = KNATIVE[row]
    settings = by_requests(spec, annotations, "Knative")
    assert {name: getattr(settings, name) for name in expected} == pytest.approx(expected)


def test_the_cluster_s_defaults_hold_where_nothing_is_said() -> None:
    settings = by_requests({}, {}, "Knative", defaults=Defaults(concurrency_target=8))
    assert settings.total == 8


NONE = {
    "no autoscaler is meant": ({"maxReplicas": 5}, {AUTOSCALER_CLASS: "none"}, "Standard"),
    "another one acts": ({"maxReplicas": 5}, {AUTOSCALER_CLASS: "external"}, "Knative"),
    "another domain's in Knative mode": ({}, {f"{DOMAIN}class": "mine.example.com"}, "Knative"),
    "as many at most as at least": ({"minReplicas": 2, "maxReplicas": 2}, {}, "Standard"),
    "no maximum in Standard mode": ({"minReplicas": 2}, {}, "Standard"),
}


@pytest.mark.parametrize("row", NONE)
def test_nothing_scales(row: str) -> None:
    spec, annotations, mode = NONE[row]
    assert select_policy(component(spec, annotations, mode), Defaults()) is None


def metric(name: str, **target: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


RESOURCES: dict[str, tuple[dict[str, Any], tuple[Target, ...]]] = {
    "CPU at 80 percent": ({}, (Target("cpu", percent=80),)),
    "CPU at the target": ({"scaleTarget": 60}, (Target("cpu", percent=60),)),
    "memory at the target": (
        {"scaleMetric": "memory", "scaleTarget": 60}, (Target("memory", percent=60),),
    ),
    "memory without a target: nothing is measured": ({"scaleMetric": "memory"}, ()),
    "several metrics": (
        {"autoScaling": {"metrics": [
            metric("cpu", type="Utilization", averageUtilization=50),
            metric("memory", type="AverageValue", averageValue="100Mi"),
        ]}},
        (Target("cpu", percent=50), Target("memory", amount=100 * MIB)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", RESOURCES)
def test_standard_mode_scales_by_what_is_used(row: str) -> None:
    spec, targets = RESOURCES[row]
    policy = select_policy(component({"maxReplicas": 4, **spec}), Defaults())
    assert isinstance(policy, ByResources)
    assert policy.targets == targets
    assert (policy.rules.minimum, policy.rules.maximum) == (1, 4)


def test_standard_mode_scales_by_requests_where_the_metric_says_so() -> None:
    settings = by_requests({"scaleMetric": "concurrency", "scaleTarget": 5, "maxReplicas": 3})
    assert (settings.total, settings.minimum, settings.maximum) == (5, 1, 3)
    assert by_requests({"scaleMetric": "rps"}).maximum == 1


def test_knative_s_hpa_counts_memory_in_mebibytes() -> None:
    annotations = {f"{DOMAIN}class": f"hpa.{DOMAIN[:-1]}"}
    spec = {"scaleMetric": "memory", "scaleTarget": 200, "maxReplicas": 3}
    policy = select_policy(component(spec, annotations, "Knative"), Defaults())
    assert isinstance(policy, ByResources)
    assert policy.targets == (Target("memory", amount=200 * MIB),)


def test_knative_s_hpa_follows_a_metric_of_the_replicas_by_its_name() -> None:
    annotations = {
        f"{DOMAIN}class": f"hpa.{DOMAIN[:-1]}",
        f"{DOMAIN}metric": "vllm:num_requests_waiting",
        f"{DOMAIN}target": "4",
    }
    policy = select_policy(component({"maxReplicas": 3}, annotations, "Knative"), Defaults())
    assert isinstance(policy, ByResources)
    assert policy.targets == ()
    (query,) = policy.queries
    assert (query.text, query.target) == ("sum(vllm:num_requests_waiting)", 4)
    assert (query.server, query.name) == ("", "vllm:num_requests_waiting")
    scaler = ResourceScaler(policy, 1, 0.0)
    use = Use({}, {}, Readings({query: 9.0}))
    assert scaler.decide(15.0, Seen(1), use).replicas == 3


def test_behavior_is_kubernetes_s_with_its_defaults() -> None:
    assert make_direction(None, DOWN) == DOWN
    slow = make_direction(
        {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
            "selectPolicy": "Min",
        },
        UP,
    )
    assert (slow.window, slow.select, slow.policies[0].value) == (0, "Min", 1)


def test_use_of_cpu_raises_the_number_and_without_a_reading_it_stays() -> None:
    policy = select_policy(component({"maxReplicas": 4}), Defaults())
    assert isinstance(policy, ByResources)
    scaler = ResourceScaler(policy, 1, 0.0)
    requested = {"cpu": 0.5}
    blind = scaler.decide(15.0, Seen(1), Use({}, requested))
    assert (blind.replicas, blind.reason) == (1, "1 replica: nothing is measured yet")
    busy = scaler.decide(30.0, Seen(1), Use({"cpu": 0.8}, requested))
    assert busy.replicas == 2
    assert busy.reason == "2 replicas: cpu at 160 of 80 (from 1 to 4)"


BY_HPA = {f"{DOMAIN}class": f"hpa.{DOMAIN[:-1]}"}

SILENCES: dict[str, tuple[dict[str, Any], dict[str, str], str, list[str]]] = {
    "nothing to say": ({"scaleTarget": 5}, {}, "Knative", []),
    "a window below the shortest": (
        {}, {f"{DOMAIN}window": "3s"}, "Knative",
        ['"autoscaling.knative.dev/window" is "3s"; it must be at least 6 and at most 3600'],
    ),
    "a bound that KServe takes from a field": (
        {}, {f"{DOMAIN}min-scale": "2"}, "Knative", ['write "spec.predictor.minReplicas"'],
    ),
    "its alias": (
        {}, {f"{DOMAIN}maxScale": "2"}, "Knative", ['write "spec.predictor.maxReplicas"'],
    ),
    "a misspelt annotation": (
        {}, {f"{DOMAIN}windw": "30s"}, "Knative", ['did you mean "window"'],
    ),
    "an annotation of requests where CPU decides": (
        {"maxReplicas": 3}, {f"{DOMAIN}window": "30s"}, "Standard",
        ['set "spec.predictor.scaleMetric" to "concurrency"'],
    ),
    "a target of what is fixed": (
        {"scaleTarget": 50}, {}, "Standard", ['"maxReplicas" is not above "minReplicas"'],
    ),
    "a target where no autoscaler is meant": (
        {"scaleTarget": 50, "maxReplicas": 3}, {AUTOSCALER_CLASS: "none"}, "Standard",
        ['the autoscaler is "none"'],
    ),
    "a metric that is not read": (
        {"maxReplicas": 3, "autoScaling": {"metrics": [{"type": "External"}]}},
        {AUTOSCALER_CLASS: "hpa"}, "Standard", ['is of type "External"'],
    ),
    "a share of what is not requested": (
        {"maxReplicas": 3, "scaleMetric": "memory", "scaleTarget": 50}, {}, "Standard",
        ['set "resources.requests.memory"'],
    ),
    "zero where CPU decides": (
        {"minReplicas": 0, "maxReplicas": 3, "scaleMetric": "cpu"}, {}, "Standard",
        ["one replica is kept"],
    ),
    "a metric of its own, by its name": (
        {"maxReplicas": 3},
        {**BY_HPA, f"{DOMAIN}metric": "queue_depth", f"{DOMAIN}target": "3"}, "Knative", [],
    ),
    "a metric of its own without a target": (
        {"maxReplicas": 3}, {**BY_HPA, f"{DOMAIN}metric": "queue_depth"}, "Knative",
        ['is "queue_depth", which needs a target; annotate "autoscaling.knative.dev/target"'],
    ),
    "a metric that can have no such name": (
        {"maxReplicas": 3}, {**BY_HPA, f"{DOMAIN}metric": "queue-depth", f"{DOMAIN}target": "3"},
        "Knative", ['is "queue-depth", which is no name of a metric'],
    ),
    "a metric of requests for a class that does not count them": (
        {"maxReplicas": 3}, {**BY_HPA, f"{DOMAIN}metric": "rps", f"{DOMAIN}target": "3"},
        "Knative", ['is "rps", which class "hpa.autoscaling.knative.dev" does not measure'],
    ),
    "a target of the use of CPU that is no number": (
        {"maxReplicas": 3}, {**BY_HPA, f"{DOMAIN}target": "much"},
        "Knative", ['is "much", which is no number above 0'],
    ),
    "a burst that is always taken": (
        {}, {f"{DOMAIN}target-burst-capacity": "50"}, "Knative", ["only while no replica runs"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", SILENCES)
def test_what_is_in_vain_is_told(row: str) -> None:
    spec, annotations, mode, expected = SILENCES[row]
    told = list(
        find_silences(component(spec, annotations, mode), annotations, {"cpu": 1.0}, Defaults())
    )
    assert len(told) == len(expected)
    for (_, sentence), words in zip(told, expected, strict=True):
        assert words in sentence
        assert not sentence.endswith(".")
