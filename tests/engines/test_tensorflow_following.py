"""What comes and goes while TensorFlow's models serve: versions, the list of models.

With them recorded warm-up requests and the path of metrics.
"""

from __future__ import annotations

import shutil
import threading
import time

import pytest
from tests.engines.tensorflow_served import serve

from sampan.runtimes.tensorflow import warmup
from sampan.runtimes.tensorflow.config import ModelConfig
from sampan.runtimes.tensorflow.model import TensorflowModel
from sampan.runtimes.tensorflow.version import Settings
from sampan.server.load_failure import LoadFailure

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed: make test-engines")
models = pytest.importorskip("tests.engines.tensorflow_models")
prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
pytestmark = pytest.mark.timeout(300)
PATH, ONE = "/v1/models/m", {"instances": [[1.0]]}


def wait_for(what):
    """Wait until a condition holds: a look a second finds it, a loaded machine may take long."""
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def states(server):
    rows = server.ask(PATH)[1]["model_version_status"]
    return {row["version"]: row["state"] for row in rows}


def put(made, folder):
    """Move a whole version into its place, as who publishes versions does."""
    made.rename(folder)


def test_a_version_that_comes_takes_over_and_no_request_is_lost(tmp_path):
    root = tmp_path / "half"
    models.half_plus_two(root / "1")
    models.half_plus_two(tmp_path / "made", factor=1.0)
    answers, done = [], threading.Event()
    with serve(root) as server:

        def ask():
            while not done.is_set():
                answers.append(server.ask(PATH + ":predict", ONE))

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            wait_for(lambda: answers)
            put(tmp_path / "made", root / "2")
            wait_for(lambda: answers[-1] == (200, {"predictions": [[3.0]]}))
        finally:
            done.set()
            thread.join()
        assert {status for status, _ in answers} == {200}
        assert states(server) == {"2": "AVAILABLE", "1": "UNLOADING"}
        status, words = server.ask(PATH + "/versions/1:predict", ONE)
        assert (status, "Specific(m, 1)" in words["error"]) == (404, True)


def test_a_version_that_is_taken_away_gives_way_to_the_one_before_but_the_last_stays(tmp_path):
    root = tmp_path / "half"
    models.half_plus_two(root / "1")
    models.half_plus_two(root / "2", factor=1.0)
    with serve(root) as server:
        assert server.ask(PATH + ":predict", ONE) == (200, {"predictions": [[3.0]]})
        shutil.rmtree(root / "2")
        wait_for(lambda: server.ask(PATH + ":predict", ONE) == (200, {"predictions": [[2.5]]}))
        (root / "1").rename(tmp_path / "away")
        time.sleep(2.5)  # two looks
        assert server.ask(PATH + ":predict", ONE) == (200, {"predictions": [[2.5]]})


def test_a_version_that_is_half_copied_is_tried_again_once_it_is_whole(tmp_path):
    root = tmp_path / "half"
    models.half_plus_two(root / "1")
    models.half_plus_two(tmp_path / "made", factor=1.0)
    with serve(root) as server:
        (root / "2").mkdir()
        shutil.copy(tmp_path / "made" / "saved_model.pb", root / "2")
        wait_for(lambda: states(server).get("2") == "END")
        assert server.ask(PATH + ":predict", ONE) == (200, {"predictions": [[2.5]]})
        shutil.copytree(tmp_path / "made" / "variables", root / "2" / "variables")
        wait_for(lambda: states(server)["2"] == "AVAILABLE")
        assert server.ask(PATH + ":predict", ONE) == (200, {"predictions": [[3.0]]})


def test_no_look_is_taken_where_none_is_asked_for(tmp_path):
    root = tmp_path / "half"
    models.half_plus_two(root / "1")
    with serve(root, file_system_poll_wait_seconds="0") as server:
        models.half_plus_two(root / "2", factor=1.0)
        time.sleep(2.5)
        assert states(server) == {"1": "AVAILABLE"}


def test_a_wait_that_is_no_number_is_told(tmp_path):
    models.half_plus_two(tmp_path / "1")
    with pytest.raises(ValueError, match='--file_system_poll_wait_seconds is "soon"'):
        serve(tmp_path, file_system_poll_wait_seconds="soon").__enter__()


def test_the_file_that_lists_the_models_is_read_again(tmp_path):
    models.half_plus_two(tmp_path / "half" / "1")
    models.half_plus_two(tmp_path / "other" / "7", factor=1.0)
    file, row = tmp_path / "models.config", 'config {{ name: "{0}" base_path: "{0}" }}'
    file.write_text("model_config_list { " + row.format("half") + " }")
    options = {"model_config_file": str(file), "model_config_file_poll_wait_seconds": "1"}
    with serve(tmp_path, **options) as server:
        assert server.ask("/v1/models/other:predict", ONE)[0] == 404
        file.write_text("model_config_list { " + row.format("other") + " }")
        wait_for(lambda: server.ask("/v1/models/other:predict", ONE)[0] == 200)
        assert server.ask("/v1/models/half:predict", ONE)[0] == 404
        file.write_text("model_config_list { config { name: 5 } }")
        time.sleep(2.5)
        assert server.ask("/v1/models/other:predict", ONE)[0] == 200


def record(folder, *logs):
    """Write PredictionLogs the way TensorFlow Serving's users do."""
    path = folder / warmup.RECORDS
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    return folder


def predict_log(signature="", **tensors):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = "m", signature
    for name, value in tensors.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log


def examples_log(kind, signature):
    log = prediction_log_pb2.PredictionLog()
    request = getattr(log, kind).request
    request.model_spec.signature_name = signature
    example = request.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.append(1.0)
    return log


def load(folder, **settings):
    model = TensorflowModel(ModelConfig("m", folder), Settings(**settings))
    model.load()
    return model


def test_recorded_requests_of_each_kind_are_asked_before_a_version_serves(tmp_path, caplog):
    caplog.set_level("INFO", "sampan.runtimes.tensorflow")
    multi = prediction_log_pb2.PredictionLog()
    request = multi.multi_inference_log.request
    for method in ("classify", "regress"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.signature_name = f"{method}_x_to_y"
    example = request.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.append(1.0)
    session = prediction_log_pb2.PredictionLog()
    session.session_run_log.request.fetch.append("y:0")
    record(
        models.half_plus_two(tmp_path / "1"),
        predict_log(x=[[1.0]]),
        examples_log("classify_log", "classify_x_to_y"),
        examples_log("regress_log", "regress_x_to_y"),
        multi,
        session,
    )
    assert load(tmp_path).ready
    assert "4 recorded requests were asked" in caplog.messages
    assert "1 recorded requests of SessionRunLog are not asked: not served here" in caplog.messages


@pytest.mark.parametrize(
    ("log", "said"),
    [
        pytest.param(lambda: predict_log(z=[[1.0]]), 'unknown input "z"', id="another input"),
        pytest.param(lambda: predict_log("gone", x=[[1.0]]), '"gone" not found', id="a signature"),
        pytest.param(lambda: predict_log(x=["a"]), "datatype BYTES; send FP32", id="text"),
    ],
)
def test_a_version_that_cannot_answer_what_was_recorded_does_not_serve(log, said, tmp_path):
    record(models.half_plus_two(tmp_path / "1"), predict_log(x=[[1.0]]), log())
    with pytest.raises(LoadFailure) as caught:
        load(tmp_path)
    assert caught.value.reason == "ModelIncompatible"
    assert "warm-up request 1" in caught.value.message
    assert said in caught.value.message
    assert "--enable_model_warmup=false" in caught.value.message
    assert load(tmp_path, warm_rounds=0).ready


def test_a_record_that_is_cut_short_is_told(tmp_path):
    folder = record(models.half_plus_two(tmp_path / "1"), predict_log(x=[[1.0]]))
    path = folder / warmup.RECORDS
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LoadFailure, match="cut short"):
        load(tmp_path)


def test_metrics_stand_where_the_monitoring_configuration_says(tmp_path):
    models.half_plus_two(tmp_path / "half" / "1")
    config = tmp_path / "monitoring.config"
    config.write_text("prometheus_config { enable: true }")
    with serve(tmp_path / "half", monitoring_config_file=str(config)) as server:
        assert server.ask(PATH + ":predict", ONE)[0] == 200
        assert server.ask(PATH + ":predict", {"instances": [["a"]]})[0] == 400
        text = server.text("/monitoring/prometheus/metrics")
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 1' in text
    assert ':tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 1' in text
    assert "# TYPE request_predict_seconds histogram" in text
