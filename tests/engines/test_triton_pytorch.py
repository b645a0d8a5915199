"""Triton's backend "pytorch": KServe's sample of TorchScript, served from a model repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.serving import Order
from sampan.runtimes.triton.runtime import make_offer
from sampan.server.load_failure import LoadFailure

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engines")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CONFIG = """
platform: "pytorch_libtorch"
max_batch_size: 4
input {{ name: "{input}" data_type: TYPE_FP32 dims: [3, 8, 8] }}
output {{ name: "{output}" data_type: TYPE_FP32 dims: [10] }}
"""


class Cifar(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(192, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layer(image.flatten(1))


def offered(root: Path, name_in: str, name_out: str) -> tuple[Any, Any]:
    folder = root / "cifar10" / "1"
    folder.mkdir(parents=True)
    module = Cifar().eval()
    torch.jit.save(torch.jit.script(module), str(folder / "model.pt"))
    config = CONFIG.format(input=name_in, output=name_out)
    (root / "cifar10" / "config.pbtxt").write_text(config)
    return make_offer(Order("model", root)).repository.get("cifar10").model, module


@pytest.mark.parametrize(
    ("name_in", "name_out"),
    [
        pytest.param("INPUT__0", "OUTPUT__0", id="by place"),
        pytest.param("image", "scores", id="by the forward's name, and by order"),
    ],
)
def test_a_program_in_a_repository(tmp_path, name_in, name_out):
    model, module = offered(tmp_path, name_in, name_out)
    model.load()
    image = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    tensor = InferInput(name_in, [2, 3, 8, 8], "FP32")
    tensor.set_array(image)
    (output,) = model.predict(InferRequest("cifar10", [tensor], "1")).outputs
    assert (output.name, output.shape) == (name_out, [2, 10])
    assert np.array_equal(output.as_numpy(), module(torch.tensor(image)).detach().numpy())


def test_a_place_that_the_program_has_not(tmp_path):
    model, _ = offered(tmp_path, "INPUT__1", "OUTPUT__0")
    with pytest.raises(LoadFailure, match="name one for each, as INPUT__0"):
        model.load()
