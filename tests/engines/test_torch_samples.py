"""KServe's samples of PyTorch's engines, run for real: TorchServe, Triton, Hugging Face.

The YAML is as it is but for `storageUri`. Handlers are code: such a sample ends in a condition that
asks for trust first. Those that ask for a GPU run on the processor where there is none.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Sampan
from tests.engines import tiny_transformers as tiny
from tests.runtimes import sample_place
from tests.runtimes.sample_place import Service
from tests.runtimes.test_upstream_samples import SAMPLES, needs_shared

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engines")
pytest.importorskip("transformers", reason="transformers is not installed: make test-engines")
pytestmark = [pytest.mark.timeout(900), needs_shared, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def sampan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampan]:
    with sample_place.shipped(tmp_path_factory.mktemp("sampan")) as installation:
        yield installation


def names_of(engine: str) -> list[str]:
    return sorted(name for name, found in SAMPLES.items() if found == engine)


# -- TorchServe ----------------------------------------------------------------------------------

HANDLER = '''
import base64
import io

import torch
from PIL import Image
from ts.torch_handler.base_handler import BaseHandler


class Digits(BaseHandler):
    """The image of a digit in base64, as KServe's documentation sends it; the brightest column."""

    def initialize(self, context):
        self.initialized = True

    def handle(self, data, context):
        rows = [row.get("data") or row.get("body") for row in data]
        images = [Image.open(io.BytesIO(base64.b64decode(row))).convert("L") for row in rows]
        columns = [torch.tensor(list(image.getdata())).reshape(28, 28).sum(0) for image in images]
        return [int(column.argmax()) for column in columns]
'''


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """KServe's layout of a model store, with the archive that its documentation asks."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "model-store").mkdir()
    (folder / "config").mkdir()
    model = {"modelName": "mnist", "modelVersion": "1.0", "handler": "digits.py"}
    with zipfile.ZipFile(folder / "model-store" / "mnist.mar", "w") as made:
        made.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
        made.writestr("digits.py", HANDLER)
    snapshot = {"models": {"mnist": {"1.0": {"defaultVersion": True, "marName": "mnist.mar",
                "minWorkers": 1, "maxWorkers": 5, "batchSize": 1, "maxBatchDelay": 10,
                "responseTimeout": 120}}}}  # fmt: skip
    (folder / "config" / "config.properties").write_text(
        "inference_address=http://0.0.0.0:8085\nmanagement_address=http://0.0.0.0:8085\n"
        "metrics_address=http://0.0.0.0:8082\nenable_metrics_api=true\nmetrics_format=prometheus\n"
        "number_of_netty_threads=4\njob_queue_size=10\nenable_envvars_config=true\n"
        f"model_store=/mnt/models/model-store\nmodel_snapshot={json.dumps(snapshot)}\n"
    )
    return folder


def digit() -> str:
    from PIL import Image

    image = Image.new("L", (28, 28))
    for row in range(28):
        image.putpixel((7, row), 255)
    written = io.BytesIO()
    image.save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


def ask_digit(service: Service) -> None:
    rows = {"instances": [{"data": digit()}]}
    assert service.ask("/v1/models/mnist:predict", rows)["predictions"] == [7]


TRANSFORMED = {"torch-transformer-8e7512": "No module named model"}
"""Samples whose transformer is code that KServe's image has."""


@pytest.mark.parametrize("name", names_of("torchserve") or ["none"])
def test_a_sample_of_torchserve(name: str, sampan: Sampan, store: Path) -> None:
    placed = sample_place.place_model(sample_place.sample(name), str(store))
    service = sample_place.apply(sampan, placed, f"n-{name}")
    service.wait_told("serving.sampan.dev/trust")
    service.annotate(trust="true")
    if name in TRANSFORMED:
        service.wait_told(TRANSFORMED[name])
    else:
        service.wait_ready()
        ask_digit(service)
    service.delete()


# -- Triton --------------------------------------------------------------------------------------

CONFIG = """
name: "cifar10"
platform: "pytorch_libtorch"
max_batch_size: 1
input [{ name: "INPUT__0" data_type: TYPE_FP32 dims: [3, 32, 32] }]
output [{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [10] }]
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """KServe's repository of TorchScript: the sum of each channel, and noughts."""
    folder = tmp_path_factory.mktemp("triton")
    (folder / "cifar10" / "1").mkdir(parents=True)

    class Cifar(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.pad(image.sum([2, 3]), [0, 7])

    program = torch.jit.trace(Cifar(), torch.zeros(1, 3, 32, 32))
    torch.jit.save(program, str(folder / "cifar10" / "1" / "model.pt"))
    (folder / "cifar10" / "config.pbtxt").write_text(CONFIG)
    return folder


@pytest.mark.parametrize(
    "name", [name for name in names_of("triton") if name.startswith("torch")] or ["none"]
)
def test_a_sample_of_triton(name: str, sampan: Sampan, repository: Path) -> None:
    placed = sample_place.place_model(sample_place.sample(name), str(repository))
    service = sample_place.apply(sampan, placed, f"n-{name}")
    if "transformer" in placed["spec"]:
        module = placed["spec"]["transformer"]["containers"][0]["command"][-1]
        service.wait_told(f"No module named {module}")
        service.delete()
        return
    service.wait_told("torch")  # it is not in Triton's environment, and the condition says so
    service.annotate(requirements="torch")
    service.wait_ready()
    data = [1.0] * 1024 + [2.0] * 1024 + [0.5] * 1024
    tensor = {"name": "INPUT__0", "shape": [1, 3, 32, 32], "datatype": "FP32", "data": data}
    (output,) = service.ask("/v2/models/cifar10/infer", {"inputs": [tensor]})["outputs"]
    assert (output["name"], output["shape"]) == ("OUTPUT__0", [1, 10])
    assert output["data"] == [1024.0, 2048.0, 512.0, *[0.0] * 7]
    service.delete()


# -- Hugging Face --------------------------------------------------------------------------------

TEXT = "The capital of France is <mask>."
ENCODED = {
    "huggingface-bert-0c8bb7": "BertForTokenClassification",
    "huggingface-bert-76dce2": "BertForMaskedLM",
    "huggingface-bert-d74d10": "BertForTokenClassification",
    "huggingface-bert-with-logits-35e830": "BertForTokenClassification",
    "huggingface-distilbert-4d3ed7": "BertForSequenceClassification",
    "huggingface-distilbert-79a215": "BertForSequenceClassification",
    "huggingface-distilbert-probs-6b395a": "BertForSequenceClassification",
    "embedding-model-e51779": "BertModel",
}
"""Samples of encoders, and the head of the model that they name."""


def name_of_model(service: dict[str, Any]) -> str:
    (said,) = [
        word for word in service["spec"]["predictor"]["model"]["args"] if "model_name" in word
    ]
    return str(said.partition("=")[2])


@pytest.mark.parametrize("name", ENCODED)
def test_a_sample_of_an_encoder(name: str, sampan: Sampan, tmp_path: Path) -> None:
    tiny.save_bert(tmp_path, ENCODED[name])
    placed = sample_place.place_model(sample_place.sample(name), str(tmp_path))
    service = sample_place.apply(sampan, placed, f"n-{name}")
    service.wait_ready()
    model = name_of_model(placed)
    if ENCODED[name] == "BertModel":
        body = {"model": model, "input": TEXT}
        (vector,) = service.ask("/openai/v1/embeddings", body)["data"]
        assert sum(value**2 for value in vector["embedding"]) == pytest.approx(1, abs=1e-3)
    elif placed["spec"]["predictor"]["model"].get("protocolVersion") == "v2":
        tensor = {"name": "input-0", "shape": [1], "datatype": "BYTES", "data": [TEXT]}
        answer = service.ask(f"/v2/models/{model}/infer", {"inputs": [tensor]})
        assert answer["outputs"][0]["name"] == "output-0"
        assert answer["outputs"][0]["data"]
    else:
        (told,) = service.ask(f"/v1/models/{model}:predict", {"instances": [TEXT]})["predictions"]
        classes = told[0] if isinstance(told, list) else [told]
        assert set(classes) <= {0, 1}
    service.delete()


GENERATING = ("huggingface-llm-150c0b", "llama3-8b-bfef65", "qwen-llm-dba4a4")


@pytest.mark.parametrize("name", GENERATING)
def test_a_sample_of_a_chat(name: str, sampan: Sampan, tmp_path: Path) -> None:
    tiny.save_llama(tmp_path)
    placed = sample_place.place_model(sample_place.sample(name), str(tmp_path))
    service = sample_place.apply(sampan, placed, f"n-{name}")
    service.wait_ready()
    asked = placed["spec"]["predictor"]["model"]
    model = name_of_model(placed) if "args" in asked else service.name
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    answer = service.ask("/openai/v1/chat/completions", body)
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["completion_tokens"] <= 4
    service.delete()
