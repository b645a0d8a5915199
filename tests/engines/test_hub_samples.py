"""KServe's samples that name a model of the Hub (`--model_id`), and vLLM's, run for real.

The YAML is as it is but for `storageUri`; the Hub is one on loopback, by `HF_ENDPOINT`, with tiny
models under the names that the samples ask for. Those that ask for a GPU run on the processor.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Sampan
from tests.engines import tiny_transformers as tiny
from tests.runtimes import sample_place
from tests.runtimes.sample_place import Service
from tests.runtimes.test_upstream_samples import needs_shared
from tests.storage.hub_server import HubServer, Request

pytest.importorskip("torch", reason="torch is not installed: make test-engines")
pytest.importorskip("transformers", reason="transformers is not installed: make test-engines")
pytestmark = [pytest.mark.timeout(1200), needs_shared, pytest.mark.filterwarnings("ignore")]
TEXT = "The capital of France is <mask>."


def miss_folders(request: Request) -> tuple[int, dict[str, str], bytes] | None:
    """The models here have no folders, such as one of further chat templates."""
    if re.search(r"/tree/[^/?]+/.", request.path):
        return 404, {"X-Error-Code": "EntryNotFound"}, b""
    return None


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    """A hub on a loop of its own; each test says what is in it."""
    served = HubServer(act=miss_folders)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(served.start(), loop).result(20)
    yield served
    asyncio.run_coroutine_threadsafe(served.stop(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


@pytest.fixture(scope="module")
def sampan(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampan]:
    place = {"HF_ENDPOINT": hub.root}
    with sample_place.shipped(tmp_path_factory.mktemp("sampan"), place) as installation:
        yield installation


def fill(hub: HubServer, repository: str, folder: Path) -> None:
    """Have the hub hold a folder's files under a name."""
    hub.repository = repository
    hub.commits.clear()
    hub.commit({path.name: path.read_bytes() for path in folder.iterdir()})


def write_text(service: Service, model: str) -> None:
    body = {"model": model, "prompt": "a", "max_tokens": 3}
    answer = service.ask("/openai/v1/completions", body)
    assert answer["usage"]["completion_tokens"] <= 3


def fill_mask(service: Service, model: str) -> None:
    told = service.ask(f"/v1/models/{model}:predict", {"instances": [TEXT]})
    assert len(told["predictions"]) == 1


def save_masked(folder: Path) -> None:
    tiny.save_bert(folder, "BertForMaskedLM")


NAMED: dict[str, tuple[str, str, Callable[[Path], None], Callable[[Service, str], None]]] = {
    "huggingface-bert-87d2c9": ("bert-base-uncased", "bert", save_masked, fill_mask),
    "huggingface-bert-c52d47": ("bert-base-uncased", "bert", save_masked, fill_mask),
    "huggingface-fbopt-05692e": ("facebook/opt-125m", "fbopt", tiny.save_llama, write_text),
    "huggingface-fbopt-164dcd": ("facebook/opt-125m", "fbopt", tiny.save_llama, write_text),
    "huggingface-t5-a6d398": ("google-t5/t5-small", "t5", tiny.save_t5, write_text),
    "llama3-vllm-caaa6b": (
        "meta-llama/meta-llama-3-8b-instruct", "llama3", tiny.save_llama, write_text
    ),
}  # fmt: skip
"""Samples, the model of the Hub that they name, their own name for it, and what to ask."""


@pytest.mark.parametrize("name", NAMED)
def test_a_sample_of_a_name_of_the_hub(
    name: str, hub: HubServer, sampan: Sampan, tmp_path: Path
) -> None:
    repository, model, save, ask = NAMED[name]
    save(tmp_path)
    fill(hub, repository, tmp_path)
    made = sample_place.sample(name)
    if "storageUri" in made["spec"]["predictor"]["model"]:
        made = sample_place.place_model(made, str(tmp_path))
    service = sample_place.apply(sampan, made, f"n-{name}")
    service.wait_ready()
    ask(service, model)
    service.delete()


SECRETS = {
    "llama3-1b-fd89e4": ("hf-secret", "HF_TOKEN"),
    "modelscope-qwen-267950": ("storage-config", "MODELSCOPE_API_TOKEN"),
}
"""Samples that read a Secret, which their pages have the reader make."""


@pytest.mark.parametrize("name", SECRETS)
def test_a_sample_with_a_secret(name: str, hub: HubServer, sampan: Sampan, tmp_path: Path) -> None:
    tiny.save_llama(tmp_path)
    fill(hub, "meta-llama/Llama-3.2-1B-Instruct", tmp_path)
    made = sample_place.sample(name)
    if "storageUri" in made["spec"]["predictor"]["model"]:
        made = sample_place.place_model(made, str(tmp_path))
    service = sample_place.apply(sampan, made, f"n-{name}")
    secret, key = SECRETS[name]
    service.wait_told(f'secret "{secret}" not found')
    data = {key: base64.b64encode(b"hf_ours").decode()}
    sample_place.send(sampan, "POST", f"/api/v1/namespaces/n-{name}/secrets",
                      {"metadata": {"name": secret}, "data": data})  # fmt: skip
    service.wait_ready()
    model = {"llama3-1b-fd89e4": "llama3-1b"}.get(name, "qwen")
    prefix = "" if model == "llama3-1b" else "/openai"
    answer = service.ask(f"{prefix}/v1/completions",
                         {"model": model, "prompt": "a", "max_tokens": 3})  # fmt: skip
    assert answer["usage"]["completion_tokens"] <= 3
    service.delete()


def save_long_llama(folder: Path) -> None:
    """Save one that has as many positions as `--max-model-len=1024` asks for."""
    tiny.save_llama(folder)
    config = folder / "config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps({**told, "max_position_embeddings": 1024}))


def embed(service: Service, model: str) -> None:
    body: dict[str, Any] = {"model": model, "input": TEXT}
    assert len(service.ask("/openai/v1/embeddings", body)["data"]) == 1


PLACED: dict[str, tuple[str, Callable[[Path], None], Callable[[Service, str], None]]] = {
    "llama3-8b-48dd24": ("llama3", tiny.save_llama, write_text),
    "llama-31-8b-instruct-11ac1f": ("llama-31-8b-instruct", save_long_llama, write_text),
    "embedding-model-4d205c": (
        "sentence-transformer", lambda folder: tiny.save_bert(folder, "BertModel"), embed
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACED)
def test_a_sample_of_a_folder(name: str, sampan: Sampan, tmp_path: Path) -> None:
    model, save, ask = PLACED[name]
    save(tmp_path)
    placed = sample_place.place_model(sample_place.sample(name), str(tmp_path))
    service = sample_place.apply(sampan, placed, f"n-{name}")
    service.wait_ready()
    ask(service, model)
    service.delete()


TOKENIZERS = ("huggingface-triton-1d7e0c", "huggingface-triton-8f848c")


def test_a_tokenizer_before_a_predictor_is_refused_by_its_argument(sampan: Sampan) -> None:
    for name in TOKENIZERS:
        service = sample_place.apply(sampan, sample_place.sample(name), f"n-{name}")
        service.wait_told('argument "--predictor_host" is')
        service.wait_told("leave the transformer out")
        service.delete()
