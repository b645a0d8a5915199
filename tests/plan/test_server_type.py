"""What a runtime's server type adds."""

from __future__ import annotations

import pytest

from sampan.plan.server_type import ModelFacts, default_for_runtime, server_type

ANNOTATION = "serving.kserve.io/server-type"


def facts(model_format="sklearn", protocol="", has_storage=True):
    return ModelFacts("iris", model_format, protocol, has_storage)


def typed(make, kind, **spec):
    return make.runtime("mine", metadata={"annotations": {ANNOTATION: kind}}, **spec)


TYPES = {
    "the annotation says it": ("mine", {ANNOTATION: "mlserver"}, "mlserver"),
    "else KServe's own names": ("kserve-tritonserver", {}, "tritonserver"),
    "the annotation before the name": (
        "kserve-mlserver",
        {ANNOTATION: "torchserve"},
        "torchserve",
    ),
    "any other has none": ("mine", {}, ""),
}


@pytest.mark.parametrize("case", TYPES.values(), ids=TYPES.keys())
def test_server_type(make, case):
    name, annotations, expected = case
    assert server_type(make.runtime(name, metadata={"annotations": annotations})) == expected


PROTOCOLS = {
    "what the model asks for": ("mlserver", "v1", ["v2"], "v1"),
    "mlserver speaks v2": ("mlserver", "", ["v1", "v2"], "v2"),
    "torchserve speaks v1": ("torchserve", "", ["v2"], "v1"),
    "tritonserver speaks v2": ("tritonserver", "", ["grpc-v2"], "v2"),
    "any other its lowest": ("sklearnserver", "", ["grpc-v1", "v2"], "v2"),
    "one that lists none, none": ("vllmserver", "", [], ""),
}


@pytest.mark.parametrize("case", PROTOCOLS.values(), ids=PROTOCOLS.keys())
def test_protocol(make, case):
    kind, asked, listed, expected = case
    runtime = typed(make, kind, protocolVersions=listed)
    assert default_for_runtime(runtime, facts(protocol=asked)).protocol == expected


@pytest.mark.parametrize(
    ("model_format", "expected"),
    [
        ("sklearn", "mlserver_sklearn.SKLearnModel"),
        ("xgboost", "mlserver_xgboost.XGBoostModel"),
        ("lightgbm", "mlserver_lightgbm.LightGBMModel"),
        ("mlflow", "mlserver_mlflow.MLflowRuntime"),
        ("anything", "mlserver_sklearn.SKLearnModel"),
    ],
)
def test_mlserver_is_told_its_class_by_a_label(make, model_format, expected):
    added = default_for_runtime(typed(make, "mlserver"), facts(model_format))
    assert added.labels == {"modelClass": expected}


def test_mlserver_is_told_where_its_model_is(make):
    added = default_for_runtime(typed(make, "mlserver"), facts())
    assert added.env == {"MLSERVER_MODEL_NAME": "iris", "MLSERVER_MODEL_URI": "/mnt/models"}


def test_mlserver_without_a_model_loads_none_at_its_start(make):
    added = default_for_runtime(typed(make, "mlserver"), facts(has_storage=False))
    assert added.env == {"MLSERVER_LOAD_MODELS_AT_STARTUP": "false"}


@pytest.mark.parametrize(
    ("protocol", "envelope"),
    [("", "kserve"), ("v1", "kserve"), ("v2", "kservev2"), ("grpc-v2", "kservev2")],
)
def test_torchserve_is_told_its_envelope_and_protocol(make, protocol, envelope):
    added = default_for_runtime(typed(make, "torchserve"), facts("pytorch", protocol))
    assert added.labels == {"serviceEnvelope": envelope}
    assert added.env == {"PROTOCOL_VERSION": protocol or "v1"}


def test_tritonserver_without_a_model_waits_for_orders(make):
    with_model = default_for_runtime(typed(make, "tritonserver"), facts())
    without = default_for_runtime(typed(make, "tritonserver"), facts(has_storage=False))
    assert with_model.args == ()
    assert without.args == ("--model-control-mode=explicit",)


def test_a_server_without_a_type_is_given_nothing(make):
    added = default_for_runtime(make.runtime("mine"), facts())
    assert (added.labels, added.env, added.args) == ({}, {}, ())
