"""The error of a server that has nothing to serve."""

from __future__ import annotations

from collections.abc import Sequence

from sampan.server.model import Model


class NoModelReady(RuntimeError):
    """None of the models that a server was started with is ready."""

    def __init__(self, models: Sequence[Model], detail: str | None = None) -> None:
        names = ",".join(model.name for model in models)
        words = (
            "Model with name {} is not ready."
            if len(models) == 1
            else ("Models with names {} are not ready.")
        )
        text = words.format(names)
        super().__init__(f"{text} {detail}" if detail else text)
        self.models = models
