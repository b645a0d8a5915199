"""The generate extension of a Triton repository: fields are typed by the model's configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.runtimes.triton_served import serve

CONFIG = """
backend: "python"
max_batch_size: {size}
input [
  {{ name: "N" data_type: TYPE_INT32 dims: [ -1 ] }},
  {{ name: "X" data_type: TYPE_FP32 dims: [ 1 ] }},
  {{ name: "T" data_type: TYPE_STRING dims: [ 1 ] optional: true }}
]
output [{{ name: "SAID" data_type: TYPE_STRING dims: [ 1 ] }}]
"""
MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        (request,) = requests
        told = ";".join(
            f"{t.name()} {t.as_numpy().dtype} {list(t.shape())} {t.as_numpy().ravel().tolist()}"
            for t in request.inputs()
        )
        size = len(request.inputs()[0].shape())
        out = np.full((1,) * size, told.encode(), dtype=object)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("SAID", out)])]
"""


@pytest.fixture(params=[0, 4])
async def asked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, int]]:
    """Serve the model without batches, and with."""
    (tmp_path / "said" / "1").mkdir(parents=True)
    (tmp_path / "said" / "config.pbtxt").write_text(CONFIG.format(size=request.param))
    (tmp_path / "said" / "1" / "model.py").write_text(MODEL)
    async with serve(tmp_path, trust=True) as served:
        yield f"http://{served.address}/v2/models/said/generate", request.param


async def test_numbers_get_the_datatype_and_the_shape_of_their_input(asked):
    url, size = asked
    first = "1, " if size else ""
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(url, json={"N": [1, 2], "X": 3, "T": "t", "temperature": 0.5})
        assert answer.status_code == 200, answer.text
        assert answer.json()["SAID"] == (
            f"N int32 [{first}2] [1, 2];X float32 [{first}1] [3.0];T object [{first}1] [b't']"
        )
        again = await client.post(url + "_stream", json={"N": 1, "X": 0.5})
        assert f"N int32 [{first}1] [1];X float32 [{first}1] [0.5]" in again.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"N": "a", "X": 1}, '"N"', id="text for a number"),
        pytest.param({"N": [1.5], "X": 1}, '"N"', id="a fraction for a whole number"),
        pytest.param({"N": 1}, 'input "X" is missing', id="a missing input"),
        pytest.param({"N": 1, "X": 1, "odd": [1, 2]}, "field 'odd' is no input", id="an odd list"),
    ],
)
async def test_what_does_not_fit_is_told_with_its_field(asked, body, words):
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(asked[0], json=body)
        assert answer.status_code == 400
        assert words in answer.json()["error"]
