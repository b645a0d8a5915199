"""An archive of TorchServe against TorchServe itself: one handler, a small residual network."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.ask import Ask
from bench.processes import find_command, free_port
from bench.row import Row
from bench.runtime_rows.tabular import compare
from bench.servers import Ports
from bench.setting import CannotMeasure, Setting

PEER_NAME = "torchserve 0.12.0, its defaults: a worker a core"
IMAGE = bytes(4 * 3 * 32 * 32)
"""An image of zeros, three colours of 32 x 32 floats: which class it has does not count."""
ARCHIVE = '''
import json, sys, zipfile
from pathlib import Path
import torch

NETWORK = """
import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(6))
        self.classes = nn.Linear(16, 10)

    def forward(self, x):
        x = self.first(x)
        for one, two in zip(self.layers[::2], self.layers[1::2]):
            x = nn.functional.max_pool2d(torch.relu(x + two(torch.relu(one(x)))), 2)
        return self.classes(x.mean(dim=(2, 3)))
"""
HANDLER = """
import torch
from ts.torch_handler.base_handler import BaseHandler


class Images(BaseHandler):
    def preprocess(self, data):
        images = [torch.frombuffer(bytearray(row["body"]), dtype=torch.float32) for row in data]
        return torch.stack(images).reshape(-1, 3, 32, 32).to(self.device)

    def postprocess(self, data):
        return data.argmax(dim=1).tolist()
"""
store = Path(sys.argv[1])
(store / "network.py").write_text(NETWORK)
sys.path.insert(0, str(store))
from network import Residual

torch.manual_seed(0)
torch.save(Residual().state_dict(), store / "weights.pt")
model = {"modelName": "m", "modelVersion": "1.0", "handler": "images.py",
         "modelFile": "network.py", "serializedFile": "weights.pt"}
with zipfile.ZipFile(store / "m.mar", "w") as made:
    made.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
    made.write(store / "network.py", "network.py")
    made.write(store / "weights.pt", "weights.pt")
    made.writestr("images.py", HANDLER)
(store / "network.py").unlink()
(store / "weights.pt").unlink()
'''
"""Makes the archive in the environment that has torch."""


def serve(setting: Setting) -> Iterator[Row]:
    """`POST /predictions/m`: rate, memory at rest, time to ready."""
    python = _python()
    store = setting.cache / "trained-torchserve"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    subprocess.run([python, "-c", ARCHIVE, str(store)], check=True, capture_output=True)

    def mine(ports: Ports) -> list[str]:
        return [
            str(python), "-m", "sampan.app.serve", "--runtime=torchserve", "--trust",
            f"--model_dir={store}", "--model_name=m", f"--http_port={ports.http}",
            f"--grpc_port={ports.grpc}",
        ]  # fmt: skip

    def peer(ports: Ports) -> list[str]:
        told = {
            "inference_address": f"http://127.0.0.1:{ports.http}",
            "management_address": f"http://127.0.0.1:{free_port()}",
            "metrics_address": f"http://127.0.0.1:{free_port()}",
            "grpc_inference_port": ports.grpc,
            "grpc_management_port": free_port(),
            "disable_token_authorization": "true",
        }
        config = setting.cache / "torchserve.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in told.items()))
        path = f"PATH={python.parent}:{os.environ['PATH']}"
        return [
            "env", path, f"LOG_LOCATION={store}/logs", f"METRICS_LOCATION={store}/logs",
            str(python.with_name("torchserve")), "--start", "--foreground", "--ncs",
            "--model-store", str(store), "--models", "m=m.mar", "--ts-config", str(config),
        ]  # fmt: skip

    ask = Ask("/predictions/m", IMAGE, (("Content-Type", "application/octet-stream"),), _check)
    yield from compare(setting, "torchserve /predictions", mine, peer, ask, 3, PEER_NAME)


def _python() -> Path:
    """Return the interpreter that has torch and torchserve: that of the tests of engines."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = base / "sampan" / "engines" / "torch" / "bin" / "python"
    if not python.with_name("torchserve").exists():
        raise CannotMeasure("torchserve is not installed; get it with: make test-engines")
    if find_command("java") is None:
        raise CannotMeasure("TorchServe needs Java; get it with: apt-get install -y default-jre")
    return python


def _check(answer: bytes) -> None:
    if not answer.strip().isdigit():
        raise RuntimeError(f"wrong prediction {answer[:200]!r}; it is the number of a class")
