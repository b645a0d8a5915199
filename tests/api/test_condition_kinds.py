"""What `Ready` of each kind depends on, as KServe's condition sets have it."""

import pytest

from sampan.api.condition_set import Condition, ConditionSet, ConditionStatus, find
from sampan.api.inferencegraph.conditions import GRAPH_CONDITIONS
from sampan.api.inferenceservice.conditions import SERVICE_CONDITIONS
from sampan.api.llminferenceservice.conditions import LLM_CONDITIONS, OF_ROUTER, OF_WORKLOADS
from sampan.api.llminferenceserviceconfig.conditions import CONFIG_CONDITIONS
from sampan.api.trainedmodel.conditions import MODEL_CONDITIONS

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("conditions", "dependents"),
    [
        pytest.param(SERVICE_CONDITIONS, {"PredictorReady", "IngressReady"}, id="InferenceService"),
        pytest.param(GRAPH_CONDITIONS, set(), id="InferenceGraph"),
        pytest.param(
            MODEL_CONDITIONS,
            {"InferenceServiceReady", "IsMMSPredictor", "MemoryResourceAvailable"},
            id="TrainedModel",
        ),
        pytest.param(
            LLM_CONDITIONS,
            {"PresetsCombined", "WorkloadsReady", "RouterReady"},
            id="LLMInferenceService",
        ),
        pytest.param(CONFIG_CONDITIONS, set(), id="LLMInferenceServiceConfig"),
    ],
)
def test_ready_depends_on(conditions: ConditionSet, dependents: set[str]) -> None:
    assert conditions.top == "Ready"
    assert set(conditions.dependents) == dependents


def test_the_parts_of_a_language_models_service_are_no_dependents_of_its_ready() -> None:
    assert not {*OF_WORKLOADS, *OF_ROUTER} & {"Ready", *LLM_CONDITIONS.dependents}


def test_ready_says_why_a_model_is_refused_until_no_dependent_is_false() -> None:
    refused = Condition("IsMMSPredictor", ConditionStatus.FALSE, "IsNotMMSPredictor", "no")
    found = MODEL_CONDITIONS.mark((), refused, NOW)
    waiting = Condition("InferenceServiceReady", ConditionStatus.UNKNOWN, "Waiting", "")
    found = MODEL_CONDITIONS.mark(found, waiting, NOW + 1)
    ready = find(found, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == (ConditionStatus.FALSE, "IsNotMMSPredictor")


def test_a_top_that_was_lost_is_false_again_with_the_news_while_a_dependent_is() -> None:
    refused = Condition("IsMMSPredictor", ConditionStatus.FALSE, "IsNotMMSPredictor", "no")
    alone = tuple(c for c in MODEL_CONDITIONS.mark((), refused, NOW) if c.type != "Ready")
    waiting = Condition("InferenceServiceReady", ConditionStatus.UNKNOWN, "Waiting", "later")
    ready = find(MODEL_CONDITIONS.mark(alone, waiting, NOW), "Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == (ConditionStatus.FALSE, "Waiting")


def test_ready_may_be_marked_where_it_depends_on_nothing() -> None:
    found = GRAPH_CONDITIONS.mark_true((), "Ready", NOW)
    ready = find(found, "Ready")
    assert ready is not None
    assert ready.status is ConditionStatus.TRUE
