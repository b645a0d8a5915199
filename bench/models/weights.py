"""A model of 500 MB: most of it one array, and some in objects of Python, as models have them.

A model file for KServe's SDK; it runs on `kserve` and, by the alias, on ours.
"""

from __future__ import annotations

import os

import numpy as np
from kserve import Model, ModelServer

ARRAY_BYTES = 450_000_000
OBJECTS = 500_000
"""Strings in a dict, as a vocabulary is: about 50 MB of objects with reference counts."""


class Weights(Model):
    """Reads all of its weights for each prediction."""

    def load(self) -> bool:
        """Make the weights; each page is written once."""
        self._weights = np.ones(ARRAY_BYTES // 8)
        self._words = {f"word number {number}": number for number in range(OBJECTS)}
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):  # noqa: ARG002 (KServe's signature)
        """Answer with a sum over everything, and which process it was."""
        total = float(self._weights.sum()) + sum(self._words.values())
        return {"predictions": [total], "process": os.getpid()}


if __name__ == "__main__":
    model = Weights("weights")
    model.load()
    ModelServer().start([model])
