"""Model archives with real handlers of the package torchserve, in real PyTorch."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tests.engines.torchserve_served import serving, write_handler

from sampan.runtimes.serving import Order
from sampan.runtimes.torchserve.archive import MANIFEST
from sampan.runtimes.torchserve.runtime import make_offer
from sampan.server.load_failure import LoadFailure

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engines")
pytest.importorskip("ts", reason="torchserve is not installed: make test-engines")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x)
"""
HANDLER = """
import json

import torch
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException

class Rows(BaseHandler):
    def preprocess(self, data):
        rows = [
            row.get("data") or row.get("body") if isinstance(row, dict) else row for row in data
        ]
        rows = [json.loads(row) if isinstance(row, bytearray) else row for row in rows]
        if rows and rows[0] == "refuse":
            raise PredictionException("send numbers", 400)
        return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
"""


def write_archive(store: Path, handler: str = "rows.py", code: str = HANDLER) -> dict[str, object]:
    """Write an archive of a network and its weights; return what it answers to [1, 2, 3, 4]."""
    scope: dict[str, object] = {}
    exec(NET, scope)  # noqa: S102  # the network of this test
    net = scope["Net"]().eval()  # type: ignore[operator]  # as defined above
    weights = store / "weights.pt"
    torch.save(net.state_dict(), weights)
    model = {"modelName": "lin", "handler": handler, "modelFile": "net.py", "modelVersion": "1.0",
             "serializedFile": "weights.pt"}  # fmt: skip
    with zipfile.ZipFile(store / "lin.mar", "w") as made:
        made.writestr(MANIFEST, json.dumps({"runtime": "python", "model": model}))
        made.writestr("net.py", NET)
        made.writestr("rows.py", code)
        made.write(weights, "weights.pt")
    weights.unlink()
    return {"wanted": net(torch.tensor([[1.0, 2.0, 3.0, 4.0]])).tolist()[0]}


@pytest.fixture
async def served(tmp_path, request) -> AsyncIterator[tuple[str, list[float]]]:
    """Serve a store of one archive; `open` lets models come and go."""
    wanted = write_archive(tmp_path)["wanted"]
    options = {"enable_model_api": "true"} if getattr(request, "param", "") == "open" else {}
    async with serving(tmp_path, **options) as url:
        yield url, wanted  # type: ignore[misc]  # a list


async def test_torchserves_inference_api(served):
    url, wanted = served
    async with httpx.AsyncClient(base_url=url) as ask:
        assert (await ask.get("/ping")).json() == {"status": "Healthy"}
        for path in ("/predictions/lin", "/predictions/lin/1.0"):
            answer = await ask.post(path, json=[1, 2, 3, 4])
            assert answer.json() == pytest.approx(wanted)
        form = await ask.post("/predictions/lin", files={"x": b"1"})
        assert form.json()["type"] == "InternalServerException"  # the handler takes no such part
        refused = await ask.post("/predictions/lin", json="refuse")
        assert (refused.status_code, refused.json()["message"]) == (400, "send numbers")
        unknown = await ask.post("/predictions/none", json=[1])
        assert unknown.json()["type"] == "ModelNotFoundException"
        assert unknown.status_code == 404


async def test_its_management_api_tells_of_models(served):
    url, _ = served
    async with httpx.AsyncClient(base_url=url) as ask:
        models = (await ask.get("/models")).json()
        assert models == {"models": [{"modelName": "lin", "modelUrl": "lin.mar"}]}
        (row,) = (await ask.get("/models/lin")).json()
        assert (row["modelVersion"], row["workers"][0]["status"]) == ("1.0", "READY")


async def test_v1_and_v2_go_through_the_envelopes(served):
    url, wanted = served
    async with httpx.AsyncClient(base_url=url) as ask:
        rows = {"instances": [[1, 2, 3, 4], [1, 2, 3, 4]]}
        answer = (await ask.post("/v1/models/lin:predict", json=rows)).json()
        assert answer["predictions"] == [pytest.approx(wanted)] * 2
        tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
        body = {"id": "7", "inputs": [tensor]}
        answer = (await ask.post("/v2/models/lin/infer", json=body)).json()
        assert (answer["id"], answer["model_name"]) == ("7", "lin")
        assert answer["outputs"][0]["data"] == pytest.approx(wanted)
        empty = await ask.post("/v1/models/lin:predict", json={"instances": []})
        assert empty.status_code == 400


def test_a_handler_that_does_not_load_is_told(tmp_path):
    write_archive(tmp_path, code="import nothing_of_that_name")
    model = make_offer(Order("model", tmp_path, trust=True)).repository.get("lin").model
    with pytest.raises(LoadFailure) as caught:
        model.load()
    assert caught.value.reason == "ModelLoadFailed"
    assert 'handler "rows.py" of "lin.mar"' in caught.value.message


# -- gRPC, by stubs made of TorchServe's own .proto files, which its package brings --------------


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make the stubs of TorchServe's services."""
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools is not installed")
    import ts

    folder = tmp_path_factory.mktemp("stubs")
    with zipfile.ZipFile(Path(ts.__file__).parent / "frontend" / "model-server.jar") as jar:
        for name in ("inference.proto", "management.proto"):
            (folder / name).write_bytes(jar.read(f"proto/{name}"))
        (folder / "google" / "rpc").mkdir(parents=True)
        (folder / "google" / "rpc" / "status.proto").write_text(STATUS)
    own = Path(protoc.__file__).parent / "_proto"
    files = ["inference.proto", "management.proto", "google/rpc/status.proto"]
    words = [f"-I{folder}", f"-I{own}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main(["protoc", *words, *(str(folder / file) for file in files)]) == 0
    sys.path.insert(0, str(folder))
    try:
        names = ("inference_pb2", "inference_pb2_grpc", "management_pb2", "management_pb2_grpc")
        return SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(folder))


STATUS = """
syntax = "proto3";
package google.rpc;
import "google/protobuf/any.proto";
message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }
"""


@pytest.fixture
async def channel(served: Any) -> AsyncIterator[Any]:
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
    async with grpc.aio.insecure_channel(served[0].removeprefix("http://")) as made:
        yield made


async def test_its_stock_stubs_predict_and_ping(served, stubs, channel):
    asked = stubs.inference_pb2_grpc.InferenceAPIsServiceStub(channel)
    empty = importlib.import_module("google.protobuf.empty_pb2").Empty()
    assert json.loads((await asked.Ping(empty)).health) == {"status": "Healthy"}
    request = stubs.inference_pb2.PredictionsRequest(
        model_name="lin", model_version="1.0", input={"data": b"[1, 2, 3, 4]"}
    )
    answer = await asked.Predictions(request)
    assert json.loads(answer.prediction) == pytest.approx(served[1])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param({"model_name": "none", "input": {"data": b"1"}}, "NOT_FOUND", id="unknown"),
        pytest.param({"model_name": "lin", "model_version": "9", "input": {"data": b"1"}},
                     "NOT_FOUND", id="another version"),
        pytest.param({"model_name": "lin"}, "INVALID_ARGUMENT", id="no input"),
        pytest.param({"model_name": "lin", "input": {"data": b'"refuse"'}}, "INVALID_ARGUMENT",
                     id="the handler refuses"),
    ],
)  # fmt: skip
async def test_what_is_wrong_over_grpc_has_its_status(request_, status, served, stubs, channel):
    grpc = importlib.import_module("grpc")
    asked = stubs.inference_pb2_grpc.InferenceAPIsServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        await asked.Predictions(stubs.inference_pb2.PredictionsRequest(**request_))
    assert caught.value.code().name == status


async def test_its_stock_stubs_list_and_describe(served, stubs, channel):
    asked = stubs.management_pb2_grpc.ManagementAPIsServiceStub(channel)
    listed = await asked.ListModels(stubs.management_pb2.ListModelsRequest())
    assert json.loads(listed.msg)["models"] == [{"modelName": "lin", "modelUrl": "lin.mar"}]
    told = await asked.DescribeModel(stubs.management_pb2.DescribeModelRequest(model_name="lin"))
    assert json.loads(told.msg)[0]["workers"][0]["status"] == "READY"


async def test_its_worker_is_the_one_that_may_be_asked_for(served, stubs, channel):
    grpc = importlib.import_module("grpc")
    asked = stubs.management_pb2_grpc.ManagementAPIsServiceStub(channel)
    wanted = stubs.management_pb2.ScaleWorkerRequest
    done = "Workers scaled to 1 for model: lin"
    told = await asked.ScaleWorker(wanted(model_name="lin", min_worker=1, max_worker=4))
    assert json.loads(told.msg)["status"] == done
    with pytest.raises(grpc.RpcError, match="min_worker is 3") as caught:
        await asked.ScaleWorker(wanted(model_name="lin", min_worker=3))
    assert caught.value.code().name == "INVALID_ARGUMENT"
    async with httpx.AsyncClient(base_url=served[0]) as ask:
        for path, status, said in (
            ("/models/lin", 202, "Processing worker updates..."),
            ("/models/lin/1.0?min_worker=1&synchronous=true", 200, done),
            ("/models/lin?min_worker=3", 400, "minReplicas"),
            ("/models/lin?min_worker=x", 400, '\\"x\\" is no count'),
            ("/models/none?min_worker=1", 404, "none"),
        ):
            answer = await ask.put(path)
            assert (answer.status_code, said in answer.text) == (status, True), answer.text


@pytest.mark.parametrize("served", ["open"], indirect=True)
async def test_models_come_and_go_where_that_is_allowed(served, stubs, channel):
    asked = stubs.management_pb2_grpc.ManagementAPIsServiceStub(channel)
    wanted = stubs.management_pb2.RegisterModelRequest(url="lin.mar", model_name="second")
    told = json.loads((await asked.RegisterModel(wanted)).msg)["status"]
    assert told == 'Model "second" Version: 1.0 registered with 1 initial workers'
    async with httpx.AsyncClient(base_url=served[0]) as ask:
        answer = await ask.post("/predictions/second", json=[1, 2, 3, 4])
        assert answer.json() == pytest.approx(served[1])
        page = (await ask.get("/models", params={"limit": 1})).json()
        assert (page["nextPageToken"], len(page["models"])) == ("1", 1)
        twice = await ask.post("/models", params={"url": "lin.mar", "model_name": "second"})
        assert (twice.status_code, twice.json()["type"]) == (409, "ConflictStatusException")
        several = await ask.post("/models", params={"url": "lin.mar", "initial_workers": 2})
        assert (several.status_code, "minReplicas" in several.text) == (400, True)
        outside = await ask.post("/models", params={"url": "../lin.mar"})
        assert (outside.status_code, "not in the model store" in outside.text) == (400, True)
        gone = await ask.delete("/models/second")
        assert gone.json() == {"status": 'Model "second" unregistered'}
        assert (await ask.post("/predictions/second", json=[1])).status_code == 404
        again = await ask.post("/models", params={"url": "lin.mar", "model_name": "second"})
        assert again.status_code == 200


async def test_models_neither_come_nor_go_where_nobody_allowed_it(served, stubs, channel):
    async with httpx.AsyncClient(base_url=served[0]) as ask:
        for answer in (
            await ask.post("/models", params={"url": "lin.mar"}),
            await ask.delete("/models/lin"),
        ):
            assert answer.status_code == 405
            assert "--enable-model-api" in answer.json()["message"]
        assert (await ask.post("/predictions/lin", json=[1, 2, 3, 4])).status_code == 200


# -- what a handler says of its answers: status, headers, parts; batches; versions ----------------


SAYS = """
import json

from ts.handler_utils.utils import send_intermediate_predict_response
from ts.utils.util import PredictionException

class Said:
    def initialize(self, context):
        self.batches = []

    def handle(self, data, context):
        self.batches.append(len(data))
        return [self.say(index, row, context, len(data)) for index, row in enumerate(data)]

    def say(self, index, row, context, size):
        word = row.get("body") or row.get("data") if isinstance(row, dict) else row
        word = word.decode() if isinstance(word, (bytes, bytearray)) else word
        if word == "teapot":
            context.set_response_status(code=418, phrase="teapot", idx=index)
            context.set_response_content_type(index, "text/x-tea")
            context.set_response_header(index, "X-Leaf", "green")
            return "short and stout"
        if word == "broken":
            context.set_response_header(index, "X-Split", "a\\r\\nb: c")
            return b"bytes"
        if word == "busy":
            raise PredictionException("ask later", 429)
        if word == "full":
            raise MemoryError
        if word == "parts":
            context.set_response_content_type(index, "text/plain")
            for number in range(3):
                send_intermediate_predict_response(
                    [f"{number} "], context.request_ids, "Prediction success", 200, context
                )
            return "end"
        return {"word": word, "size": size, "version": VERSION}
"""


def say(version: str = "1.0") -> str:
    return f"VERSION = {version!r}\n{SAYS}"


@pytest.fixture
async def said(tmp_path: Path) -> AsyncIterator[str]:
    write_handler(tmp_path, "one.mar", say())
    async with serving(tmp_path, enable_model_api="true") as url:
        yield url


def text(word: str) -> dict[str, Any]:
    return {"content": word, "headers": {"content-type": "text/plain"}}


async def test_a_handlers_own_status_and_headers_are_those_of_its_answer(said):
    async with httpx.AsyncClient(base_url=said) as ask:
        answer = await ask.post("/predictions/said", **text("teapot"))
        assert (answer.status_code, answer.text) == (418, "short and stout")
        assert answer.headers["content-type"] == "text/x-tea"
        assert answer.headers["x-leaf"] == "green"
        usual = await ask.post("/predictions/said", **text("hello"))
        assert usual.json() == {"word": "hello", "size": 1, "version": "1.0"}
        split = await ask.post("/predictions/said", **text("broken"))
        assert (split.status_code, split.content, "b" in split.headers) == (200, b"bytes", False)


async def test_a_handlers_own_status_is_told_over_v1_too(said):
    async with httpx.AsyncClient(base_url=said) as ask:
        answer = await ask.post("/v1/models/said:predict", json={"instances": ["teapot"]})
        assert (answer.status_code, answer.json()) == (418, {"predictions": ["short and stout"]})
        usual = await ask.post("/v1/models/said:predict", json={"instances": ["hello"]})
        assert usual.status_code == 200


@pytest.mark.parametrize(
    ("word", "status", "words"), [("busy", 429, "ask later"), ("full", 507, "Out of resources")]
)
async def test_what_a_handler_raises_has_its_status(word, status, words, said):
    async with httpx.AsyncClient(base_url=said) as ask:
        for path, body in (
            ("/predictions/said", text(word)),
            ("/v1/models/said:predict", {"json": {"instances": [word]}}),
        ):
            answer = await ask.post(path, **body)
            assert (answer.status_code, words in answer.text) == (status, True)


async def test_an_answer_in_parts_is_streamed_over_rest(said):
    async with httpx.AsyncClient(base_url=said) as ask:
        async with ask.stream("POST", "/predictions/said", **text("parts")) as answer:
            assert answer.headers["content-type"] == "text/plain"
            assert "ts_stream_next" not in answer.headers
            assert "".join([part async for part in answer.aiter_text()]) == "0 1 2 end"
        refused = await ask.post("/v1/models/said:predict", json={"instances": ["parts"]})
        assert (refused.status_code, "StreamPredictions" in refused.text) == (400, True)


async def test_its_stock_stubs_stream(said, stubs):
    grpc = importlib.import_module("grpc")
    request = stubs.inference_pb2.PredictionsRequest(model_name="said", input={"data": b"parts"})
    async with grpc.aio.insecure_channel(said.removeprefix("http://")) as channel:
        asked = stubs.inference_pb2_grpc.InferenceAPIsServiceStub(channel)
        parts = [part.prediction async for part in asked.StreamPredictions(request)]
        assert parts == [b"0 ", b"1 ", b"2 ", b"end"]
        once = stubs.inference_pb2.PredictionsRequest(model_name="said", input={"data": b"hello"})
        (whole,) = [part.prediction async for part in asked.StreamPredictions(once)]
        assert json.loads(whole)["word"] == "hello"
        with pytest.raises(grpc.RpcError, match="StreamPredictions"):
            await asked.Predictions(request)
        unknown = stubs.inference_pb2.PredictionsRequest(model_name="x", input={"data": b"1"})
        with pytest.raises(grpc.RpcError) as caught:
            _ = [part async for part in asked.StreamPredictions(unknown)]
        assert caught.value.code().name == "NOT_FOUND"


async def test_a_handler_gets_real_batches_and_each_request_its_answer(tmp_path):
    write_handler(tmp_path, "one.mar", say(), "batchSize: 4\nmaxBatchDelay: 30000\n")
    async with serving(tmp_path) as url, httpx.AsyncClient(base_url=url, timeout=60) as ask:
        answers = await asyncio.gather(
            *(ask.post("/predictions/said", **text(f"w{number}")) for number in range(8))
        )
        told = [answer.json() for answer in answers]
        assert [(one["word"], one["size"]) for one in told] == [(f"w{n}", 4) for n in range(8)]
        (row,) = (await ask.get("/models/said")).json()
        assert (row["batchSize"], row["maxBatchDelay"]) == (4, 30000)


async def test_a_registration_says_the_size_of_its_batches(said):
    async with httpx.AsyncClient(base_url=said, timeout=60) as ask:
        wanted = {"url": "one.mar", "model_name": "many", "batch_size": 2, "max_batch_delay": 30000}
        assert (await ask.post("/models", params=wanted)).status_code == 200
        answers = await asyncio.gather(
            *(ask.post("/predictions/many", **text(word)) for word in ("a", "b"))
        )
        assert [answer.json()["size"] for answer in answers] == [2, 2]
        wrong = await ask.post("/models", params={**wanted, "batch_size": 0})
        assert wrong.status_code == 400
        assert "batchSize of the registration is 0" in wrong.text


async def test_versions_are_asked_by_their_path_and_the_default_is_chosen(said, tmp_path, stubs):
    write_handler(tmp_path, "two.mar", say("2.0"), modelVersion="2.0")
    async with httpx.AsyncClient(base_url=said) as ask:

        async def version(path: str) -> str:
            return str((await ask.post(f"/predictions/said{path}", **text("x"))).json()["version"])

        added = await ask.post("/models", params={"url": "two.mar"})
        assert added.json()["status"].startswith('Model "said" Version: 2.0 registered')
        assert [await version(path) for path in ("", "/1.0", "/2.0")] == ["1.0", "1.0", "2.0"]
        assert (await ask.post("/predictions/said/3", **text("x"))).status_code == 404
        kept = await ask.delete("/models/said/1.0")
        assert (kept.status_code, kept.json()["type"]) == (403, "InvalidModelVersionException")
        changed = await ask.put("/models/said/2.0/set-default")
        assert changed.json()["status"].startswith("Default version successfully updated")
        assert await version("") == "2.0"
        instances = {"instances": ["x"]}
        told = (await ask.post("/v1/models/said:predict", json=instances)).json()
        assert told["predictions"][0]["version"] == "2.0"
        rows = (await ask.get("/models/said/all")).json()
        assert [(row["modelVersion"], row["defaultVersion"]) for row in rows] == [
            ("1.0", False), ("2.0", True),
        ]  # fmt: skip
        grpc = importlib.import_module("grpc")
        async with grpc.aio.insecure_channel(said.removeprefix("http://")) as channel:
            asked = stubs.management_pb2_grpc.ManagementAPIsServiceStub(channel)
            back = stubs.management_pb2.SetDefaultRequest(model_name="said", model_version="1.0")
            assert "updated for model" in (await asked.SetDefault(back)).msg
        assert await version("") == "1.0"
        assert (await ask.delete("/models/said/2.0")).status_code == 200
        assert (await ask.post("/predictions/said/2.0", **text("x"))).status_code == 404
