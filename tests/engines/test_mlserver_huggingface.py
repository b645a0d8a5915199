"""`mlserver_huggingface.HuggingFaceRuntime` of a project: answers are those of its pipelines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import util
from pathlib import Path
from typing import Any

import httpx
import pytest

from sampan.runtimes.mlserver.runtime import make_offer
from sampan.runtimes.serving import Order
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.load_failure import LoadFailure
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engines")
transformers = pytest.importorskip("transformers", reason="not installed: make test-engines")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]

_SPEC = util.spec_from_file_location("tiny", Path(__file__).parent / "tiny_transformers.py")
assert _SPEC is not None
assert _SPEC.loader is not None
tiny = util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tiny)

IMPLEMENTATION = "mlserver_huggingface.HuggingFaceRuntime"
HEADS = {
    "text-classification": "BertForSequenceClassification",
    "zero-shot-classification": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
    "fill-mask": "BertForMaskedLM",
    "feature-extraction": "BertModel",
    "question-answering": "BertForQuestionAnswering",
}
"""The network of a task; text is made by a Llama."""


def project(root: Path, task: str, **extra: object) -> Path:
    """Write a project with a model of random weights at a path of its own."""
    root.mkdir(exist_ok=True)
    if task in HEADS:
        tiny.save_bert(root / "weights", HEADS[task], 2 if task == "question-answering" else 3)
    else:
        tiny.save_llama(root / "weights")
    settings = {
        "name": "transformer",
        "implementation": IMPLEMENTATION,
        "parameters": {"extra": {"task": task, "pretrained_model": "./weights", **extra}},
    }
    (root / "model-settings.json").write_text(json.dumps(settings))
    return root


@asynccontextmanager
async def asking(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the project without trust."""
    offer = make_offer(Order("model", root))
    model = offer.repository.get("transformer").model
    model.load()
    dataplane = DataPlane(offer.repository, Workers(4))
    dataplane.started = True
    rest = Rest(dataplane, None, None, offer.api)
    listener = Listener(rest.submit, None, Grpc(dataplane, api=offer.api))
    await listener.listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.address[1]}"
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        yield client
    await listener.drain(0)
    model.stop()


def tensor(name: str, *values: object, kind: str = "str", datatype: str = "BYTES") -> Any:
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": list(values),
            "parameters": {"content_type": kind}}  # fmt: skip


ASKED: dict[str, tuple[str, list[Any], tuple[Any, ...], dict[str, Any]]] = {
    "a text's class": ("text-classification", [tensor("args", "a text")], ("a text",), {}),
    "classes of several texts": (
        "text-classification",
        [tensor("array_inputs", "a text", "another"), tensor("top_k", 2, kind="raw",
                                                             datatype="INT32")],
        (["a text", "another"],), {"top_k": 2}),
    "tokens' classes": ("token-classification", [tensor("args", "ab")], ("ab",), {}),
    "a masked word": ("fill-mask", [tensor("args", "a <mask>")], ("a <mask>",), {}),
    "features": ("feature-extraction", [tensor("args", "ab")], ("ab",), {}),
    "classes that the request names": (
        "zero-shot-classification",
        [tensor("args", "ab"), tensor("candidate_labels", "x", "y")],
        ("ab",), {"candidate_labels": ["x", "y"]}),
    "a text that goes on": (
        "text-generation",
        [tensor("args", "once"), tensor("max_new_tokens", 5, kind="raw", datatype="INT32"),
         tensor("do_sample", False, kind="raw", datatype="BOOL")],
        ("once",), {"max_new_tokens": 5, "do_sample": False}),
    "an answer to a question": (
        "question-answering", [tensor("question", "who"), tensor("context", "me and you")],
        (), {"question": ["who"], "context": ["me and you"]}),
}  # fmt: skip


def same(got: Any, wanted: Any) -> bool:
    """Whether two values of JSON are equal but for the last digits of numbers."""
    if isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(same(got[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    return bool(got == (pytest.approx(wanted, abs=1e-5) if isinstance(wanted, float) else wanted))


@pytest.mark.parametrize(
    ("task", "inputs", "args", "keywords"), ASKED.values(), ids=ASKED.keys()
)  # fmt: skip
async def test_an_answer_is_the_pipelines(tmp_path, task, inputs, args, keywords):
    if task not in transformers.pipelines.SUPPORTED_TASKS:
        pytest.skip(f"transformers {transformers.__version__} has no {task}")
    root = project(tmp_path, task)
    async with asking(root) as client:
        told = await client.post("/v2/models/transformer/infer", json={"id": "1", "inputs": inputs})
    assert told.status_code == 200, told.text
    wanted = transformers.pipeline(task, model=str(root / "weights"))(*args, **keywords)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    (output,) = told.json()["outputs"]
    assert (output["name"], output["shape"]) == ("output", [len(wanted), 1])
    assert output["parameters"] == {"content_type": "hg_jsonlist"}
    plain = json.loads(json.dumps(wanted, default=lambda value: value.tolist()))
    assert same([json.loads(text) for text in output["data"]], plain)


async def test_metadata_and_what_a_pipeline_does_not_take(tmp_path):
    async with asking(project(tmp_path, "fill-mask")) as client:
        told = (await client.get("/v2/models/transformer")).json()
        path = "/v2/models/transformer/infer"
        unmasked = await client.post(path, json={"inputs": [tensor("args", "no mask")]})
        nothing = await client.post(path, json={"inputs": [tensor("top_k", "1")]})
    assert [one["name"] for one in told["inputs"]] == ["args"]
    assert [one["name"] for one in told["outputs"]] == ["output"]
    assert (unmasked.status_code, "mask" in unmasked.text) == (400, True)
    assert nothing.status_code == 400


def test_a_task_that_this_transformers_has_not_names_its_version(tmp_path):
    if "summarization" in transformers.pipelines.SUPPORTED_TASKS:
        pytest.skip(f"transformers {transformers.__version__} has summarization")
    model = make_offer(Order("model", project(tmp_path, "summarization"))).repository
    with pytest.raises(LoadFailure) as caught:
        model.get("transformer").model.load()
    assert f"not one of transformers {transformers.__version__}" in caught.value.message


def test_a_folder_without_a_model_says_what_is_missing(tmp_path):
    project(tmp_path, "fill-mask")
    (tmp_path / "weights" / "config.json").unlink()
    model = make_offer(Order("model", tmp_path)).repository.get("transformer").model
    with pytest.raises(LoadFailure, match=r'no "config\.json"') as caught:
        model.load()
    assert caught.value.reason == "ModelMissing"


def test_code_that_a_model_brings_is_not_run(tmp_path):
    project(tmp_path, "text-classification")
    mark = tmp_path / "ran"
    (tmp_path / "weights" / "own.py").write_text(f"open({str(mark)!r}, 'w')")
    file = tmp_path / "weights" / "config.json"
    config = json.loads(file.read_text())
    own = {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Model"}
    file.write_text(json.dumps({**config, "model_type": "own", "auto_map": own}))
    model = make_offer(Order("model", tmp_path)).repository.get("transformer").model
    with pytest.raises(LoadFailure) as caught:
        model.load()
    assert caught.value.reason == "ModelUntrusted"
    assert not mark.exists()


def test_weights_that_are_a_program_are_not_run(tmp_path):
    import pickle

    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> Any:
            return open, (str(ran), "w")

    project(tmp_path, "text-classification")
    (tmp_path / "weights" / "model.safetensors").unlink()
    (tmp_path / "weights" / "pytorch_model.bin").write_bytes(pickle.dumps(Hostile()))
    model = make_offer(Order("model", tmp_path)).repository.get("transformer").model
    with pytest.raises(LoadFailure):
        model.load()
    assert not ran.exists()
