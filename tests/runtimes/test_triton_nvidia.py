"""NVIDIA's own tritonserver as a command: where it is found, and what it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sampan.runtimes.triton.nvidia import (
    Found,
    gather_server,
    make_arguments,
    make_environ,
    place_backends,
)

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
KSERVES = ["tritonserver", "--model-store=/mnt/models", "--grpc-port=9000", "--http-port=8080"]


def carry(folder: Path, version: str = VERSION) -> Path:
    """Return a folder laid out as the package lays its server out."""
    carried = folder / "site" / "pytriton" / "tritonserver"
    (carried / "backends" / "python").mkdir(parents=True)
    (carried / "backends" / "python" / "libtriton_python.so").write_text("library")
    stub = carried / "python_backend_stubs" / version / "triton_python_backend_stub"
    stub.parent.mkdir(parents=True)
    stub.write_text("program")
    (carried / "bin").mkdir()
    (carried / "bin" / "tritonserver").write_text("server")
    return carried


def test_a_server_of_the_path_goes_first(tmp_path, monkeypatch):
    own = tmp_path / "bin" / "tritonserver"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    (carry(tmp_path).parent / "__init__.py").write_text("raise ImportError('it is found only')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert gather_server({"PATH": str(own.parent)}) == Found(str(own))
    found = gather_server({"PATH": str(tmp_path / "nowhere")})
    assert found.program == str(tmp_path / "site/pytriton/tritonserver/bin/tritonserver")
    assert found.libraries == tmp_path / "site/nvidia_pytriton.libs"


def test_where_there_is_none_both_ways_are_told(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ValueError, match=r'no "tritonserver" is on the PATH.*nvidia-pytriton'):
        gather_server({"PATH": "/nowhere"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param(KSERVES, [
            *KSERVES[1:], "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
            "--metrics-address=127.0.0.1", "--allow-metrics=false"], id="KServe's arguments"),
        pytest.param(["--metrics-port=8002"], [
            "--metrics-port=8002", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
            "--metrics-address=127.0.0.1"], id="metrics at a port that is named"),
        pytest.param(["--http-address=::1", "--allow-metrics=true"], [
            "--http-address=::1", "--allow-metrics=true", "--grpc-address=127.0.0.1",
            "--metrics-address=127.0.0.1"], id="what is given stays"),
    ],
)  # fmt: skip
def test_it_is_told_what_was_given_and_stays_on_this_machine(given, told):
    assert make_arguments([*given, "--trust"], None) == told
    assert make_arguments([*given, "--trust"], Path("/b"))[-1] == "--backend-directory=/b"


def test_without_trust_no_model_runs():
    with pytest.raises(ValueError, match=r"serving\.sampan\.dev/trust"):
        make_arguments(KSERVES, None)


def test_backends_are_placed_once_with_the_program_of_this_python(tmp_path):
    carried = carry(tmp_path)
    placed = place_backends(carried, tmp_path / "cache")
    assert (placed / "python" / "libtriton_python.so").read_text() == "library"
    assert (placed / "python" / "triton_python_backend_stub").read_text() == "program"
    assert os.access(placed / "python" / "triton_python_backend_stub", os.X_OK)
    assert place_backends(carried, tmp_path / "cache") == placed
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [placed.name]
    assert not list((carried / "backends" / "python").glob("*stub*"))


def test_another_version_of_python_is_told(tmp_path):
    with pytest.raises(ValueError, match=rf"no Python backend for Python {VERSION}.*for 2.7"):
        place_backends(carry(tmp_path, "2.7"), tmp_path / "cache")


def test_the_interpreter_of_the_environment_is_found_first():
    told = make_environ({"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/mine"}, Path("/libs"))
    assert told["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    folders = told["LD_LIBRARY_PATH"].split(os.pathsep)
    assert (folders[0], folders[-1]) == ("/libs", "/mine")


def test_the_command_says_what_is_missing_and_leaves(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sampan.app.tritonserver", *KSERVES],
        env={**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "tritonserver" in done.stderr
    assert "Traceback" not in done.stderr
