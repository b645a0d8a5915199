"""SavedModels in a Triton repository: the backend "tensorflow"."""

from __future__ import annotations

import numpy as np
import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.serving import Order
from sampan.runtimes.triton.runtime import make_offer
from sampan.server.load_failure import LoadFailure

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed: make test-engines")
models = pytest.importorskip("tests.engines.tensorflow_models")
pytestmark = pytest.mark.timeout(300)


def write(root, config="", make=models.dense):
    make(root / "net" / "1" / "model.savedmodel")
    if config:
        (root / "net" / "config.pbtxt").write_text(config)
    return root


def load(root, *, trust=False):
    model = make_offer(Order("m", root, trust, frozenset())).repository.get("net").model
    model.load()
    return model


def refused(root):
    with pytest.raises(LoadFailure) as caught:
        load(root)
    return caught.value


def ask(model, **tensors):
    inputs = []
    for name, (datatype, array) in tensors.items():
        tensor = InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    answer = model.predict(InferRequest("net", inputs))
    return {output.name: output.as_numpy() for output in answer.outputs}


ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 3.4, 4.5, 1.6]], np.float32)


def test_without_a_configuration_the_signature_tells_it(tmp_path):
    model = load(write(tmp_path))
    assert model.get_input_types() == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert model.platform == "tensorflow_savedmodel"
    assert model.batch_limits.max_size == 4
    scores = ask(model, x=("FP32", ROWS))["scores"]
    own = tf.saved_model.load(str(tmp_path / "net" / "1" / "model.savedmodel"))
    wanted = own.signatures["serving_default"](tf.constant(ROWS))["scores"].numpy()
    assert scores == pytest.approx(wanted)


def test_a_signature_is_chosen_by_its_parameter(tmp_path):
    config = """platform: "tensorflow_savedmodel"
    parameters { key: "TF_SIGNATURE_DEF" value { string_value: "two" } }
    parameters { key: "TF_NUM_INTRA_THREADS" value { string_value: "1" } }"""
    model = load(write(tmp_path, config))
    texts = np.array([b"abc", b"de"], dtype=object)
    made = ask(model, a=("INT64", np.array([1, 2])), text=("BYTES", texts))
    assert made["double"].tolist() == [2, 4]
    assert made["length"].tolist() == [3, 2]
    with pytest.raises(InvalidInput, match='unknown input "x"'):
        ask(model, x=("FP32", ROWS))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param('backend: "tensorflow" parameters { key: "TF_SIGNATURE_DEF" value '
                     '{ string_value: "gone" } }', '"gone" not found', id="a signature"),
        pytest.param('backend: "tensorflow" parameters { key: "TF_GRAPH_TAG" value '
                     '{ string_value: "train" } }', "has no graph for train", id="a tag"),
        pytest.param('backend: "tensorflow" parameters { key: "TF_NUM_INTER_THREADS" value '
                     '{ string_value: "many" } }', 'TF_NUM_INTER_THREADS is "many"', id="threads"),
        pytest.param('platform: "tensorflow_graphdef"', '"tensorflow_graphdef", which is not',
                     id="a GraphDef"),
        pytest.param('backend: "tensorflow" input { name: "z" data_type: TYPE_FP32 dims: 4 }',
                     'input "z" is not in the model, which has "x"', id="another input"),
    ],
)  # fmt: skip
def test_what_the_model_does_not_have_is_told(config, said, tmp_path):
    failure = refused(write(tmp_path, config))
    assert (failure.reason, said in failure.message) == ("ModelIncompatible", True), failure


def test_a_program_that_reads_files_is_refused(tmp_path):
    def reads(folder):
        return models.program(folder, lambda _: {"y": tf.io.read_file("/etc/hostname")})

    assert refused(write(tmp_path, make=reads)).reason == "ModelUntrusted"
    assert load(tmp_path, trust=True).ready
