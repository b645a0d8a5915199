"""Model archives with real handlers of the package torchserve, in real PyTorch."""

from __future__ import annotations

import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

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
import torch
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException

class Rows(BaseHandler):
    def preprocess(self, data):
        rows = [
            row.get("data") or row.get("body") if isinstance(row, dict) else row for row in data
        ]
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
async def served(tmp_path) -> AsyncIterator[tuple[str, list[float]]]:
    wanted = write_archive(tmp_path)["wanted"]
    offer = make_offer(Order("model", tmp_path, trust=True))
    offer.repository.get("lin").model.load()
    dataplane = DataPlane(offer.repository, Workers(4))
    dataplane.started = True
    rest = Rest(dataplane, None, None, offer.api)
    listener = Listener(rest.submit, None, Grpc(dataplane, api=offer.api))
    await listener.listen("127.0.0.1", 0)
    yield f"http://127.0.0.1:{listener.address[1]}", wanted  # type: ignore[misc]  # a list
    await listener.drain(0)
    offer.repository.get("lin").model.stop()


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
