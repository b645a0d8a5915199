"""TorchScript and torch.export files in real PyTorch, hostile ones among them."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest, RequestedOutput
from sampan.runtimes.pytorch import PytorchModel
from sampan.server.load_failure import LoadFailure

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engines")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROWS = [[1.0, 2.0, 3.0, 4.0], [0.0, -1.0, 0.5, 2.0]]


class Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class Two(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": a + b, "difference": a - b}


class Reader(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_file("/etc/hostname", False, 4, dtype=torch.uint8) + x


class Writer(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, self.path)
        return x


class Runs:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def script(module: Any, folder: Path) -> Path:
    torch.jit.save(torch.jit.script(module.eval()), str(folder / "model.pt"))
    return folder


def exported(folder: Path, module: Any = None) -> Path:
    program = torch.export.export(
        (module or Linear()).eval(),
        (torch.zeros(2, 4),),
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
    )
    torch.export.save(program, str(folder / "model.pt2"))
    return folder


def loaded(folder: Path, **options: Any) -> PytorchModel:
    model = PytorchModel("m", str(folder), **options)
    assert model.load()
    return model


def failure(folder: Path, **options: Any) -> LoadFailure:
    with pytest.raises(LoadFailure) as caught:
        PytorchModel("m", str(folder), **options).load()
    return caught.value


def asked(*outputs: str, **arrays: Any) -> InferRequest:
    tensors = []
    for name, array in arrays.items():
        made = InferInput(name, list(array.shape), "FP32")
        made.set_array(array)
        tensors.append(made)
    wanted = [RequestedOutput(name) for name in outputs] or None
    return InferRequest("m", tensors, "1", request_outputs=wanted)


def test_torchscript_answers_with_pytorchs_numbers(tmp_path):
    module = Linear()
    wanted = module(torch.tensor(ROWS)).detach().numpy()
    model = loaded(script(module, tmp_path))
    assert np.array_equal(model.predict({"instances": ROWS})["predictions"], wanted)
    output = model.predict(asked(x=np.array(ROWS, np.float32))).outputs[0]
    assert (output.name, output.datatype) == ("output-0", "FP32")
    assert np.array_equal(output.as_numpy(), wanted)


def test_whole_numbers_of_json_are_fractions_to_a_model_of_fractions(tmp_path):
    model = loaded(script(Linear(), tmp_path))
    assert model.predict({"instances": [[1, 2, 3, 4]]})["predictions"].shape == (1, 3)


def test_a_dict_of_outputs_by_name(tmp_path):
    model = loaded(script(Two(), tmp_path))
    one = np.ones((2, 2), np.float32)
    outputs = model.predict(asked(a=one, b=one)).outputs
    assert {o.name: o.data[0] for o in outputs} == {"sum": 2.0, "difference": 0.0}
    (only,) = model.predict(asked("difference", a=one, b=one)).outputs
    assert only.name == "difference"
    with pytest.raises(InvalidInput, match='unknown output "z"; the model has "sum"'):
        model.predict(asked("z", a=one, b=one))


def test_torch_export_tells_its_tensors_and_is_batched_where_rows_stand_alone(tmp_path):
    model = loaded(exported(tmp_path), trust=True)
    assert model.get_input_types() == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert model.get_output_types()[0]["shape"] == [-1, 3]
    assert model.predict({"instances": ROWS})["predictions"].shape == (2, 3)
    with pytest.raises(InvalidInput, match=r'"x" has shape \[1, 3\]; send \[-1, 4\]'):
        model.predict({"instances": [[1.0, 2.0, 3.0]]})


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"instances": [[1.0, 2.0]]}, "mat1 and mat2 shapes cannot be multiplied"),
        ({"instances": []}, 'input "x" has no rows'),
        ({"instances": [["a"] * 4]}, 'input "x" has datatype BYTES; send numbers'),
        ({"instances": [{"y": [1.0] * 4}]}, 'unknown input "y"; the model takes "x"'),
        (asked(), 'input "x" is missing; the model takes "x"'),
    ],
)
def test_bad_input_is_the_callers_fault(tmp_path, payload, words):
    model = loaded(script(Linear(), tmp_path))
    with pytest.raises(InvalidInput) as caught:
        model.predict(payload)
    assert words in str(caught.value)


# -- hostile files -------------------------------------------------------------------------------


def test_a_pickle_is_never_opened(tmp_path):
    mark = tmp_path / "ran"
    torch.save(Runs(mark), tmp_path / "model.pt")
    told = failure(tmp_path, trust=True)
    assert told.reason == "ModelFormat"
    assert "that torch.save wrote" in told.message
    (tmp_path / "model.pt").write_bytes(pickle.dumps(Runs(mark)))
    assert failure(tmp_path, trust=True).reason == "ModelFormat"
    assert not mark.exists()


def test_a_program_of_torch_export_is_not_loaded_unless_trusted(tmp_path):
    mark = tmp_path / "ran"
    folder = tmp_path / "model"
    folder.mkdir()
    exported(folder)
    hostile = folder / "hostile.pt2"
    with zipfile.ZipFile(folder / "model.pt2") as old, zipfile.ZipFile(hostile, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.writestr("hostile/data/sample_inputs/model.pt", pickle.dumps(Runs(mark)))
    (folder / "model.pt2").unlink()
    told = failure(folder)
    assert told.reason == "ModelUntrusted"
    assert "serving.sampan.dev/trust" in told.message
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["reads", "writes"])
def test_torchscript_that_touches_files_is_refused(tmp_path, kind):
    module = Reader() if kind == "reads" else Writer(str(tmp_path / "ran"))
    folder = tmp_path / "model"
    folder.mkdir()
    told = failure(script(module, folder))
    assert told.reason == "ModelUntrusted"
    assert ("torch.from_file" if kind == "reads" else "torch.save") in told.message
    assert loaded(folder, trust=True).ready


def test_an_archive_that_says_two_things_is_refused(tmp_path):
    script(Linear(), tmp_path)
    with zipfile.ZipFile(tmp_path / "model.pt", "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith(".py"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(name, "another")
    assert "twice" in failure(tmp_path).message


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04broken"])
def test_a_file_that_is_no_model(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    assert failure(tmp_path).reason in {"ModelFormat", "ModelCorrupt"}


def test_a_truncated_model(tmp_path):
    whole = (script(Linear(), tmp_path) / "model.pt").read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    assert failure(tmp_path).reason in {"ModelFormat", "ModelCorrupt"}
