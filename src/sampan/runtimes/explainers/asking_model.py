"""What all explainers have in common: whom they ask, and what they pass on to it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from sampan.runtimes.explainers.asking import Asking
from sampan.runtimes.explainers.declaration import Asked
from sampan.server.model import Headers, Model

_DRAWING = Lock()
"""Libraries draw from NumPy's one random state, so their explanations are made one after the
other."""


class AskingModel(Model):
    """A model that explains what another one says."""

    def __init__(self, name: str, asked: Asked, settings: Namespace) -> None:
        super().__init__(name)
        self._asked = asked
        self._settings = settings

    def predict(self, payload: Any, headers: Headers | None = None) -> Any:
        """Hand the request on to the predictor (KServe: an explainer's `:predict`)."""
        with self._asking(headers) as asking:
            return asking.predict(payload)

    def _asking(self, headers: Headers | None) -> Asking:
        """Return what asks the predictor for one request."""
        return Asking(self._asked, self.name, headers)


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Have what NumPy's global state gives be the same each time, and be nobody else's."""
    import numpy as np

    with _DRAWING:
        np.random.seed(seed)
        yield
