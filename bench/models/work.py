"""A model whose predictions all cost the same CPU time, about ten milliseconds of plain Python.

A model file for KServe's SDK; it runs on `kserve` and, by the alias, on ours.
"""

from __future__ import annotations

from kserve import Model, ModelServer

LOOPS = 200_000


class Work(Model):
    """Sums numbers."""

    def load(self) -> bool:
        """Be ready."""
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):  # noqa: ARG002 (KServe's signature)
        """Answer with a sum."""
        total = 0
        for number in range(LOOPS):
            total += number
        return {"predictions": [total]}


if __name__ == "__main__":
    model = Work("work")
    model.load()
    ModelServer().start([model])
