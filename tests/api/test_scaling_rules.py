"""Rules of scaling that the schemas state too: a schema that says less would let them through."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api.inferenceservice.rules_scaling import _keda
from sampan.api.llminferenceservice.rules_scaling import scales_rightly

Json = dict[str, Any]
TRIGGERS = {"triggers": [{"type": "cron", "metadata": {}}]}
NAMED = {"advanced": {"horizontalPodAutoscalerConfig": {"name": "mine"}}}
MODIFIED = {"advanced": {"scalingModifiers": {"formula": "a + b"}}}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        pytest.param(
            {"type": "Object"},
            "unknown KEDA metric type with value [Object].Valid types are "
            "Resource,External,PodMetric",
            id="a type of metric that KEDA has not",
        ),
        pytest.param(
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Value"}}},
            "the memory target value type should be AverageValue or Utilization",
            id="memory as a value",
        ),
        pytest.param(
            {"type": "Resource", "resource": {"name": "disk", "target": {"type": "Utilization"}}},
            "resource type disk is not supported",
            id="a resource that is neither cpu nor memory",
        ),
    ],
)
def test_a_metric_of_keda_is_refused_in_kserves_words(entry: Json, text: str) -> None:
    found = [mistake.text for mistake in _keda("spec", {"autoScaling": {"metrics": [entry]}})]
    assert text in found


def scaling(**fields: Any) -> Json:
    return {"spec": {"scaling": fields}}


@pytest.mark.parametrize(
    ("service", "path", "text"),
    [
        pytest.param(
            {"spec": {"replicas": 2, "scaling": {"keda": TRIGGERS, "maxReplicas": 2}}},
            "spec.scaling",
            "scaling and replicas are mutually exclusive; use scaling for autoscaled deployments "
            "or replicas for static deployments",
            id="a number beside what decides it",
        ),
        pytest.param(
            scaling(minReplicas=3, maxReplicas=2, keda=TRIGGERS),
            "spec.scaling.minReplicas",
            "minReplicas (3) cannot exceed maxReplicas (2)",
            id="bounds that cross",
        ),
        pytest.param(
            scaling(wva={"hpa": {}}, keda=TRIGGERS),
            "spec.scaling",
            "wva and keda are mutually exclusive; choose one scaling mechanism",
            id="two mechanisms",
        ),
        pytest.param(
            scaling(keda={}),
            "spec.scaling.keda.triggers",
            "at least one trigger is required when using direct KEDA scaling",
            id="KEDA without a trigger",
        ),
        pytest.param(
            scaling(maxReplicas=2),
            "spec.scaling",
            "either wva or keda must be specified when scaling is configured",
            id="no mechanism",
        ),
        pytest.param(
            scaling(wva={"hpa": {}, "keda": {}}),
            "spec.scaling.wva",
            "hpa and keda are mutually exclusive; choose one actuator backend",
            id="two actuators",
        ),
        pytest.param(
            scaling(wva={}),
            "spec.scaling.wva",
            "either hpa or keda must be specified as the actuator backend",
            id="no actuator",
        ),
        pytest.param(
            scaling(wva={"keda": MODIFIED}),
            "spec.scaling.wva.keda.advanced.scalingModifiers",
            "scalingModifiers must not be set; WVA controls the scaling metric formula and logic",
            id="a formula beside the one of WVA",
        ),
        pytest.param(
            scaling(keda={**TRIGGERS, **NAMED}),
            "spec.scaling.keda.advanced.horizontalPodAutoscalerConfig.name",
            "horizontalPodAutoscalerConfig.name must not be set; the controller manages the HPA "
            "name",
            id="a name for the autoscaler",
        ),
        pytest.param(
            scaling(keda={**TRIGGERS, "idleReplicaCount": 0}),
            "spec.scaling.minReplicas",
            "minReplicas is required when idleReplicaCount is set; idleReplicaCount (0) must be "
            "less than minReplicas",
            id="an idle number without a least one",
        ),
        pytest.param(
            scaling(minReplicas=1, maxReplicas=2, keda={**TRIGGERS, "idleReplicaCount": 1}),
            "spec.scaling.keda.idleReplicaCount",
            "idleReplicaCount (1) must be less than minReplicas (1); idleReplicaCount defines the "
            "replica floor when no triggers are active",
            id="an idle number that is not less",
        ),
    ],
)
def test_a_language_models_scaling_is_refused_in_kserves_words(
    service: Json, path: str, text: str
) -> None:
    found = [(error.path, error.message) for error in scales_rightly(service)]
    assert any(where == path and told.endswith(text) for where, told in found), found


def test_prefill_is_held_to_the_same_rules() -> None:
    found = list(scales_rightly({"spec": {"prefill": {"scaling": {"maxReplicas": 1}}}}))
    assert [error.path for error in found] == ["spec.prefill.scaling"]


def test_scaling_that_fits_is_let_through() -> None:
    sound = scaling(minReplicas=1, maxReplicas=2, keda={**TRIGGERS, "idleReplicaCount": 0})
    assert list(scales_rightly(sound)) == []
