"""TensorFlow against the server that its users write on KServe's SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.ask import Ask
from bench.peers import peer_python
from bench.row import Row
from bench.runtime_rows.tabular import ROWS, compare
from bench.runtime_rows.trained import model_folder, ours
from bench.servers import Ports
from bench.setting import Setting

PEER = Path(__file__).parents[1] / "peer_tensorflow.py"
KSERVE = ("kserve==0.21.0", "tensorflow-cpu==2.21.0")
KSERVE_NAME = "kserve 0.21.0 with the same SavedModel in a custom Model (bench/peer_tensorflow.py)"
SPECIES = ["virginica", "versicolor"]


def tensorflow(setting: Setting) -> Iterator[Row]:
    """V1: rate, memory at rest, time to ready."""
    folder = model_folder(setting, "tensorflow")

    def peer(ports: Ports) -> list[str]:
        return [
            peer_python(setting, KSERVE), str(PEER), f"--model_dir={folder}", "--model_name=m",
            f"--http_port={ports.http}", f"--grpc_port={ports.grpc}",
        ]  # fmt: skip

    body = json.dumps({"instances": ROWS}).encode()
    ask = Ask("/v1/models/m:predict", body, check=_check)
    mine = ours(setting, "tensorflow")
    yield from compare(setting, "tensorflow V1", mine, peer, ask, 5, KSERVE_NAME)


def _check(answer: bytes) -> None:
    if json.loads(answer) != {"predictions": SPECIES}:
        raise RuntimeError(f"wrong prediction {answer[:200]!r}; they are {SPECIES}")
