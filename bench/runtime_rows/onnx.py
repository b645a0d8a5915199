"""ONNX against the server that users write on KServe's SDK; the engine's share of a request."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

from bench.ask import Ask
from bench.peers import peer_python
from bench.row import Goal, Row, make_row
from bench.runtime_rows.tabular import ROWS, compare
from bench.runtime_rows.trained import environment
from bench.server_rows.rounds import measure_round
from bench.servers import Command, Ports, Up, serving
from bench.setting import Setting

ROOT = Path(__file__).parents[2]
PEER = ROOT / "bench" / "peer_onnx.py"
KSERVE = ("kserve==0.21.0", "onnxruntime==1.27.0")
KSERVE_NAME = "kserve 0.21.0 with the same graph in a custom Model (bench/peer_onnx.py)"
FLAT = [value for row in ROWS for value in row]
IMAGE = (1, 3, 64, 64)
CHANNELS = (3, 32, 64, 64, 128)
"""A small network of images: four convolutions that halve the sides, some 5 ms on one core."""


def serve(setting: Setting) -> Iterator[Row]:
    """V2: rate, memory at rest, time to ready."""
    model = _iris(setting)

    def peer(ports: Ports) -> list[str]:
        return [
            peer_python(setting, KSERVE), str(PEER), f"--model_file={model}", "--model_name=m",
            f"--http_port={ports.http}", f"--grpc_port={ports.grpc}",
        ]  # fmt: skip

    tensor = {"name": "flowers", "datatype": "FP32", "shape": [2, 4], "data": FLAT}
    body = json.dumps({"id": "flowers", "inputs": [tensor]}).encode()
    ask = Ask("/v2/models/m/infer", body, check=_check)
    yield from compare(setting, "onnx V2", _ours(setting, model), peer, ask, 5, KSERVE_NAME)


def share(setting: Setting) -> Iterator[Row]:
    """What of a request of one image is the engine's: binary V2, one connection."""
    model = _network(setting)
    head = {"name": "image", "datatype": "FP32", "shape": list(IMAGE)}
    pixels = bytes(4 * IMAGE[1] * IMAGE[2] * IMAGE[3])
    head["parameters"] = {"binary_data_size": len(pixels)}
    text = json.dumps({"inputs": [head], "parameters": {"binary_data_output": True}}).encode()
    headers = (
        ("Content-Type", "application/octet-stream"),
        ("Inference-Header-Content-Length", str(len(text))),
    )
    ask = Ask("/v2/models/m/infer", text + pixels, headers)
    python = environment(setting, "onnx")

    def engine() -> float:
        command = [python, str(PEER), f"--model_file={model}", "--measure"]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def request(side: Up) -> float:
        return measure_round(side, ask, 1).load.p50

    with serving(setting, ask, _ours(setting, model)) as (side,):
        rounds = setting.alternate(lambda: request(side), engine)
    yield make_row(
        "onnx, the engine's share of a request of one image, 1 connection", "ms", *rounds,
        Goal(ratio=0.7), peer_is="onnxruntime by itself, in a loop", note="median times",
    )  # fmt: skip


def _ours(setting: Setting, model: Path) -> Command:
    program = [
        environment(setting, "onnx"), "-m", "sampan.app.serve", "--runtime=onnx",
        "--model_name=m", f"--model_dir={model}",
    ]  # fmt: skip
    return lambda ports: [*program, f"--http_port={ports.http}", f"--grpc_port={ports.grpc}"]


@cache
def _iris(setting: Setting) -> Path:
    """Return the graph of the example, made by its own script."""
    work = setting.cache / "trained-onnx"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    shutil.copy(ROOT / "examples" / "10-onnx" / "train.py", work)
    subprocess.run([setting.python, "train.py"], cwd=work, check=True, capture_output=True)
    return work / "model" / "iris" / "1" / "model.onnx"


@cache
def _network(setting: Setting) -> Path:
    """Return a graph of convolutions with random weights."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    random, nodes, weights, name = np.random.default_rng(0), [], [], "image"
    for number, (given, made) in enumerate(pairwise(CHANNELS)):
        kernel = random.normal(0, 0.1, (made, given, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"kernel{number}"))
        made_name = f"layer{number}"
        nodes.append(
            helper.make_node(
                "Conv",
                [name, f"kernel{number}"],
                [made_name],
                pads=[1, 1, 1, 1],
                strides=[1 + number % 2] * 2,
            )
        )
        name = made_name
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["means"]))
    shape = ["n", CHANNELS[-1], 1, 1]
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", *IMAGE[1:]])],
        [helper.make_tensor_value_info("means", TensorProto.FLOAT, shape)],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    folder = setting.cache / "trained-onnx-network"
    folder.mkdir(exist_ok=True)
    save(model, folder / "model.onnx")
    return folder / "model.onnx"


def _check(answer: bytes) -> None:
    classes = json.loads(answer)["outputs"][0]["data"]
    if classes != [1, 1]:
        raise RuntimeError(f"wrong prediction {answer[:200]!r}; both flowers are class 1")
