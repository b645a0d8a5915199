"""The peer: a SavedModel in a custom Model on KServe's own SDK, as its users write one.

Runs in the peer's environment, never in ours: `python peer_tensorflow.py --model_dir DIR
--model_name NAME --http_port PORT`. One process, KServe's defaults; the model is loaded by
`tf.saved_model.load` and asked through its default signature.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tensorflow as tf
from kserve import Model, ModelServer, model_server


class Saved(Model):
    """The newest version of a SavedModel that answers texts."""

    def load(self) -> bool:
        """Load it."""
        versions = sorted(Path(args.model_dir).iterdir(), key=lambda folder: int(folder.name))
        self._model = tf.saved_model.load(str(versions[-1]))
        self._signature = self._model.signatures["serving_default"]
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):  # noqa: ARG002 (KServe's signature)
        """Answer a V1 request."""
        answer = self._signature(tf.constant(payload["instances"], tf.float32))
        return {"predictions": [text.decode() for text in answer["species"].numpy()]}


parser = argparse.ArgumentParser(parents=[model_server.parser])
parser.add_argument("--model_dir", required=True)
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    model = Saved(args.model_name)
    model.load()
    ModelServer().start([model])
