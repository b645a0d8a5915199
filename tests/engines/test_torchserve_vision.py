"""TorchServe's stock handlers of pictures over whole archives, in real torchvision.

Where torchvision is of another build than PyTorch, as here where its wheel is that for GPUs, its
Python is used without its compiled operators.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from sampan.runtimes.serving import Order
from sampan.runtimes.torchserve.archive import MANIFEST
from sampan.runtimes.torchserve.runtime import make_offer
from sampan.runtimes.torchserve.vision import replace_operators, select_boxes
from sampan.server.dataplane import DataPlane
from sampan.server.load_failure import LoadFailure
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engines")
pytest.importorskip("ts", reason="torchserve is not installed: make test-engines")
pytest.importorskip("captum", reason="captum is not installed: make test-engines")
pytestmark = pytest.mark.filterwarnings("ignore")

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed: make test-engines", allow_module_level=True)

NETS = {
    "image_classifier": """
from torchvision.models.resnet import BasicBlock, ResNet

class Net(ResNet):
    def __init__(self):
        super().__init__(BasicBlock, [1, 1, 1, 1], num_classes=6)
""",
    "image_segmenter": """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return {"out": self.layer(x)}
""",
    "object_detector": """
import torch
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator

class Net(FasterRCNN):
    def __init__(self):
        backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, stride=4), torch.nn.ReLU())
        backbone.out_channels = 8
        super().__init__(
            backbone, num_classes=2, min_size=64, max_size=64, box_score_thresh=0.0,
            box_detections_per_img=5,
            rpn_anchor_generator=AnchorGenerator(((16,),), ((1.0,),)),
        )
""",
}
"""The file of the network by the handler that asks it."""


@pytest.fixture(scope="module", autouse=True)
def vision() -> Any:
    """Import torchvision, without its operators where they do not load."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if not replace_operators(error):
            raise
    return importlib.import_module("torchvision")


def make_picture() -> bytes:
    from PIL import Image

    picture = Image.new("RGB", (96, 80), (10, 200, 30))
    picture.paste((250, 20, 20), (20, 20, 60, 50))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


PICTURE = make_picture() if importlib.util.find_spec("PIL") else b""


def write_archive(store: Path, handler: str, names: dict[str, str] | None = None) -> Any:
    """Write an archive of a network with weights of its own; return the network."""
    scope: dict[str, Any] = {"__name__": "net"}
    exec(NETS[handler], scope)  # noqa: S102  # the network of this test
    torch.manual_seed(3)
    net = scope["Net"]().eval()
    torch.save(net.state_dict(), store / "weights.pt")
    model = {"modelName": "seen", "handler": handler, "modelFile": "net.py", "modelVersion": "1.0",
             "serializedFile": "weights.pt"}  # fmt: skip
    with zipfile.ZipFile(store / "seen.mar", "w") as made:
        made.writestr(MANIFEST, json.dumps({"runtime": "python", "model": model}))
        made.writestr("net.py", NETS[handler])
        if names:
            made.writestr("index_to_name.json", json.dumps(names))
        made.write(store / "weights.pt", "weights.pt")
    (store / "weights.pt").unlink()
    return net


async def ask(store: Path, path: str, **body: Any) -> httpx.Response:
    """Serve the store's archive, and answer one request."""
    offer = make_offer(Order("model", store, trust=True))
    model = offer.repository.get("seen").model
    model.load()
    dataplane = DataPlane(offer.repository, Workers(2))
    dataplane.started = True
    listener = Listener(Rest(dataplane, None, None, offer.api).submit, None, None)
    await listener.listen("127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{listener.address[1]}{path}"
        async with httpx.AsyncClient(timeout=120) as client:
            return await client.post(url, **body)
    finally:
        await listener.drain(0)
        model.stop()


def prepare(handler: str) -> Any:
    """Return the picture as the handler's own preparation makes it, a batch of one."""
    from PIL import Image

    kind = {"image_classifier": "ImageClassifier", "image_segmenter": "ImageSegmenter",
            "object_detector": "ObjectDetector"}[handler]  # fmt: skip
    module = importlib.import_module(f"ts.torch_handler.{handler}")
    return getattr(module, kind).image_processing(Image.open(io.BytesIO(PICTURE)))[None]


async def test_the_stock_image_classifier_tells_the_five_likeliest_names(tmp_path):
    names = {str(n): f"class {n}" for n in range(6)}
    net = write_archive(tmp_path, "image_classifier", names)
    told = (await ask(tmp_path, "/predictions/seen", content=PICTURE)).json()
    with torch.no_grad():
        scores, order = torch.softmax(net(prepare("image_classifier")), 1)[0].topk(5)
    assert list(told) == [f"class {n}" for n in order.tolist()]
    assert list(told.values()) == pytest.approx(scores.tolist(), rel=1e-4)


async def test_a_picture_in_base64_goes_through_v1(tmp_path):
    import base64

    write_archive(tmp_path, "image_classifier")
    row = {"data": base64.b64encode(PICTURE).decode()}
    answer = await ask(tmp_path, "/v1/models/seen:predict", json={"instances": [row]})
    (told,) = answer.json()["predictions"]
    assert (len(told), sum(told.values()) <= 1) == (5, True)


async def test_the_stock_image_segmenter_tells_the_class_of_each_place(tmp_path):
    net = write_archive(tmp_path, "image_segmenter")
    told = (await ask(tmp_path, "/predictions/seen", content=PICTURE)).json()
    with torch.no_grad():
        best = torch.softmax(net(prepare("image_segmenter"))["out"], 1).max(1)
    made = torch.tensor(told)
    assert made.shape == (224, 224, 2)
    assert torch.equal(made[..., 0].long(), best.indices[0])
    assert torch.allclose(made[..., 1], best.values[0], atol=1e-4)


async def test_the_stock_object_detector_tells_boxes_and_their_scores(tmp_path, monkeypatch):
    module = importlib.import_module("ts.torch_handler.object_detector")
    monkeypatch.setattr(module.ObjectDetector, "threshold", 0.1)  # this network has learnt nothing
    net = write_archive(tmp_path, "object_detector", {"1": "thing"})
    told = (await ask(tmp_path, "/predictions/seen", content=PICTURE)).json()
    with torch.no_grad():
        (wanted,) = net(prepare("object_detector"))
    assert len(told) == len(wanted["boxes"]) > 0
    for row, box, score in zip(told, wanted["boxes"], wanted["scores"], strict=True):
        assert row["thing"] == pytest.approx(box.tolist(), rel=1e-3, abs=1e-3)
        assert row["score"] == pytest.approx(float(score), rel=1e-3)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_boxes_are_selected_as_the_rule_says(threshold):
    torch.manual_seed(7)
    low = torch.rand(60, 2) * 10
    boxes = torch.cat([low, low + torch.rand(60, 2) * 6], 1)
    scores = torch.rand(60)

    def overlap(one: list[float], other: list[float]) -> float:
        width = min(one[2], other[2]) - max(one[0], other[0])
        height = min(one[3], other[3]) - max(one[1], other[1])
        shared = max(width, 0) * max(height, 0)
        areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
        return shared / (sum(areas) - shared)

    rows, kept = boxes.tolist(), []
    for index in sorted(range(60), key=lambda n: -scores[n]):
        if all(overlap(rows[index], rows[other]) <= threshold for other in kept):
            kept.append(index)
    assert select_boxes(boxes, scores, threshold).tolist() == kept
    assert select_boxes(boxes[:0], scores[:0], threshold).tolist() == []


@pytest.mark.parametrize("handler", sorted(NETS))
def test_without_torchvision_a_handler_of_pictures_says_what_it_needs(
    handler, tmp_path, monkeypatch
):
    write_archive(tmp_path, handler)
    for name in [name for name in sys.modules if name.startswith(("torchvision", "ts.torch_h"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(LoadFailure) as caught:
        make_offer(Order("model", tmp_path, trust=True)).repository.get("seen").model.load()
    assert "torchvision" in caught.value.message
    assert "requirements" in caught.value.message
