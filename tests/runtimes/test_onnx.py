"""The ONNX runtime: real models in onnxruntime, metadata, and what it says of bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtimes import onnx_models as models

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest, RequestedOutput
from sampan.runtimes.onnx import OnnxModel
from sampan.runtimes.onnx_session import default_threads, select_providers
from sampan.server.load_failure import LoadFailure

ROWS = [[1.0, 2.0, 3.0, 4.0], [0.0, -1.0, 0.5, 2.0]]
WANTED = (np.array(ROWS, np.float32) @ models.WEIGHTS + models.BIAS).tolist()


def loaded(folder: Path, made: Any) -> OnnxModel:
    models.save(made, folder / "model.onnx")
    model = OnnxModel("m", str(folder))
    assert model.load()
    return model


def failure(folder: Path) -> LoadFailure:
    with pytest.raises(LoadFailure) as caught:
        OnnxModel("m", str(folder)).load()
    return caught.value


def tensor(name: str, array: Any, datatype: str) -> InferInput:
    made = InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def asked(*tensors: InferInput, outputs: tuple[str, ...] = ()) -> InferRequest:
    wanted = [RequestedOutput(name) for name in outputs] or None
    return InferRequest("m", list(tensors), "7", request_outputs=wanted)


# -- answers -------------------------------------------------------------------------------------


def test_v1_and_v2_give_the_engines_numbers(tmp_path):
    model = loaded(tmp_path, models.linear())
    assert model.predict({"instances": ROWS})["predictions"].tolist() == WANTED
    answer = model.predict(asked(tensor("x", np.array(ROWS, np.float32), "FP32")))
    output = answer.outputs[0]
    assert (answer.id, output.name, output.datatype, output.shape) == ("7", "y", "FP32", [2, 3])
    assert output.as_numpy().tolist() == WANTED


def test_rows_of_several_inputs_are_objects_and_so_are_their_answers(tmp_path):
    model = loaded(tmp_path, models.add_sub(models.INT64, 2))
    row = {"INPUT0": [5, 7], "INPUT1": [1, 2]}
    answer = model.predict({"instances": [row, row]})["predictions"]
    assert [{k: list(v) for k, v in one.items()} for one in answer] == [
        {"OUTPUT0": [6, 9], "OUTPUT1": [4, 5]}
    ] * 2


def test_columns_are_whole_inputs(tmp_path):
    model = loaded(tmp_path, models.add_sub(models.INT64, 2))
    given = {"inputs": {"INPUT0": [[5, 7]], "INPUT1": [[1, 2]]}}
    answer = model.predict(given)["predictions"]
    assert [list(answer[0]["OUTPUT0"]), list(answer[0]["OUTPUT1"])] == [[6, 9], [4, 5]]


def test_only_the_outputs_that_are_asked_for_are_computed(tmp_path):
    model = loaded(tmp_path, models.add_sub())
    ones = np.ones((1, 16), np.float32)
    both = (tensor("INPUT0", ones, "FP32"), tensor("INPUT1", ones, "FP32"))
    answer = model.predict(asked(*both, outputs=("OUTPUT1",)))
    assert [output.name for output in answer.outputs] == ["OUTPUT1"]


def test_text_goes_through_as_text(tmp_path):
    model = loaded(tmp_path, models.same(models.STRING, "N"))
    assert list(model.predict({"instances": ["ä", "b"]})["predictions"]) == ["ä", "b"]
    output = model.predict(asked(InferInput("x", [1], "BYTES", ["ü"]))).outputs[0]
    assert (output.datatype, output.data) == ("BYTES", ["ü"])


def test_metadata_is_the_graphs_with_open_sizes_as_minus_one(tmp_path):
    model = loaded(tmp_path, models.linear())
    assert model.get_input_types() == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert model.get_output_types() == [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]
    assert model.platform == "onnxruntime_onnx"


def test_weights_beside_the_model_are_read(tmp_path):
    (tmp_path / "weights.bin").write_bytes(models.WEIGHTS.tobytes())
    model = loaded(tmp_path, models.outside("weights.bin"))
    assert model.predict({"instances": ROWS})["predictions"].tolist() == WANTED


# -- batching ------------------------------------------------------------------------------------


def test_a_model_whose_rows_stand_alone_is_batched(tmp_path):
    assert loaded(tmp_path, models.add_sub()).row_wise is True


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(models.over_rows(), id="rows that meet each other"),
        pytest.param(models.linear(rows=2), id="a fixed first size"),
        pytest.param(models.same(models.STRING, "N"), id="text, which is not tried"),
    ],
)
def test_any_other_is_not(tmp_path, made):
    assert loaded(tmp_path, made).row_wise is False


# -- bad input: the same words over V1 and V2 -----------------------------------------------------

BAD = [
    pytest.param([[1.0, 2.0]], '"x" has shape [1, 2]; send [-1, 4]', id="a feature is missing"),
    pytest.param([["a", "b", "c", "d"]], '"x" has datatype BYTES; send FP32', id="text"),
    pytest.param([], '"x" has no rows; send at least one', id="an empty batch"),
    pytest.param([[True] * 4], '"x" has datatype BOOL; send FP32', id="truth values"),
]


@pytest.mark.parametrize(("rows", "words"), BAD)
def test_what_does_not_fit_is_told_alike_over_v1_and_v2(tmp_path, rows, words):
    model = loaded(tmp_path, models.linear())
    array = np.array(rows)
    if array.dtype.kind == "U":
        array = array.astype(object)
    datatype = {"f": "FP32", "O": "BYTES", "b": "BOOL"}[array.dtype.kind]
    array = array.astype(np.float32) if datatype == "FP32" else array
    for payload in ({"instances": rows}, asked(tensor("x", array, datatype))):
        with pytest.raises(InvalidInput) as caught:
            model.predict(payload)
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"instances": [[1, 2, 3, 4], [1]]}, 'input "x" is ragged'),
        ({"instances": [[1, 2, 3, None]]}, 'input "x" holds null'),
        ({"instances": [[1, 2, 3, 1e300]]}, '"x" has datatype FP64; send FP32'),
        ({"instances": [{"z": [1, 2, 3, 4]}]}, 'unknown input "z"; the model takes "x" (FP32'),
        ({"instances": [{"x": [1]}, {"y": [1]}]}, "instance 1 does not have the names"),
        ({"rows": 1}, 'Expected a JSON object with "instances" or "inputs"'),
        (asked(), 'input "x" is missing; the model takes "x" (FP32 [-1, 4])'),
        (asked(InferInput("x", [1, 4], "FP64", [1, 2, 3, 4])), "datatype FP64; send FP32"),
        (asked(*[InferInput("x", [1, 4], "FP32", [1, 2, 3, 4])] * 2), "given twice"),
        (
            asked(InferInput("x", [1, 4], "FP32", [1, 2, 3, 4]), outputs=("z",)),
            'unknown output "z"; the model has "y"',
        ),
    ],
)
def test_a_request_that_is_wrong_is_told_what(tmp_path, payload, words):
    model = loaded(tmp_path, models.linear())
    with pytest.raises(InvalidInput) as caught:
        model.predict(payload)
    assert words in str(caught.value)


def test_a_fraction_is_no_whole_number(tmp_path):
    model = loaded(tmp_path, models.same(models.INT64, "N"))
    assert list(model.predict({"instances": [1.0, 2]})["predictions"]) == [1, 2]
    with pytest.raises(InvalidInput, match="datatype FP64; send INT64"):
        model.predict({"instances": [1.5]})


def test_sizes_that_do_not_go_together_are_the_callers_fault(tmp_path):
    model = loaded(tmp_path, models.add_sub(models.FLOAT, "M"))
    wide, narrow = np.ones((1, 3), np.float32), np.ones((1, 2), np.float32)
    with pytest.raises(InvalidInput, match="does not take these tensors"):
        model.predict(asked(tensor("INPUT0", wide, "FP32"), tensor("INPUT1", narrow, "FP32")))


# -- bad files -----------------------------------------------------------------------------------


def test_a_newer_ir_version_names_both_and_the_mend(tmp_path):
    models.save(models.linear(ir=99), tmp_path / "model.onnx")
    told = failure(tmp_path)
    assert told.reason == "ModelIncompatible"
    assert "IR version 99" in told.message
    assert "set runtimeVersion" in told.message


def test_a_newer_opset_names_both_and_the_mend(tmp_path):
    models.save(models.linear(opset=99), tmp_path / "model.onnx")
    told = failure(tmp_path)
    assert told.reason == "ModelIncompatible"
    assert "opset 99" in told.message
    assert "set runtimeVersion" in told.message


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08\x12", b"\x80\x04."])
def test_a_file_that_is_no_model(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    assert failure(tmp_path).reason == "ModelCorrupt"


def test_a_truncated_model(tmp_path):
    whole = models.linear().SerializeToString()
    (tmp_path / "model.onnx").write_bytes(whole[: len(whole) // 2])
    assert failure(tmp_path).reason == "ModelCorrupt"


def test_a_folder_without_a_model_names_what_there_is(tmp_path):
    (tmp_path / "model.pb").write_bytes(b"x")
    told = failure(tmp_path)
    assert (told.reason, '"model.pb"' in told.message) == ("ModelMissing", True)


@pytest.mark.parametrize("location", ["../secret.bin", "{absolute}", "link.bin"])
def test_weights_outside_the_models_folder_are_not_read(tmp_path, location):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(models.WEIGHTS.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(secret)
    models.save(models.outside(location.format(absolute=secret)), folder / "model.onnx")
    assert failure(folder).reason == "ModelIncompatible"


# -- decisions -----------------------------------------------------------------------------------


def test_a_device_comes_before_the_cpu():
    assert select_providers(["AzureExecutionProvider", "CPUExecutionProvider"]) == [
        "CPUExecutionProvider"
    ]
    assert select_providers(["CUDAExecutionProvider", "CPUExecutionProvider"]) == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]


@pytest.mark.parametrize(("value", "threads"), [("", 0), ("2", 2), ("many", 0)])
def test_a_cpu_limit_bounds_the_threads(value, threads):
    assert default_threads({"OMP_NUM_THREADS": value} if value else {}) == threads
