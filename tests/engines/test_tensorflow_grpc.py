"""TensorFlow Serving's gRPC, asked by its own stubs (the tensorflow-serving-api package)."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from tests.engines.tensorflow_served import serve

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed: make test-engines")
models = pytest.importorskip("tests.engines.tensorflow_models")
predict_pb2, regression_pb2, classification_pb2, inference_pb2 = (
    pytest.importorskip(f"tensorflow_serving.apis.{name}_pb2")
    for name in ("predict", "regression", "classification", "inference")
)
get_model_metadata_pb2, get_model_status_pb2, model_management_pb2 = (
    pytest.importorskip(f"tensorflow_serving.apis.{name}_pb2")
    for name in ("get_model_metadata", "get_model_status", "model_management")
)
prediction_service_pb2_grpc, model_service_pb2_grpc = (
    pytest.importorskip(f"tensorflow_serving.apis.{name}_service_pb2_grpc")
    for name in ("prediction", "model")
)
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a folder of models: half with two versions, and dense."""
    made = tmp_path_factory.mktemp("models")
    models.half_plus_two(made / "half" / "1")
    models.half_plus_two(made / "half" / "2", factor=1.0)
    models.dense(made / "dense" / "5")
    return made


def configured(root, text):
    file = root / "models.config"
    file.write_text(text)
    return str(file)


ALL = """model_config_list {
  config { name: "half" base_path: "half" model_platform: "tensorflow"
           model_version_policy: { specific: { versions: 1 versions: 2 } }
           version_labels: { key: "stable" value: 1 } }
  config { name: "dense" base_path: "dense" }
}"""


@pytest.fixture
def stubs(root):
    """Yield the stubs of both services, over a server of both models."""
    with (
        serve(root, model_config_file=configured(root, ALL)) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        yield (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )


def predict_request(name="half", **tensors):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    for key, value in tensors.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def failed(call, request):
    with pytest.raises(grpc.RpcError) as raised:
        call(request, timeout=60)
    return raised.value.code(), raised.value.details()


def test_predict_asks_by_version_label_and_signature(stubs):
    prediction, _ = stubs
    request = predict_request(x=np.float32([[1.0], [2.0]]))
    answer = prediction.Predict(request, timeout=60)
    assert tf.make_ndarray(answer.outputs["y"]).tolist() == [[3.0], [4.0]]
    assert list(answer.outputs["y"].float_val) == [3.0, 4.0], "typed contents, as there"
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half", 2, "serving_default")
    request.model_spec.version.value = 1
    answer = prediction.Predict(request, timeout=60)
    assert tf.make_ndarray(answer.outputs["y"]).tolist() == [[2.5], [3.0]]
    request.model_spec.version_label = "stable"
    assert prediction.Predict(request, timeout=60).model_spec.version.value == 1


def test_tensors_of_every_form_arrive(stubs):
    prediction, _ = stubs
    request = predict_request("dense", a=np.int64([-3, 2**40]), text=[b"", b"\xff\x00"])
    request.model_spec.signature_name = "two"
    answer = prediction.Predict(request, timeout=60)
    assert tf.make_ndarray(answer.outputs["double"]).tolist() == [-6, 2**41]
    assert tf.make_ndarray(answer.outputs["echo_bytes"]).tolist() == [b"", b"\xff\x00"]
    assert tf.make_ndarray(answer.outputs["length"]).tolist() == [0, 2]
    request.output_filter.append("length")
    assert list(prediction.Predict(request, timeout=60).outputs) == ["length"]


def test_a_short_list_repeats_its_last_value(stubs):
    prediction, _ = stubs
    request = predict_request(x=np.float32([[1.0]]))
    tensor = request.inputs["x"]
    tensor.ClearField("tensor_content")
    del tensor.float_val[:]
    tensor.float_val.extend([1.0, 5.0])
    tensor.tensor_shape.dim[0].size = 4
    answer = prediction.Predict(request, timeout=60)
    assert tf.make_ndarray(answer.outputs["y"]).ravel().tolist() == [3.0, 7.0, 7.0, 7.0]


def examples(request, *values):
    for value in values:
        example = request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(value)
    return request


def test_regress_classify_and_both_at_once(stubs):
    prediction, _ = stubs
    request = examples(regression_pb2.RegressionRequest(), 1.0, 3.0)
    request.model_spec.name, request.model_spec.signature_name = "half", "regress_x_to_y"
    answer = prediction.Regress(request, timeout=60)
    assert [one.value for one in answer.result.regressions] == [3.0, 5.0]
    assert answer.model_spec.version.value == 2
    request = examples(classification_pb2.ClassificationRequest(), 1.0)
    request.model_spec.name, request.model_spec.signature_name = "half", "classify_x_to_y"
    answer = prediction.Classify(request, timeout=60)
    classes = answer.result.classifications[0].classes
    assert [(one.label, one.score) for one in classes] == [("low", 3.0), ("high", -3.0)]
    both = examples(inference_pb2.MultiInferenceRequest(), 1.0)
    for signature, method in (("regress_x_to_y", "regress"), ("classify_x_to_y", "classify")):
        task = both.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "half", signature
    first, second = prediction.MultiInference(both, timeout=60).results
    assert [one.value for one in first.regression_result.regressions] == [3.0]
    assert second.classification_result.classifications[0].classes[0].label == "low"


def test_a_context_goes_into_each_example(stubs):
    prediction, _ = stubs
    request = regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "half", "regress_x_to_y"
    listed = request.input.example_list_with_context
    listed.examples.add()
    listed.context.features.feature["x"].float_list.value.append(4.0)
    assert [r.value for r in prediction.Regress(request, timeout=60).result.regressions] == [6.0]


def test_metadata_holds_the_signatures_themselves(stubs):
    prediction, _ = stubs
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "dense"
    answer = prediction.GetModelMetadata(request, timeout=60)
    assert answer.model_spec.version.value == 5
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert sorted(signatures.signature_def) == ["mean", "serving_default", "two"]
    assert list(signatures.signature_def["serving_default"].inputs) == ["x"]
    request.metadata_field.append("other")
    assert (
        "Metadata field other is not supported" in failed(prediction.GetModelMetadata, request)[1]
    )


def test_status_tells_every_version(stubs):
    _, service = stubs
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "half"
    answer = json_format.MessageToDict(service.GetModelStatus(request, timeout=60))
    assert [(row["version"], row["state"]) for row in answer["model_version_status"]] == [
        ("2", "AVAILABLE"), ("1", "AVAILABLE"),
    ]  # fmt: skip
    request.model_spec.name = "none"
    code, words = failed(service.GetModelStatus, request)
    assert (code, words) == (
        grpc.StatusCode.NOT_FOUND, "Could not find any versions of model none"
    )  # fmt: skip


def reload_request(*configs):
    request = model_management_pb2.ReloadConfigRequest()
    for name, base, versions, labels in configs:
        config = request.config.model_config_list.config.add(name=name, base_path=base)
        config.model_version_policy.specific.versions.extend(versions)
        for label, version in labels.items():
            config.version_labels[label] = version
    return request


def test_a_reload_serves_what_it_lists_and_nothing_else(stubs):
    prediction, service = stubs
    answer = service.HandleReloadConfigRequest(
        reload_request(("half", "half", [1], {"new": 1}), ("again", "dense", [5], {})), timeout=60
    )
    assert (answer.status.error_code, answer.status.error_message) == (0, "")
    request = predict_request(x=np.float32([[1.0]]))
    assert prediction.Predict(request, timeout=60).model_spec.version.value == 1
    request.model_spec.version_label = "new"
    assert prediction.Predict(request, timeout=60).model_spec.version.value == 1
    prediction.Predict(predict_request("again", x=np.float32([[1, 2, 3, 4]])), timeout=60)
    gone = predict_request("dense", x=np.float32([[1, 2, 3, 4]]))
    assert failed(prediction.Predict, gone)[0] is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param(("x", "/etc", [1], {}), "lies outside of", id="a folder elsewhere"),
        pytest.param(("x", "../x", [1], {}), "lies outside of", id="a path that climbs"),
        pytest.param(("", "half", [1], {}), "a model without name", id="no name"),
        pytest.param(("half", "half", [9], {}), "its version policy names 9", id="no such version"),
        pytest.param(("half", "half", [1], {"a": 2}), 'label "a" of model "half" names version 2',
                     id="a label of what does not serve"),
    ],
)  # fmt: skip
def test_a_wrong_reload_is_told_and_changes_nothing_of_that_model(stubs, config, said):
    prediction, service = stubs
    answer = service.HandleReloadConfigRequest(reload_request(config), timeout=60)
    assert answer.status.error_code != 0
    assert said in answer.status.error_message
    if config[0] in {"half", ""}:
        prediction.Predict(predict_request(x=np.float32([[1.0]])), timeout=60)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        pytest.param(lambda r: setattr(r.model_spec, "name", "none"), grpc.StatusCode.NOT_FOUND,
                     "Servable not found for request: Latest(none)", id="an unknown model"),
        pytest.param(lambda r: setattr(r.model_spec.version, "value", 9), grpc.StatusCode.NOT_FOUND,
                     "Servable not found for request: Specific(half, 9)", id="an unknown version"),
        pytest.param(lambda r: setattr(r.model_spec, "version_label", "x"),
                     grpc.StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: x",
                     id="an unknown label"),
        pytest.param(lambda r: setattr(r.model_spec, "signature_name", "x"),
                     grpc.StatusCode.INVALID_ARGUMENT, "not found in signature def",
                     id="an unknown signature"),
        pytest.param(lambda r: r.inputs.clear(), grpc.StatusCode.INVALID_ARGUMENT,
                     'input "x" is missing', id="a missing input"),
        pytest.param(lambda r: r.inputs["z"].CopyFrom(tf.make_tensor_proto([1.0])),
                     grpc.StatusCode.INVALID_ARGUMENT, 'unknown input "z"', id="an unknown input"),
        pytest.param(lambda r: r.inputs["x"].CopyFrom(tf.make_tensor_proto([[1]])),
                     grpc.StatusCode.INVALID_ARGUMENT, 'input "x" has datatype INT32; send FP32',
                     id="another dtype"),
        pytest.param(lambda r: r.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0])),
                     grpc.StatusCode.INVALID_ARGUMENT, 'input "x" has shape [1]; send [-1, 1]',
                     id="another shape"),
        pytest.param(lambda r: setattr(r.inputs["x"], "dtype", 8), grpc.StatusCode.INVALID_ARGUMENT,
                     'input "x" has dtype 8', id="a dtype that is not served"),
        pytest.param(lambda r: setattr(r.inputs["x"], "tensor_content", b"abc"),
                     grpc.StatusCode.INVALID_ARGUMENT, "3 bytes of contents", id="half a number"),
        pytest.param(lambda r: r.output_filter.append("q"), grpc.StatusCode.INVALID_ARGUMENT,
                     'unknown output "q"', id="an unknown output"),
    ],
)  # fmt: skip
def test_wrong_requests_are_the_callers_fault(stubs, change, code, said):
    prediction, _ = stubs
    request = predict_request(x=np.float32([[1.0]]))
    change(request)
    found, words = failed(prediction.Predict, request)
    assert found is code
    assert said in words
