"""A person's model file passes strict type checking, with Sampan's names and with kserve's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sampan.kserve import FOLDER

MODEL = """
from typing import Any

import numpy as np

from {package} import InferRequest, InferResponse, Model, ModelServer{helpers}


class Mean(Model):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.scale = 1.0

    def load(self) -> bool:
        self.scale = 2.0
        self.ready = True
        return self.ready

    def predict(
        self, payload: dict[str, Any] | InferRequest, headers: dict[str, str] | None = None
    ) -> dict[str, Any] | InferResponse:
        answer: dict[str, Any] | InferResponse = get_predict_response(
            payload, np.mean(get_predict_input(payload), axis=1) * self.scale, self.name
        )
        return answer


class Doubled(Model):
    async def preprocess(
        self, payload: dict[str, Any], headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        return {{"instances": [[x * 2 for x in row] for row in payload["instances"]]}}

    async def predict(
        self,
        payload: dict[str, Any],
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        result: dict[str, Any] = await super().predict(payload, headers, response_headers)
        return result


if __name__ == "__main__":
    ModelServer(http_port=8080).start([Mean("mean"), Doubled("doubled")])
"""
FILES = {
    "sampan": MODEL.format(
        package="sampan.sdk", helpers=", get_predict_input, get_predict_response"
    ),
    "kserve": MODEL.format(
        package="kserve",
        helpers="\nfrom kserve.utils.utils import get_predict_input, get_predict_response",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("names", FILES)
def test_mypy_strict_passes(tmp_path, names):
    (tmp_path / "my_model.py").write_text(FILES[names])
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "my_model.py"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "MYPYPATH": FOLDER},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["standard", "strict"])
@pytest.mark.parametrize("names", FILES)
def test_pyright_passes(tmp_path, names, mode):
    (tmp_path / "my_model.py").write_text(FILES[names])
    settings = {"extraPaths": [FOLDER], "typeCheckingMode": mode}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    pyright = Path(sys.executable).with_name("basedpyright")
    done = subprocess.run(
        [pyright, "--pythonpath", sys.executable, "my_model.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout
