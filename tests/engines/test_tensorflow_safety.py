"""Hostile SavedModels and Keras files: nothing of them runs, nothing leads out of its folder."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from sampan.runtimes.tensorflow.config import ModelConfig
from sampan.runtimes.tensorflow.model import TensorflowModel
from sampan.runtimes.tensorflow.saved_model import Engine
from sampan.runtimes.tensorflow.version import Settings
from sampan.server.load_failure import LoadFailure

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed: make test-engines")
models = pytest.importorskip("tests.engines.tensorflow_models")
keras = pytest.importorskip("keras")

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Keras and NumPy, in saving
]


def load(path: Path, *, trust: bool = False) -> TensorflowModel:
    model = TensorflowModel(ModelConfig("m", path), Settings(Engine(trust=trust)))
    model.load()
    return model


def refused(path: Path) -> LoadFailure:
    with pytest.raises(LoadFailure) as raised:
        load(path)
    return raised.value


def reads(secret):
    return lambda _: {"y": tf.io.read_file(str(secret))}


def inner(secret):
    @tf.function
    def deep(x):
        return tf.cond(tf.size(x) > 0, lambda: tf.io.read_file(str(secret)), lambda: "")

    return lambda x: {"y": deep(x)}


def over_rows(secret):
    return lambda x: {"y": tf.map_fn(lambda _: tf.io.read_file(str(secret)), x)}


def writes(secret):
    def run(x):
        with tf.control_dependencies([tf.io.write_file(str(secret), "overwritten")]):
            return {"y": tf.identity(x)}

    return run


def lists(secret):
    return lambda _: {"y": tf.io.matching_files(str(secret.parent / "*"))}


def prints(secret):
    def run(x):
        tf.print("overwritten", output_stream=f"file://{secret}")
        return {"y": x}

    return run


def python(secret):
    return lambda x: {"y": tf.numpy_function(lambda a: a, [x], tf.string)}


def records(secret):
    def run(x):
        lines = tf.data.TextLineDataset(str(secret))
        return {"y": lines.reduce(tf.constant(""), lambda a, b: a + b)}

    return run


def ends(secret):
    def run(x):
        with tf.control_dependencies([tf.raw_ops.Abort(error_msg="gone")]):
            return {"y": tf.identity(x)}

    return run


@pytest.mark.parametrize(
    ("body", "operator"),
    [
        pytest.param(reads, "ReadFile", id="a file is read"),
        pytest.param(inner, "ReadFile", id="a file is read in a function's branch"),
        pytest.param(over_rows, "ReadFile", id="a file is read in a loop"),
        pytest.param(writes, "WriteFile", id="a file is written"),
        pytest.param(lists, "MatchingFiles", id="a folder is listed"),
        pytest.param(prints, "PrintV2", id="a file is printed to"),
        pytest.param(python, "PyFunc", id="Python is called"),
        pytest.param(records, "TextLineDataset", id="a dataset reads a file"),
        pytest.param(ends, "Abort", id="the process is ended"),
    ],
)
def test_operators_that_touch_more_than_tensors_are_refused(body, operator, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    failure = refused(models.program(tmp_path / "model", body(secret)))
    assert failure.reason == "ModelUntrusted"
    assert operator in failure.message
    assert "serving.sampan.dev/trust" in failure.message
    assert secret.read_text() == "hidden"


def test_a_trusted_model_may_read_files(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("known")
    model = load(models.program(tmp_path / "model", reads(secret)), trust=True)
    assert model.predict({"inputs": ["a"]}) == {"outputs": b"known"}


def test_an_asset_is_read_from_the_models_own_folder(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("red\ngreen\n")
    folder = models.vocabulary(tmp_path / "model", words)
    words.unlink()
    model = load(folder)
    assert model.predict({"instances": ["green", "blue"]})["predictions"].tolist() == [1, -1]


def change(folder: Path, edit) -> Path:
    """Rewrite a SavedModel's message."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    document = SavedModel()
    file = folder / "saved_model.pb"
    document.ParseFromString(file.read_bytes())
    edit(document.meta_graphs[0])
    file.write_bytes(document.SerializeToString())
    return folder


def climbing(graph):
    graph.asset_file_def[0].filename = "../../secret"


def elsewhere(graph):
    graph.asset_file_def.pop()  # the loader then leaves the constant as the file has it


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        pytest.param(climbing, "lies outside of its folder", id="an asset that climbs"),
        pytest.param(
            elsewhere, "InitializeTableFromTextFileV2", id="a vocabulary that is no asset"
        ),
    ],
)
def test_assets_stay_in_the_models_folder(edit, said, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("red\n")
    failure = refused(change(models.vocabulary(tmp_path / "model", words), edit))
    assert (failure.reason, said in failure.message) == ("ModelUntrusted", True), failure.message


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = models.dense(tmp_path / "model")
    variables = folder / "variables"
    variables.rename(tmp_path / "elsewhere")
    variables.symlink_to(tmp_path / "elsewhere")
    failure = refused(folder)
    assert (failure.reason, "leads out of" in failure.message) == ("ModelUntrusted", True)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_lambda_layer_is_refused_unless_trusted(ending, tmp_path):
    layer = keras.layers.Lambda(lambda x: x * 2)
    path = models.keras_model(tmp_path / f"model{ending}", layer)
    failure = refused(path)
    assert failure.reason == "ModelUntrusted"
    assert "Lambda" in failure.message
    trusted = load(path, trust=True).predict({"instances": [[1, 2, 3, 4]]})
    assert trusted["predictions"].tolist() == [[2, 4, 6, 8]]


def layers(path: Path, edit) -> Path:
    """Rewrite the layers of a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(parts["config.json"])
    edit(document)
    parts["config.json"] = json.dumps(document).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def module(document):
    document["config"]["layers"][1].update(module="os", class_name="system", config="id")


def nested(document):
    document["config"]["layers"][1]["config"]["activation"] = {
        "module": "subprocess", "class_name": "function", "config": "run",
    }  # fmt: skip


def tool(document):
    document["config"]["layers"][1].update(module="keras.utils", class_name="get_file")


def registered(document):
    document["config"]["layers"][1].update(module=None, registered_name="mine>Layer")


def vocabulary(document):
    document["config"]["layers"][1].update(
        module="keras.layers", class_name="StringLookup", config={"vocabulary": "/etc/passwd"}
    )


def graph(document):
    document["config"]["layers"][1].update(module="keras.layers", class_name="TFSMLayer")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        pytest.param(module, '"os.system"', id="a function of Python"),
        pytest.param(nested, '"function"', id="a function where an activation stands"),
        pytest.param(tool, '"keras.utils.get_file"', id="a tool of Keras that downloads"),
        pytest.param(registered, '"mine>Layer"', id="a class of somebody's own"),
        pytest.param(vocabulary, '"/etc/passwd" as the vocabulary', id="a vocabulary by its path"),
        pytest.param(graph, '"TFSMLayer"', id="a SavedModel from elsewhere"),
    ],
)
def test_what_is_not_keras_own_layer_is_refused(edit, said, tmp_path):
    failure = refused(layers(models.keras_model(tmp_path / "model.keras"), edit))
    assert failure.reason == "ModelUntrusted"
    assert said in failure.message


def test_a_path_that_climbs_out_of_the_archive_is_refused(tmp_path):
    path = models.keras_model(tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/../../../escaped", "x")
    failure = refused(path)
    assert (failure.reason, "leads out of it" in failure.message) == ("ModelUntrusted", True)
    assert not (tmp_path.parent / "escaped").exists()


def test_weights_in_another_file_are_refused(tmp_path):
    import h5py

    path = models.keras_model(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        file["beside"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    failure = refused(path)
    assert (failure.reason, "another file" in failure.message) == ("ModelUntrusted", True)
