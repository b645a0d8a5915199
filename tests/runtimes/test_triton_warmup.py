"""Triton's model_warmup: requests that a model runs before it is ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sampan.protocol.bytes_tensor import serialize_byte_tensor
from sampan.runtimes.serving import Order
from sampan.runtimes.triton.runtime import make_offer
from sampan.runtimes.triton.warmup import make_requests
from sampan.server.load_failure import LoadFailure

CONFIG = """
backend: "python"
input [{ name: "IN" data_type: TYPE_INT32 dims: [ 2 ] }]
output [{ name: "OUT" data_type: TYPE_INT32 dims: [ 2 ] }]
model_warmup [
  { name: "zeros" count: 2 inputs { key: "IN" value { data_type: TYPE_INT32 dims: 2 zero_data: true } } },
  { name: "file" inputs { key: "IN" value { data_type: TYPE_INT32 dims: 2 input_data_file: "two" } } }
]
"""  # noqa: E501  # as such files are written
MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.seen = args["model_repository"] + "/seen"

    def execute(self, requests):
        with open(self.seen, "a") as told:
            for request in requests:
                told.write(f"{request.inputs()[0].as_numpy().tolist()}\\n")
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("OUT", request.inputs()[0].as_numpy())])
            for request in requests
        ]
"""


def test_what_a_configuration_says_is_run_before_a_model_is_ready(tmp_path: Path) -> None:
    (tmp_path / "one" / "1").mkdir(parents=True)
    (tmp_path / "one" / "warmup").mkdir()
    (tmp_path / "one" / "warmup" / "two").write_bytes(np.array([7, 8], np.int32).tobytes())
    (tmp_path / "one" / "config.pbtxt").write_text(CONFIG)
    (tmp_path / "one" / "1" / "model.py").write_text(MODEL)
    model: Any = make_offer(Order("m", tmp_path, trust=True)).repository.get("one").model
    model.load()
    model.warm_up()
    assert (tmp_path / "one" / "seen").read_text() == "[0, 0]\n[0, 0]\n[7, 8]\n"


def of(folder: Path, item: dict[str, Any], **sample: Any) -> list[Any]:
    document = {"model_warmup": [{"name": "w", "inputs": {"IN": item}, **sample}]}
    return [request["IN"] for request in make_requests(document, folder)]


def test_random_numbers_are_the_same_at_each_start(tmp_path: Path) -> None:
    item = {"data_type": "TYPE_FP32", "dims": [3], "random_data": True}
    (one,), (two,) = of(tmp_path, item, batch_size=2), of(tmp_path, item, batch_size=2)
    assert one.shape == (2, 3)
    assert np.array_equal(one, two)
    assert one.any()


def test_texts_are_read_in_v2s_form(tmp_path: Path) -> None:
    (tmp_path / "warmup").mkdir()
    (tmp_path / "warmup" / "texts").write_bytes(serialize_byte_tensor(["a", "bc"]))
    item = {"data_type": "TYPE_STRING", "dims": [2], "input_data_file": "texts"}
    (found,) = of(tmp_path, item)
    assert found.tolist() == [b"a", b"bc"]


@pytest.mark.parametrize(
    ("item", "reason", "words"),
    [
        ({"dims": [1]}, "ModelIncompatible", "has data_type TYPE_INVALID; give another"),
        ({"data_type": "TYPE_FP32", "dims": [-1]}, "ModelIncompatible", "give sizes from 1"),
        ({"data_type": "TYPE_FP32", "dims": [1], "input_data_file": "../x"}, "ModelUntrusted",
         'leaves the folder "warmup"'),
        ({"data_type": "TYPE_FP32", "dims": [1], "input_data_file": "none"}, "ModelIncompatible",
         'there is no file "warmup/none"'),
        ({"data_type": "TYPE_FP32", "dims": [9], "input_data_file": "short"}, "ModelIncompatible",
         '"short" holds 1 elements of 9'),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_told(item, reason, words, tmp_path):
    (tmp_path / "warmup").mkdir()
    (tmp_path / "warmup" / "short").write_bytes(bytes(5))
    with pytest.raises(LoadFailure) as caught:
        of(tmp_path, item)
    assert (caught.value.reason, words in caught.value.message) == (reason, True)
