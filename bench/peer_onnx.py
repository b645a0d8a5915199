"""The peer: an ONNX graph in a custom Model on KServe's own SDK, as its users write one.

Runs in the peer's environment, never in ours: `python peer_onnx.py --model_file FILE --model_name
NAME --http_port PORT`. One process, KServe's defaults; the session's are onnxruntime's. With
`--measure` it prints the milliseconds of one run of the engine alone, the median of many.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median

import numpy as np
import onnxruntime

SECONDS = 2.0


def measure(path: str) -> float:
    """Return the median milliseconds of a run of zeros."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {
        one.name: np.zeros([s if isinstance(s, int) else 1 for s in one.shape], np.float32)
        for one in session.get_inputs()
    }
    taken, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        session.run(None, feed)
        taken.append(1000 * (time.perf_counter() - began))
    return median(taken)


def serve() -> None:
    """Serve with KServe's server."""
    from kserve import InferOutput, InferResponse, Model, ModelServer, model_server

    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_file", required=True)
    args, _ = parser.parse_known_args()

    class Graph(Model):
        """A session of onnxruntime."""

        def load(self) -> bool:
            self._session = onnxruntime.InferenceSession(
                args.model_file, providers=["CPUExecutionProvider"]
            )
            self._names = [one.name for one in self._session.get_outputs()]
            self.ready = True
            return self.ready

        def predict(self, payload, headers=None):  # noqa: ARG002 (KServe's signature)
            given = {one.name: one.as_numpy() for one in payload.inputs}
            outputs = []
            values = self._session.run(self._names, given)
            for name, value in zip(self._names, values, strict=True):
                datatype = "INT64" if value.dtype == np.int64 else "FP32"
                output = InferOutput(name, list(value.shape), datatype)
                output.set_data_from_numpy(value, binary_data=False)
                outputs.append(output)
            return InferResponse(payload.id, self.name, outputs)

    model = Graph(args.model_name)
    model.load()
    ModelServer().start([model])


if __name__ == "__main__":
    if "--measure" in sys.argv:
        given = next(word for word in sys.argv if word.startswith("--model_file="))
        sys.stdout.write(f"{measure(given.partition('=')[2]):.4f}\n")
    else:
        serve()
