"""Each annotation of Knative's autoscaler on a service of the class sampan: heeded, or told of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.platforms.kubernetes.test_serverless import rendered, service

from sampan.api.config import Config
from sampan.app.activation_view import make_plan
from sampan.app.cluster_effects import cluster_warnings
from sampan.autoscaler.policy import ByRequests, select_policy
from sampan.autoscaler.settings import Defaults, Settings
from sampan.controllers.scaled_workload import make_component
from sampan.platforms.kubernetes.serverless_table import (
    keep_of_deployment,
    select_served,
    select_terms,
)
from sampan.platforms.kubernetes.settings import ClusterSettings

DOMAIN = "autoscaling.knative.dev/"
NOTHING = Defaults()
PATH = f'metadata.annotations["{DOMAIN}'


def annotated(key: str, value: str, **fields: Any) -> dict[str, Any]:
    made = service(**{"maxReplicas": 9, **fields})
    made["metadata"]["annotations"] |= {DOMAIN + key: value} if key else {}
    return made


def settings_of(obj: dict[str, Any], defaults: Defaults = NOTHING) -> Settings:
    """What an activator reads from the Deployment that the operator makes of a service."""
    made = rendered(obj)["Deployment", "iris-predictor"]
    kept = [keep_of_deployment(made)]
    [one] = select_served(kept, [], select_terms(kept, {})[0])
    [workload] = make_plan(one).workloads
    policy = select_policy(make_component(workload, "Standard"), defaults)
    assert isinstance(policy, ByRequests)
    return policy.settings


def told_of(obj: dict[str, Any], mode: str = "Standard") -> dict[str, str]:
    obj["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] = mode
    return dict(cluster_warnings(obj, Config(), ClusterSettings()))


@pytest.mark.parametrize(
    ("key", "value", "field", "read"),
    [
        ("metric", "rps", "metric", "rps"),
        ("target", "7", "total", 7.0),
        ("target-utilization-percentage", "50", "target", 50.0),
        ("targetUtilizationPercentage", "50", "target", 50.0),
        ("initial-scale", "2", "initial", 2),
        ("activation-scale", "3", "activation", 3),
        ("scale-down-delay", "30s", "scale_down_delay", 30.0),
        ("scale-to-zero-pod-retention-period", "45s", "pod_retention", 45.0),
        ("window", "30s", "stable_window", 30),
        ("panic-window-percentage", "20", "panic_window", 12),
        ("panic-threshold-percentage", "300", "panic_threshold", 3.0),
        ("metric-aggregation-algorithm", "weighted-exponential", "algorithm", None),
    ],
)
def test_what_is_heeded_reaches_the_activator_and_nobody_is_warned(
    key: str, value: str, field: str, read: Any
) -> None:
    obj = annotated(key, value)
    found, without = settings_of(obj), settings_of(annotated("", ""))
    assert getattr(found, field) == (value if read is None else read)
    assert getattr(without, field) != getattr(found, field)
    assert not [path for path in told_of(obj) if path.startswith(PATH)]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("min-scale", "2", 'write "spec.predictor.minReplicas"'),
        ("maxScale", "2", 'write "spec.predictor.maxReplicas"'),
        ("target-burst-capacity", "0", "requests are held only while no replica runs"),
        ("class", "hpa.autoscaling.knative.dev", '"sampan" decides'),
        ("class", "example.com", '"sampan" decides'),
        ("windw", "30s", 'is no annotation of the autoscaler; did you mean "window"'),
    ],
)
def test_what_has_no_effect_is_told_with_what_would_have(key: str, value: str, said: str) -> None:
    told = told_of(annotated(key, value))
    assert said in told[f'{PATH}{key}"]']


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("metric", "cpu"),
        ("target", "0"),
        ("target", "many"),
        ("window", "5s"),
        ("window", "2h"),
        ("panic-window-percentage", "0"),
        ("panic-threshold-percentage", "100"),
        ("scale-down-delay", "-1s"),
        ("activation-scale", "1"),
        ("initial-scale", "0"),
        ("metric-aggregation-algorithm", "median"),
    ],
)
def test_a_value_that_cannot_be_is_told_and_counts_as_absent(key: str, value: str) -> None:
    told = told_of(annotated(key, value))
    assert f'"{DOMAIN}{key}"' in told["spec.predictor"]
    if key != "initial-scale":  # its value is right, and the cluster's own default forbids it
        assert settings_of(annotated(key, value)) == settings_of(annotated("", ""))


def test_what_is_of_kubernetes_s_autoscaler_is_told_too() -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    told = told_of(service(autoScaling={"behavior": behavior}))
    assert "is not read by the class" in told["spec.predictor.autoScaling.behavior"]


def test_in_knative_mode_the_class_decides_nothing() -> None:
    path = 'metadata.annotations["serving.kserve.io/autoscalerClass"]'
    assert "here Knative decides" in told_of(service(), "Knative")[path]


def test_a_service_of_the_class_that_says_nothing_else_is_not_warned_of() -> None:
    assert told_of(service()) == {}


def test_what_the_cluster_s_configuration_says_holds_where_the_service_is_silent() -> None:
    defaults = replace(Defaults(), stable_window=90.0)
    assert settings_of(annotated("", ""), defaults).stable_window == 90
    assert settings_of(annotated("window", "30s"), defaults).stable_window == 30
