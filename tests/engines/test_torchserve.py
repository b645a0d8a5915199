"""Model archives with real handlers of the package torchserve, in real PyTorch."""

from __future__ import annotations

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

from sampan.runtimes.serving import Order
from sampan.runtimes.torchserve.archive import MANIFEST
from sampan.runtimes.torchserve.runtime import make_offer
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.load_failure import LoadFailure
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

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
    options = {"enable-model-api": "true"} if getattr(request, "param", "") == "open" else {}
    offer = make_offer(Order("model", tmp_path, trust=True, options=options))
    offer.repository.get("lin").model.load()
    dataplane = DataPlane(offer.repository, Workers(4))
    dataplane.started = True
    rest = Rest(dataplane, None, None, offer.api)
    listener = Listener(rest.submit, None, Grpc(dataplane, api=offer.api))
    await listener.listen("127.0.0.1", 0)
    yield f"http://127.0.0.1:{listener.address[1]}", wanted  # type: ignore[misc]  # a list
    await listener.drain(0)
    for name in offer.repository.names():
        offer.repository.get(name).model.stop()


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
