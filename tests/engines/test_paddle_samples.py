"""KServe's Paddle samples, run for real: the YAML as it is but for `storageUri`, a small network of
the same input in the place of ResNet.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Sampan
from tests.runtimes import sample_place
from tests.runtimes.test_upstream_samples import SAMPLES, needs_shared

paddle = pytest.importorskip("paddle", reason="paddlepaddle is not installed: make test-engines")
pytestmark = [pytest.mark.timeout(900), needs_shared, pytest.mark.filterwarnings("ignore")]

NAMES = sorted(name for name, engine in SAMPLES.items() if engine == "paddle")


class Channels(paddle.nn.Layer):
    """The mean of each channel of a photograph, by a weight: a program without any has no file."""

    def __init__(self) -> None:
        super().__init__()
        one = paddle.nn.initializer.Constant(1.0)
        self.weight = self.create_parameter([1], default_initializer=one)

    def forward(self, image):
        return paddle.mean(image, axis=[2, 3]) * self.weight


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("channels")
    spec = paddle.static.InputSpec([None, 3, 224, 224], "float32", "image")
    layer = Channels()
    layer.eval()
    paddle.jit.save(layer, str(folder / "model"), input_spec=[spec])
    return folder


@pytest.fixture(scope="module")
def sampan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampan]:
    with sample_place.shipped(tmp_path_factory.mktemp("sampan")) as installation:
        yield installation


def test_samples_run_unmodified_but_for_the_place_of_their_model(sampan, channels):
    image = [[[float(channel)] * 224] * 224 for channel in range(3)]
    served = {}
    for name in NAMES:
        placed = sample_place.place_model(sample_place.sample(name), str(channels))
        served[name] = sample_place.apply(sampan, placed, f"n-{name}")
    for name, service in served.items():
        service.wait_ready(200)
        named = sample_place.sample(name)["spec"]["predictor"].get("model", {})
        if named.get("protocolVersion") == "v2":
            tensor = {"name": "image", "shape": [1, 3, 224, 224], "datatype": "FP32",
                      "data": image}  # fmt: skip
            answer = service.ask(f"/v2/models/{service.name}/infer", {"inputs": [tensor]})
            assert answer["outputs"][0]["data"] == [0.0, 1.0, 2.0]
        else:
            answer = service.ask(f"/v1/models/{service.name}:predict", {"instances": [image]})
            assert answer["predictions"] == [[0.0, 1.0, 2.0]]
