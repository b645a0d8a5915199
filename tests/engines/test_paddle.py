"""Paddle programs in real Paddle: what they answer, what is refused, what is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.paddle import PaddleModel
from sampan.runtimes.paddle_program import read_program
from sampan.server.load_failure import LoadFailure

paddle = pytest.importorskip("paddle", reason="paddlepaddle is not installed: make test-engines")

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]
ROWS = [[1.0, 2.0, 3.0, 4.0], [0.5, -1.0, 0.0, 2.0]]


class Scores(paddle.nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.layer = paddle.nn.Linear(4, 3)

    def forward(self, x):
        return paddle.nn.functional.softmax(self.layer(x))


class Two(paddle.nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        twice = paddle.nn.initializer.Constant(2.0)
        self.factor = self.create_parameter([1], default_initializer=twice)

    def forward(self, a, b):
        return a * self.factor + b


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a folder with a saved program, and the layer that it was."""
    paddle.seed(0)
    folder = tmp_path_factory.mktemp("paddle")
    return folder, save(Scores(), folder, paddle.static.InputSpec([None, 4], "float32", "x"))


def save(layer, folder: Path, *specs):
    layer.eval()
    paddle.jit.save(layer, str(folder / "model"), input_spec=list(specs))
    return layer


def load(folder: Path, **options) -> PaddleModel:
    model = PaddleModel("m", str(folder), **options)
    assert model.load()
    return model


def v2(data, datatype="FP32", name="any"):
    array = np.array(data)
    tensor = InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array.astype({"FP32": "f4", "FP64": "f8", "INT64": "i8"}[datatype]))
    return InferRequest("m", [tensor])


def test_a_program_answers_as_paddle_does(saved):
    folder, layer = saved
    model = load(folder)
    expected = layer(paddle.to_tensor(np.float32(ROWS))).numpy()
    np.testing.assert_allclose(model.predict({"instances": ROWS})["predictions"], expected, 1e-5)
    output = model.predict(v2(ROWS)).outputs[0]
    assert (output.name, output.datatype, output.shape) == ("output-0", "FP32", [2, 3])
    np.testing.assert_allclose(output.as_numpy(), expected, 1e-5)


@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT64"])
def test_numbers_of_any_kind_are_cast(saved, datatype):
    model = load(saved[0])
    whole = [[1, 2, 3, 4]]
    output = model.predict(v2(whole, datatype)).outputs[0].as_numpy()
    np.testing.assert_array_equal(output, model.predict({"instances": whole})["predictions"])


def test_metadata_is_read_from_the_program(saved):
    model = load(saved[0])
    assert model.get_input_types() == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert model.get_output_types() == [{"name": "output-0", "datatype": "FP32", "shape": [-1, 3]}]


def test_several_inputs_go_by_their_names(tmp_path):
    spec = paddle.static.InputSpec
    save(Two(), tmp_path, spec([None], "float32", "a"), spec([None], "float32", "b"))
    model = load(tmp_path)
    rows = [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]
    assert list(model.predict({"instances": rows})["predictions"]) == [4.0, 10.0]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        pytest.param({"instances": [[1, 2, 3]]}, 'input "x" has shape [1, 3]; send [-1, 4]',
                     id="a row that is too short"),
        pytest.param({"instances": []}, "has no rows; send at least one", id="no rows"),
        pytest.param({"instances": [["a", "b", "c", "d"]]}, 'input "x" holds no numbers',
                     id="text for numbers"),
        pytest.param({"instances": [[1, 2], [3]]}, "ragged", id="rows of unequal length"),
        pytest.param({"rows": 1}, 'Expected a JSON object with "instances"', id="another key"),
        pytest.param(v2([[1.0, 2.0, 3.0]]), 'input "x" has shape [1, 3]; send [-1, 4]',
                     id="a short row over V2"),
        pytest.param(InferRequest("m", []), "has no input", id="no input over V2"),
    ],
)  # fmt: skip
def test_wrong_input_is_the_callers_fault(saved, payload, said):
    with pytest.raises(InvalidInput) as raised:
        load(saved[0]).predict(payload)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("files", "reason", "said"),
    [
        pytest.param([], "ModelMissing", "Missing model file with extension '.pdmodel' or '.json'",
                     id="an empty folder"),
        pytest.param(["a.pdmodel"], "ModelMissing", "extension '.pdiparams'", id="no parameters"),
        pytest.param(["a.pdmodel", "b.pdmodel"], "ModelAmbiguous",
                     "More than one .pdmodel model file found", id="two programs"),
        pytest.param(["a.json", "a.pdiparams", "b.pdiparams"], "ModelAmbiguous",
                     "More than one .pdiparams model file found", id="two files of parameters"),
        pytest.param(["a.pdmodel", "a.pdiparams"], "ModelCorrupt", "is no Paddle program",
                     id="bytes that are no program"),
        pytest.param(["a.json", "a.pdiparams"], "ModelCorrupt", "is no Paddle program",
                     id="text that is no program"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_told_with_its_reason(files, reason, said, tmp_path):
    for name in files:
        (tmp_path / name).write_bytes(b"\xff\xfe{")
    with pytest.raises(LoadFailure) as raised:
        load(tmp_path)
    assert (raised.value.reason, said in raised.value.message) == (reason, True)


def test_parameters_of_another_program_are_refused(saved, tmp_path):
    (tmp_path / "model.json").write_bytes((saved[0] / "model.json").read_bytes())
    (tmp_path / "model.pdiparams").write_bytes(b"not parameters")
    with pytest.raises(LoadFailure) as raised:
        load(tmp_path)
    assert raised.value.reason == "ModelIncompatible"


def test_a_program_that_touches_files_is_refused(saved, tmp_path):
    """A program with an operator put in is not run, only read."""
    document = json.loads((saved[0] / "model.json").read_bytes())
    operators = document["program"]["regions"][0]["blocks"][0]["ops"]
    operators.append({**operators[-1], "#": "1.save_combine"})
    (tmp_path / "model.json").write_text(json.dumps(document))
    (tmp_path / "model.pdiparams").write_bytes((saved[0] / "model.pdiparams").read_bytes())
    with pytest.raises(LoadFailure) as raised:
        load(tmp_path)
    assert raised.value.reason == "ModelUntrusted"
    assert '"save_combine"' in raised.value.message


def test_a_program_of_the_older_form_is_described_by_its_message(tmp_path):
    """Written by Paddle's own messages: Paddle 3 saves the newer form only."""
    from paddle.base.proto import framework_pb2

    document = framework_pb2.ProgramDesc()
    block = document.blocks.add(idx=0, parent_idx=-1)
    variable = block.vars.add(name="image")
    variable.type.type = framework_pb2.VarType.DENSE_TENSOR
    variable.type.dense_tensor.tensor.data_type = framework_pb2.VarType.FP32
    variable.type.dense_tensor.tensor.dims.extend([-1, 3, 224, 224])
    feed = block.ops.add(type="feed")
    feed.outputs.add(parameter="Out", arguments=["image"])
    block.ops.add(type="py_func")
    path = tmp_path / "model.pdmodel"
    path.write_bytes(document.SerializeToString())
    told = read_program(path)
    assert [spec.metadata() for spec in told.inputs] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 3, 224, 224]}
    ]
    assert told.forbidden == ("py_func",)
