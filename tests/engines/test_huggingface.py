"""Hugging Face models by real transformers and PyTorch: encoders over V1, V2 and gRPC, and text."""

from __future__ import annotations

import base64
import json
import struct
from ast import literal_eval
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import util
from pathlib import Path
from typing import Any

import httpx
import pytest

from sampan.runtimes.huggingface.runtime import make_offer
from sampan.runtimes.serving import Order
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.load_failure import LoadFailure
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engines")
transformers = pytest.importorskip("transformers", reason="not installed: make test-engines")
openai = pytest.importorskip("openai", reason="openai is not installed: make test-engines")
pytestmark = pytest.mark.filterwarnings("ignore")

_SPEC = util.spec_from_file_location("tiny", Path(__file__).parent / "tiny_transformers.py")
assert _SPEC is not None
assert _SPEC.loader is not None
tiny = util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tiny)

TEXTS = ["the first text", "another"]


@asynccontextmanager
async def serving(folder: Path, **options: str) -> AsyncIterator[str]:
    """Serve the folder's model as "tiny"; give the address."""
    offer = make_offer(Order("tiny", folder, options=options))
    offer.repository.get("tiny").model.load()
    dataplane = DataPlane(offer.repository, Workers(4))
    dataplane.started = True
    rest = Rest(dataplane, None, None, offer.api)
    listener = Listener(rest.submit, None, Grpc(dataplane, api=offer.api))
    await listener.listen("127.0.0.1", 0)
    yield f"127.0.0.1:{listener.address[1]}"
    await listener.drain(0)
    offer.repository.get("tiny").model.stop()


@asynccontextmanager
async def asking(folder: Path, **options: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(folder, **options) as address,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("llama")
    tiny.save_llama(folder)
    return folder


def make_bert(tmp_path: Path, head: str, classes: int = 2) -> tuple[Path, Any, Any]:
    """Return a folder with the same as tokenizer and network, to compare with."""
    tiny.save_bert(tmp_path, head, classes)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    network = getattr(transformers, head).from_pretrained(str(tmp_path)).eval()
    return tmp_path, tokenizer, network


def logits_of(tokenizer: Any, network: Any) -> Any:
    with torch.inference_mode():
        return network(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits


async def infer(client: httpx.AsyncClient, texts: list[Any], datatype: str = "BYTES") -> Any:
    tensor = {"name": "t", "shape": [len(texts)], "datatype": datatype, "data": texts}
    return await client.post("/v2/models/tiny/infer", json={"inputs": [tensor]})


# -- encoders --------------------------------------------------------------------------------


async def test_a_classifier_tells_the_class_of_each_text(tmp_path):
    folder, tokenizer, network = make_bert(tmp_path, "BertForSequenceClassification", 3)
    wanted = logits_of(tokenizer, network).argmax(dim=1).tolist()
    async with asking(folder) as ask:
        v1 = await ask.post("/v1/models/tiny:predict", json={"instances": TEXTS})
        assert v1.json() == {"predictions": wanted}
        (output,) = (await infer(ask, TEXTS)).json()["outputs"]
        assert (output["name"], output["datatype"], output["data"]) == (
            "output-0", "INT64", wanted,
        )  # fmt: skip
        metadata = (await ask.get("/v2/models/tiny")).json()
        assert metadata["inputs"] == [{"name": "input-0", "datatype": "BYTES", "shape": [-1]}]


@pytest.mark.parametrize("option", ["return_probabilities", "return_raw_logits"])
async def test_scores_are_told_by_class(tmp_path, option):
    folder, tokenizer, network = make_bert(tmp_path, "BertForSequenceClassification")
    logits = logits_of(tokenizer, network)
    rows = (logits.softmax(dim=1) if option == "return_probabilities" else logits).tolist()
    async with asking(folder, **{option: "true"}) as ask:
        v1 = await ask.post("/v1/models/tiny:predict", json={"instances": TEXTS})
        for told, wanted in zip(v1.json()["predictions"], rows, strict=True):
            assert list(told.values()) == pytest.approx(wanted, abs=1e-4)
            assert list(told) == ["0", "1"]
        (output,) = (await infer(ask, TEXTS)).json()["outputs"]
        assert list(literal_eval(output["data"][0])) == [0, 1]


async def test_tokens_are_classified_with_their_places(tmp_path):
    folder, tokenizer, network = make_bert(tmp_path, "BertForTokenClassification", 4)
    wanted = [[row] for row in logits_of(tokenizer, network).argmax(dim=2).tolist()]
    async with asking(folder) as ask:
        v1 = await ask.post("/v1/models/tiny:predict", json={"instances": TEXTS})
        assert v1.json() == {"predictions": wanted}
    async with asking(folder, return_offsets_mapping="true") as ask:
        outputs = {o["name"]: o for o in (await infer(ask, TEXTS)).json()["outputs"]}
        assert outputs["output-0"]["shape"] == [2, 1, len(wanted[0][0])]
        assert outputs["offset_mapping"]["shape"] == [2, len(wanted[0][0]), 2]


async def test_a_mask_is_filled(tmp_path):
    folder, tokenizer, network = make_bert(tmp_path, "BertForMaskedLM")
    text = "a <mask> c"
    encoded = tokenizer([text], return_tensors="pt")
    place = encoded["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    with torch.inference_mode():
        logits = network(**encoded).logits[0, place]
    async with asking(folder) as ask:
        v1 = await ask.post("/v1/models/tiny:predict", json={"instances": [text]})
        assert v1.json() == {"predictions": [tokenizer.decode(logits.argmax().item())]}
        none = await ask.post("/v1/models/tiny:predict", json={"instances": [text, "nothing"]})
        assert none.status_code == 400
        assert none.json()["error"].startswith('text 1 has no "<mask>"')
    async with asking(folder, return_probabilities="true") as ask:
        v1 = await ask.post("/v1/models/tiny:predict", json={"instances": [text]})
        ((by_token,),) = v1.json()["predictions"]
        assert by_token["7"] == f"{logits.softmax(dim=0)[7].item():.4f}"


async def test_embeddings_have_length_one_and_are_packed_on_request(tmp_path):
    folder, *_ = make_bert(tmp_path, "BertModel")
    async with serving(folder, task="text_embedding") as address:
        client = openai.AsyncOpenAI(base_url=f"http://{address}/openai/v1", api_key="none")
        plain = await client.embeddings.create(model="tiny", input=TEXTS, encoding_format="float")
        assert [row.index for row in plain.data] == [0, 1]
        assert sum(x * x for x in plain.data[0].embedding) == pytest.approx(1)
        assert plain.usage.prompt_tokens == sum(len(text.encode()) + 1 for text in TEXTS)
        packed = await client.embeddings.create(
            model="tiny", input=TEXTS[1], encoding_format="base64"
        )
        raw = base64.b64decode(str(packed.data[0].embedding))
        assert struct.unpack("<32f", raw) == pytest.approx(plain.data[1].embedding, abs=1e-5)
        async with httpx.AsyncClient(base_url=f"http://{address}") as ask:
            v1 = await ask.post("/v1/models/tiny:predict", json={"instances": TEXTS})
            assert v1.json()["predictions"][0] == pytest.approx(plain.data[0].embedding, abs=1e-5)
            query = {"model": "tiny", "query": TEXTS[1], "documents": TEXTS, "top_n": 1}
            (best,) = (await ask.post("/openai/v1/rerank", json=query)).json()["results"]
            assert (best["index"], best["relevance_score"]) == (1, pytest.approx(1))
            wrong = {"model": "tiny", "input": "a", "dimensions": 7}
            refused = (await ask.post("/openai/v1/embeddings", json=wrong)).json()["error"]
            assert refused["type"] == "BadRequestError"


async def test_a_classifier_of_one_class_reranks(tmp_path):
    folder, tokenizer, network = make_bert(tmp_path, "BertForSequenceClassification", 1)
    encoded = tokenizer(["q"] * 2, TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        wanted = network(**encoded).logits[:, 0].sigmoid().tolist()
    async with asking(folder) as ask:
        query = {"model": "tiny", "query": "q", "documents": TEXTS}
        answer = (await ask.post("/openai/v1/rerank", json=query)).json()
    scores = {row["index"]: row["relevance_score"] for row in answer["results"]}
    assert [scores[0], scores[1]] == pytest.approx(wanted, abs=1e-5)
    assert answer["results"][0]["relevance_score"] == max(scores.values())


@pytest.mark.parametrize(
    ("texts", "datatype", "told"),
    [
        pytest.param([1, 2], "INT64", 'input "t" has datatype INT64', id="numbers"),
        pytest.param([], "BYTES", "there is no text", id="no text"),
    ],
)
async def test_what_is_no_text_is_told_alike_over_v1_and_v2(tmp_path, texts, datatype, told):
    folder, *_ = make_bert(tmp_path, "BertForSequenceClassification")
    async with asking(folder) as ask:
        v2 = await infer(ask, texts, datatype)
        v1 = await ask.post("/v1/models/tiny:predict", json={"instances": texts})
        assert (v1.status_code, v2.status_code) == (400, 400)
        assert v2.json()["error"].startswith(told)


async def test_texts_beyond_the_models_places_are_cut(tmp_path):
    folder, *_ = make_bert(tmp_path, "BertForSequenceClassification")
    async with asking(folder) as ask:
        long = {"instances": ["x" * 10_000]}
        assert (await ask.post("/v1/models/tiny:predict", json=long)).status_code == 200


# -- text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [tiny.save_llama, tiny.save_t5], ids=["causal", "encoder-decoder"])
async def test_the_likeliest_text_is_that_of_transformers(
    tmp_path, save: Callable[[Path], None]
) -> None:
    save(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    kind = "AutoModelForSeq2SeqLM" if save is tiny.save_t5 else "AutoModelForCausalLM"
    network = getattr(transformers, kind).from_pretrained(str(tmp_path)).eval()
    encoded = tokenizer("Once", return_tensors="pt", return_token_type_ids=False)
    made = network.generate(**encoded, max_new_tokens=12, do_sample=False)[0].tolist()
    skipped = 1 if save is tiny.save_t5 else encoded["input_ids"].shape[1]
    wanted = tokenizer.decode(made[skipped:], skip_special_tokens=True)
    async with serving(tmp_path) as address:
        client = openai.AsyncOpenAI(base_url=f"http://{address}/openai/v1", api_key="none")
        asked: dict[str, Any] = {"model": "tiny", "prompt": "Once", "max_tokens": 12,
                                 "temperature": 0}  # fmt: skip
        whole = await client.completions.create(**asked)
        assert whole.choices[0].text == wanted
        stream = await client.completions.create(**asked, stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == wanted


async def test_completions_as_openais_client_asks_for_them(llama):
    async with serving(llama) as address:
        client = openai.AsyncOpenAI(base_url=f"http://{address}/openai/v1", api_key="none")
        several = await client.completions.create(
            model="tiny", prompt=["a", "b"], n=2, max_tokens=5, seed=7
        )
        assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
        assert several.choices[0].text != several.choices[1].text
        assert several.usage.model_dump(exclude_none=True) == {
            "prompt_tokens": 4, "completion_tokens": 20, "total_tokens": 24,
        }  # fmt: skip
        again = await client.completions.create(model="tiny", prompt="a", n=2, max_tokens=5, seed=7)
        assert [c.text for c in again.choices] == [c.text for c in several.choices[:2]]
        told = await client.completions.create(
            model="tiny", prompt="ab", max_tokens=2, logprobs=3, echo=True, temperature=0
        )
        logprobs = told.choices[0].logprobs
        assert told.choices[0].text.startswith("ab")
        assert logprobs.tokens[:3] == ["<s>", "a", "b"]
        assert logprobs.token_logprobs[0] is None
        assert logprobs.token_logprobs[-1] == max(logprobs.top_logprobs[-1].values())
        biased = await client.completions.create(
            model="tiny", prompt="a", max_tokens=3, logit_bias={"40": 100}, temperature=0
        )
        assert len(set(biased.choices[0].text)) == 1
        models = await client.models.list()
        assert [model.id for model in models.data] == ["tiny"]


async def test_a_stop_string_ends_the_text_before_it(llama):
    async with serving(llama) as address:
        client = openai.AsyncOpenAI(base_url=f"http://{address}/openai/v1", api_key="none")
        asked: dict[str, Any] = {"model": "tiny", "prompt": "Once", "max_tokens": 30, "seed": 1}
        free = (await client.completions.create(**asked)).choices[0]
        assert free.finish_reason == "length"
        stop = free.text[4:6]
        asked["stop"] = [stop]
        ended = (await client.completions.create(**asked)).choices[0]
        assert (ended.finish_reason, ended.text) == ("stop", free.text[: free.text.index(stop)])
        stream = await client.completions.create(**asked, stream=True)
        chunks = [chunk.choices[0] async for chunk in stream]
        assert "".join(chunk.text for chunk in chunks) == ended.text
        assert chunks[-1].finish_reason == "stop"


async def test_a_conversation_streams_with_its_usage(llama):
    async with serving(llama) as address:
        client = openai.AsyncOpenAI(base_url=f"http://{address}/openai/v1", api_key="none")
        asked: dict[str, Any] = {
            "model": "tiny",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            "max_tokens": 6, "seed": 5, "logprobs": True, "top_logprobs": 2,
        }  # fmt: skip
        whole = await client.chat.completions.create(**asked)
        assert whole.choices[0].message.role == "assistant"
        assert len(whole.choices[0].logprobs.content[0].top_logprobs) == 2
        stream = await client.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[0].choices[0].delta.role == "assistant"
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == whole.choices[0].message.content
        assert chunks[-1].usage == whole.usage
        async with httpx.AsyncClient(base_url=f"http://{address}/openai") as ask:
            raw = await ask.post("/v1/chat/completions", json=asked | {"stream": True})
            assert raw.headers["content-type"].startswith("text/event-stream")
            assert raw.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("completions", {"prompt": "a", "max_tokens": 999}, 400, "maximum context length is 256"),
        ("completions", {"prompt": [999]}, 400, "the prompt has token 999"),
        ("completions", {"prompt": "a", "logit_bias": {"999": 1}}, 400, '"logit_bias" has token'),
        ("completions", {"prompt": 7}, 422, "Input should be a valid string"),
        ("completions", {"prompt": "a", "suffix": "b"}, 400, '"suffix" is not supported'),
        ("chat/completions", {"messages": []}, 400, '"messages" is empty'),
        ("chat/completions", {"messages": [{"content": "a"}]}, 400, 'message 0 has no "role"'),
        ("embeddings", {"input": "a"}, 400, "does not support Embeddings API"),
        ("rerank", {"query": "a", "documents": ["b"]}, 400, "does not support Rerank API"),
    ],
)
async def test_what_cannot_be_answered_is_told(llama, path, body, status, told):
    async with asking(llama) as ask:
        answer = await ask.post(f"/openai/v1/{path}", json={"model": "tiny", **body})
        assert (answer.status_code, told in answer.text.replace('\\"', '"')) == (status, True)
        unknown = await ask.post("/openai/v1/completions", json={"model": "none", "prompt": "a"})
        assert unknown.json() == {"error": "Model with name none does not exist."}
        assert (await ask.get("/openai/v1/models/none")).status_code == 503
        v1 = await ask.post("/v1/models/tiny:predict", json={"instances": ["a"]})
        assert (v1.status_code, "/openai/v1/completions" in v1.json()["error"]) == (400, True)


async def test_a_client_that_leaves_ends_the_work(llama):
    async with serving(llama) as address, httpx.AsyncClient(timeout=60) as ask:
        url = f"http://{address}/openai/v1/completions"
        body = {"model": "tiny", "prompt": "a", "max_tokens": 250, "ignore_eos": True}
        async with ask.stream("POST", url, json=body | {"stream": True}) as answer:
            async for _ in answer.aiter_lines():
                break
        after = await ask.post(url, json=body | {"max_tokens": 1})
        assert after.status_code == 200


async def test_a_model_without_a_template_knows_no_conversations(tmp_path):
    tiny.save_llama(tmp_path, template=None)
    async with asking(tmp_path) as ask:
        body = {"model": "tiny", "messages": [{"role": "user", "content": "a"}]}
        answer = await ask.post("/openai/v1/chat/completions", json=body)
        assert (answer.status_code, "no chat template" in answer.text) == (400, True)


# -- what is not loaded ----------------------------------------------------------------------


def load(folder: Path, **options: str) -> LoadFailure:
    with pytest.raises(LoadFailure) as caught:
        make_offer(Order("tiny", folder, options=options)).repository.get("tiny").model.load()
    return caught.value


def test_code_that_a_model_brings_is_not_run(tmp_path):
    ran = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Own"}
    config = {"model_type": "own", "architectures": ["OwnForCausalLM"], "auto_map": own}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for options in ({}, {"trust_remote_code": "true"}):
        failure = load(tmp_path, **options)
        assert failure.reason == "ModelUntrusted"
        assert "--trust" in failure.message
    assert not ran.exists()


def test_weights_that_are_a_program_are_not_run(tmp_path):
    import pickle

    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> Any:
            return open, (str(ran), "w")

    tiny.save_llama(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Hostile()))
    assert load(tmp_path).reason == "ModelUntrusted"
    assert not ran.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_model_len": "1000"}, "--max_model_len is 1000, and the model's configuration"),
        ({"task": "fill_mas"}, 'did you mean "fill_mask"'),
        ({"task": "fill_mask"}, "LlamaConfig"),
        ({"backend": "vllm"}, 'set modelFormat.name to "vLLM"'),
    ],
)
def test_what_does_not_fit_the_model_is_told(llama, options, told):
    with pytest.raises(LoadFailure) as caught:
        make_offer(Order("tiny", llama, options=options)).repository.get("tiny").model.load()
    assert told in caught.value.message


def test_a_folder_without_a_configuration_names_what_is_there(tmp_path):
    (tmp_path / "model.joblib").write_text("")
    failure = load(tmp_path)
    assert (failure.reason, '"model.joblib"' in failure.message) == ("ModelMissing", True)
