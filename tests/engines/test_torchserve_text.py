"""A stock handler of TorchServe that needs no torchvision: `text_classifier`, over all its ways."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import httpx
import pytest

from sampan.runtimes.serving import Order
from sampan.runtimes.torchserve.archive import MANIFEST
from sampan.runtimes.torchserve.runtime import make_offer
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engines")
pytest.importorskip("ts", reason="torchserve is not installed: make test-engines")
pytest.importorskip("captum", reason="captum is not installed: make test-engines")
pytestmark = pytest.mark.filterwarnings("ignore")

NET = """
import torch

class Words(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.EmbeddingBag(4, 2)
        self.embedding.weight = torch.nn.Parameter(
            torch.tensor([[0.0, 0.0], [0.0, 4.0], [4.0, 0.0], [0.0, 0.0]])
        )

    def forward(self, text, offsets):
        return self.embedding(text, offsets)
"""
VOCABULARY = {"a": 0, "good": 1, "bad": 2, "a good": 3, "a bad": 3, "film": 0, "good film": 3,
              "bad film": 3}  # fmt: skip


def write_archive(store: Path, handler: str) -> None:
    scope: dict[str, object] = {}
    exec(NET, scope)  # noqa: S102  # the network of this test
    files = {"weights.pt": scope["Words"]().state_dict(), "source_vocab.pt": VOCABULARY}  # type: ignore[operator]
    model = {"modelName": "words", "handler": handler, "modelFile": "net.py", "modelVersion": "1.0",
             "serializedFile": "weights.pt"}  # fmt: skip
    with zipfile.ZipFile(store / "words.mar", "w") as made:
        made.writestr(MANIFEST, json.dumps({"runtime": "python", "model": model}))
        made.writestr("net.py", NET)
        made.writestr("index_to_name.json", json.dumps({"0": "panned", "1": "praised"}))
        for name, value in files.items():
            torch.save(value, store / name)
            made.write(store / name, name)
            (store / name).unlink()


async def test_the_stock_text_classifier_answers(tmp_path):
    write_archive(tmp_path, "text_classifier")
    offer = make_offer(Order("model", tmp_path, trust=True))
    model = offer.repository.get("words").model
    model.load()
    dataplane = DataPlane(offer.repository, Workers(4))
    dataplane.started = True
    listener = Listener(
        Rest(dataplane, None, None, offer.api).submit, None, Grpc(dataplane, api=offer.api)
    )
    await listener.listen("127.0.0.1", 0)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.address[1]}") as ask:
            for body, said in ((b"A good film!", "praised"), (b"a <b>bad</b> film", "panned")):
                answer = await ask.post("/predictions/words", content=body)
                told = answer.json()
                assert max(told, key=told.get) == said, told
            rows = {"instances": [{"data": "a good film"}]}
            (told,) = (await ask.post("/v1/models/words:predict", json=rows)).json()["predictions"]
            assert max(told, key=told.get) == "praised"
    finally:
        await listener.drain(0)
        model.stop()
