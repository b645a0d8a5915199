"""Models of TensorFlow as they load and fail, and as they answer wrong input over each protocol."""

from __future__ import annotations

import json
import zipfile

import grpc
import numpy as np
import pytest
from tests.engines.tensorflow_served import serve
from tritonclient.grpc import service_pb2 as wire

from sampan.runtimes.serving import Order
from sampan.runtimes.tensorflow.config import ModelConfig
from sampan.runtimes.tensorflow.model import TensorflowModel
from sampan.runtimes.tensorflow.runtime import make_offer
from sampan.runtimes.tensorflow.saved_model import Engine
from sampan.runtimes.tensorflow.version import Settings
from sampan.server.load_failure import LoadFailure

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed: make test-engines")
models = pytest.importorskip("tests.engines.tensorflow_models")
keras = pytest.importorskip("keras")
predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Keras and NumPy, in saving
]
ROW = [1.0, 2.0, 3.0, 4.0]


def load(path, engine=None, **config):
    model = TensorflowModel(ModelConfig("m", path, **config), Settings(engine or Engine()))
    model.load()
    return model


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_keras_file_answers_as_keras_does(ending, tmp_path):

    path = models.keras_model(tmp_path / f"model{ending}")
    model = load(tmp_path)
    expected = keras.models.load_model(path, compile=False).predict(np.array([ROW]), verbose=0)
    answer = model.predict({"instances": [ROW]})["predictions"]
    np.testing.assert_allclose(answer, expected, rtol=1e-5)
    assert model.get_input_types() == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert model.get_output_types()[0]["shape"] == [-1, 3]


def empty(folder):
    folder.mkdir()


def other(folder):
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"x")


def two_keras(folder):
    folder.mkdir()
    for name in ("a.keras", "b.h5"):
        (folder / name).write_bytes(b"x")


def broken(folder):
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\xff\xff\xff")


def without_variables(folder):
    models.dense(folder)
    for path in (folder / "variables").iterdir():
        path.unlink()


def cut_short(folder):
    models.dense(folder)
    (data,) = (folder / "variables").glob("*.data*")
    data.write_bytes(data.read_bytes()[:10])


def no_keras(folder):
    folder.mkdir()
    (folder / "m.keras").write_bytes(b"no zip and no HDF5")


@pytest.mark.parametrize(
    ("make", "reason", "said"),
    [
        pytest.param(lambda _: None, "ModelMissing", "it does not exist", id="no folder"),
        pytest.param(empty, "ModelMissing", "it is empty", id="an empty folder"),
        pytest.param(other, "ModelMissing", 'it holds "model.onnx"', id="another format"),
        pytest.param(two_keras, "ModelAmbiguous", '"a.keras", "b.h5"', id="two Keras files"),
        pytest.param(broken, "ModelCorrupt", "is no SavedModel", id="bytes that are no SavedModel"),
        pytest.param(without_variables, "ModelCorrupt", "variables", id="variables are missing"),
        pytest.param(cut_short, "ModelCorrupt", "is not whole", id="variables are cut short"),
        pytest.param(no_keras, "ModelCorrupt", "is no Keras model", id="no Keras file"),
    ],
)
def test_what_cannot_be_loaded_is_told_with_its_reason(make, reason, said, tmp_path):
    folder = tmp_path / "model"
    make(folder)
    with pytest.raises(LoadFailure) as raised:
        load(folder)
    assert raised.value.reason == reason
    assert said in raised.value.message


def test_an_operator_of_a_newer_release_names_both_versions(tmp_path):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    document, file = SavedModel(), models.dense(tmp_path / "m") / "saved_model.pb"
    document.ParseFromString(file.read_bytes())
    graph = document.meta_graphs[0]
    graph.meta_info_def.tensorflow_version = "99.1.0"
    function = next(f for f in graph.graph_def.library.function if len(f.node_def) > 1)
    function.node_def[0].op = "OperatorOfTomorrow"
    file.write_bytes(document.SerializeToString())
    with pytest.raises(LoadFailure) as raised:
        load(tmp_path / "m", Engine(trust=True))
    told = raised.value.message
    assert raised.value.reason == "ModelIncompatible"
    assert "TensorFlow 99.1.0" in told
    assert f"TensorFlow {tf.__version__}" in told
    assert "images.yaml" in told


def test_a_keras_file_of_a_newer_release_names_both_versions(tmp_path):
    path = models.keras_model(tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    metadata, config = json.loads(parts["metadata.json"]), json.loads(parts["config.json"])
    metadata["keras_version"] = "99.0.0"
    config["config"]["layers"][1]["config"]["argument_of_tomorrow"] = 1
    parts |= {"metadata.json": json.dumps(metadata), "config.json": json.dumps(config)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(LoadFailure) as raised:
        load(tmp_path)
    assert raised.value.reason == "ModelIncompatible"
    assert "saved with Keras 99.0.0" in raised.value.message
    assert f"Keras {keras.__version__} (" in raised.value.message


def test_other_tags_are_named(tmp_path):
    with pytest.raises(LoadFailure, match=r'has no graph for tpu, serve \(it has: "serve"\)'):
        load(models.dense(tmp_path / "m"), Engine(tags=("tpu", "serve")))


def test_a_version_that_does_not_load_leaves_the_others_serving(tmp_path):
    models.half_plus_two(tmp_path / "1")
    broken(tmp_path / "2")
    config = tmp_path / "models.config"
    config.write_text(
        'model_config_list { config { name: "m" base_path: "/mnt/models" '
        "model_version_policy { all {} } } }"
    )
    with serve(tmp_path, model_config_file=str(config)) as server:
        status, told = server.ask("/v1/models/m")
        rows = {row["version"]: row for row in told["model_version_status"]}
        assert (status, rows["1"]["state"], rows["2"]["state"]) == (200, "AVAILABLE", "END")
        assert rows["2"]["status"]["error_code"] == "DATA_LOSS"
        assert "is no SavedModel" in rows["2"]["status"]["error_message"]
        assert server.ask("/v1/models/m:predict", {"instances": [[2]]})[1] == {
            "predictions": [[3.0]]
        }


def test_a_folder_of_models_is_served_and_changed_by_request(tmp_path):
    models.half_plus_two(tmp_path / "a" / "1")
    models.dense(tmp_path / "b")
    with serve(tmp_path) as server:
        names = server.ask("/v1/models")[1]["models"]
        assert names == ["a", "b"]
        models.half_plus_two(tmp_path / "c" / "7")
        assert server.ask("/v2/repository/models/c/load", b"")[0] == 200
        assert server.ask("/v1/models/c:predict", {"instances": [[2]]})[1]["predictions"] == [[3.0]]
        assert server.ask("/v2/repository/models/a/unload", b"")[0] == 200
        assert server.ask("/v1/models/a:predict", {"instances": [[2]]})[0] == 404
        assert server.ask("/v2/repository/models/nope/load", b"")[0] in {404, 503}


def test_batching_is_asked_for_with_its_file(tmp_path):
    models.half_plus_two(tmp_path / "m" / "1")
    file = tmp_path / "batching.txt"
    file.write_text("max_batch_size { value: 16 }\nbatch_timeout_micros { value: 2000 }\n")
    options = {"enable_batching": "true", "batching_parameters_file": str(file)}
    offer = make_offer(Order("m", tmp_path / "m", options=options))
    model = offer.repository.get("m").model
    model.load()
    assert (model.batch_limits.max_size, model.batch_limits.max_latency) == (16, 0.002)
    assert model.row_wise


BAD = [
    pytest.param([("x", "FP32", [1, 3], [1, 2, 3])], 'input "x" has shape [1, 3]; send [-1, 4]',
                 id="a row that is too short"),
    pytest.param([("x", "FP32", [4], ROW)], 'input "x" has shape [4]; send [-1, 4]',
                 id="no rows but numbers"),
    pytest.param([("x", "FP32", [0, 4], [])], 'input "x" has no rows; send at least one',
                 id="no rows"),
    pytest.param([("x", "BYTES", [1, 4], ["a", "b", "c", "d"])],
                 'input "x" has datatype BYTES; send FP32', id="text for numbers"),
    pytest.param([("x", "BOOL", [1, 4], [True] * 4)], 'input "x" has datatype BOOL; send FP32',
                 id="truth values for numbers"),
    pytest.param([("z", "FP32", [1, 4], ROW)], 'unknown input "z"; the model takes "x"',
                 id="another name"),
]  # fmt: skip


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    root = tmp_path_factory.mktemp("dense")
    models.dense(root / "1")
    with serve(root) as server:
        yield server


def over_v1(server, tensors):
    columns = {}
    for name, _, shape, data in tensors:
        array = np.array(data, dtype=object).reshape(shape)
        columns[name] = array.tolist()
    status, answer = server.ask("/v1/models/m:predict", {"inputs": columns})
    return status, answer.get("error")


def over_v2(server, tensors):
    inputs = [
        {"name": name, "datatype": datatype, "shape": shape, "data": data}
        for name, datatype, shape, data in tensors
    ]
    status, answer = server.ask("/v2/models/m/infer", {"inputs": inputs})
    return status, answer.get("error")


def over_grpc(server, tensors):
    request = wire.ModelInferRequest(model_name="m")
    for name, datatype, shape, data in tensors:
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        if datatype == "BYTES":
            tensor.contents.bytes_contents.extend(item.encode() for item in data)
        elif datatype == "BOOL":
            tensor.contents.bool_contents.extend(data)
        else:
            tensor.contents.fp32_contents.extend(data)
    return ask_grpc(server, "/inference.GRPCInferenceService/ModelInfer", request)


def over_predict(server, tensors):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    for name, datatype, shape, data in tensors:
        dtype = {"BYTES": tf.string, "BOOL": tf.bool, "FP32": tf.float32}[datatype]
        request.inputs[name].CopyFrom(tf.make_tensor_proto(data, dtype, shape))
    return ask_grpc(server, "/tensorflow.serving.PredictionService/Predict", request)


def ask_grpc(server, method, request):
    with grpc.insecure_channel(server.address) as channel:
        try:
            channel.unary_unary(method)(request.SerializeToString(), timeout=60)
        except grpc.RpcError as error:
            code = error.code()
            return (400 if code is grpc.StatusCode.INVALID_ARGUMENT else code), error.details()
    return 200, None


@pytest.mark.parametrize(("tensors", "said"), BAD)
def test_wrong_input_is_the_callers_fault_in_the_same_words_over_every_protocol(
    dense, tensors, said
):
    ways = [over_v2, over_grpc, over_predict]
    if tensors[0][2] != [0, 4]:  # JSON's empty list has no second size
        ways.append(over_v1)
    answers = {way(dense, tensors) for way in ways}
    assert len(answers) == 1, answers
    ((status, words),) = answers
    assert status == 400
    assert said in words


def test_rows_of_v1_are_told_the_same(dense):
    assert dense.ask("/v1/models/m:predict", {"instances": []}) == (
        400, {"error": 'input "x" has no rows; send at least one'}
    )  # fmt: skip
    status, answer = dense.ask("/v1/models/m:predict", {"instances": [[1, 2, 3]]})
    assert (status, answer["error"]) == (
        400, 'input "x" has shape [1, 3]; send [-1, 4], where -1 is any size'
    )  # fmt: skip
    status, answer = dense.ask("/v1/models/m:predict", {"instances": [[1, 2, 3, "a"]]})
    assert status == 400


def test_the_same_answer_over_every_protocol(dense):
    tensors = [("x", "FP32", [1, 4], ROW)]
    for way in (over_v1, over_v2, over_grpc, over_predict):
        assert way(dense, tensors) == (200, None)
    v1 = dense.ask("/v1/models/m:predict", {"instances": [ROW]})[1]["predictions"]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([ROW], tf.float32))
    with grpc.insecure_channel(dense.address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        answer = predict_pb2.PredictResponse.FromString(call(request.SerializeToString()))
    scores = tf.make_ndarray(answer.outputs["scores"])
    assert np.float32(v1).tolist() == scores.tolist()
