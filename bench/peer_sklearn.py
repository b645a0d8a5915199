"""The peer: a scikit-learn model on KServe's own SDK, as its sklearn server serves one.

Runs in the peer's environment, never in ours: `python peer_sklearn.py --model_dir DIR
--model_name NAME --http_port PORT`. One process, KServe's defaults.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
from kserve import Model, ModelServer, model_server
from kserve.utils.utils import get_predict_input, get_predict_response


class Sklearn(Model):
    """A model file that joblib reads."""

    def __init__(self, name: str, folder: str) -> None:
        super().__init__(name)
        self._path = Path(folder) / "model.joblib"
        self._model = None

    def load(self) -> bool:
        """Read the model."""
        self._model = joblib.load(self._path)
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):  # noqa: ARG002 (KServe's signature)
        """Answer a V1 or V2 request."""
        instances = get_predict_input(payload)
        return get_predict_response(payload, self._model.predict(instances), self.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_dir", required=True)
    args, _ = parser.parse_known_args()
    model = Sklearn(args.model_name, args.model_dir)
    model.load()
    ModelServer().start([model])
