"""A model that computes for one second and keeps the interpreter busy meanwhile.

A model file for KServe's SDK; it runs on `kserve` and, by the alias, on ours.
"""

from __future__ import annotations

import time

from kserve import Model, ModelServer

SECONDS = 1.0


class Slow(Model):
    """Counts until its second is over."""

    def load(self) -> bool:
        """Be ready."""
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):  # noqa: ARG002 (KServe's signature)
        """Answer with how far it came."""
        count, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            count += 1
        return {"predictions": [count]}


if __name__ == "__main__":
    model = Slow("slow")
    model.load()
    ModelServer().start([model])
