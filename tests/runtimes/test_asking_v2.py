"""How an explainer asks by V2: the tensor that the predictor's metadata name, raw, in its type."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from sampan.runtimes.explainers.asking import Asking
from sampan.runtimes.explainers.declaration import Asked


class Predictor:
    """Somebody else's server, over V2: `inputs` are its metadata; it keeps what it gets."""

    def __init__(self) -> None:
        self.inputs: list[dict[str, Any]] | None = None
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                known = outer.inputs is not None
                self.say(200 if known else 404, {"name": "iris", "inputs": outer.inputs})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                head = int(self.headers["Inference-Header-Content-Length"])
                asked = json.loads(body[:head])
                outer.asked += asked["inputs"]
                rows = asked["inputs"][0]["shape"][0]
                output = {"name": "y", "shape": [rows], "datatype": "FP64", "data": [0.5] * rows}
                self.say(200, {"model_name": "iris", "outputs": [output]})

            def say(self, status: int, value: dict[str, Any]) -> None:
                said = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def predictor() -> Iterator[Predictor]:
    made = Predictor()
    yield made
    made.server.shutdown()
    made.server.server_close()


CASES: dict[str, tuple[list[dict[str, Any]] | None, str, tuple[str, str]]] = {
    "the metadata name and type the tensor": (
        [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}], "", ("x", "FP32"),
    ),
    "metadata that tell nothing": ([], "", ("input-0", "FP64")),
    "a server without metadata": (None, "", ("input-0", "FP64")),
    "a name that is given stands first": (
        [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}], "images", ("images", "FP64"),
    ),
    "a network that tells nothing takes single precision": ([], "images", ("images", "FP32")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_tensor_is_the_one_that_the_predictor_takes(predictor, case):
    predictor.inputs, given, expected = case
    host = f"127.0.0.1:{predictor.server.server_port}"
    asked = Asked(host, protocol="v2", batch_size=2, input_name=given)
    with Asking(asked, "iris", None) as asking:
        assert asking(np.ones((3, 2))).tolist() == [0.5] * 3
    assert [(one["name"], one["datatype"]) for one in predictor.asked] == [expected] * 2
    assert [one["shape"] for one in predictor.asked] == [[2, 2], [1, 2]]
