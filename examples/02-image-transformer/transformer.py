"""Turns grey images into what the model takes, as KServe's image transformer does.

A client sends images as they are; the model knows 64 numbers from 0 to 16. The predictor is asked
by the protocol of `--predictor_protocol`: v1, v2 or grpc-v2.
"""

from __future__ import annotations

import argparse
import base64
from typing import Any

import numpy as np
from kserve import InferInput, InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.errors import InvalidInput

SIDE, LEVELS = 8, 16


def decode(image: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Return the grey values (0 to 255) of a PGM image in base64."""
    try:
        magic, size, _depth, pixels = base64.b64decode(image["b64"]).split(b"\n", 3)
        width, height = map(int, size.split())
        grey = np.frombuffer(pixels, np.uint8).reshape(height, width)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"an image must be base64 of a PGM file (P5): {error}") from error
    if magic != b"P5" or width % SIDE or height % SIDE:
        raise InvalidInput(f'image is "{magic!r}" of {width}x{height}; send P5, sides times {SIDE}')
    return grey


def shrink(grey: np.ndarray[Any, Any]) -> list[float]:
    """Return the mean of each of 8 by 8 tiles, as levels from 0 to 16, row by row."""
    height, width = grey.shape
    tiles = grey.reshape(SIDE, height // SIDE, SIDE, width // SIDE).mean(axis=(1, 3))
    levels: list[float] = (tiles * LEVELS / 255).round().ravel().tolist()
    return levels


class ImageTransformer(Model):  # type: ignore[misc]
    """`predict` is inherited: it asks the predictor of `--predictor_host`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ready = True

    def preprocess(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's
        """Return the rows of the images, in the form of the predictor's protocol."""
        rows = [shrink(decode(instance["image"])) for instance in payload["instances"]]
        if self.predictor_config.protocol == "v1":
            return {"instances": rows}
        tensor = InferInput("input-0", [len(rows), SIDE * SIDE], "FP64")
        tensor.set_data_from_numpy(np.array(rows), binary_data=False)
        return InferRequest(self.name, [tensor])

    def postprocess(self, result: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's
        """Answer as V1 whatever the predictor spoke."""
        if isinstance(result, InferResponse):
            return {"predictions": result.outputs[0].as_numpy().tolist()}
        return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    args, _ = parser.parse_known_args()
    ModelServer().start([ImageTransformer(args.model_name)])
