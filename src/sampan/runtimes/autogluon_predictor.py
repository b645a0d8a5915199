"""What predictors of tables and of time series have in common: a trusted folder, kept in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sampan.server.model import Model


class AutoGluonPredictor(Model):
    """One folder that a predictor of AutoGluon saved; `load` is each kind's own."""

    takes_headers = False

    def __init__(
        self,
        name: str,
        model_dir: str,
        *,
        trust: bool = False,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        del allowed  # the classes of every framework that it may hold are no list
        super().__init__(name)
        self._folder = Path(model_dir)
        self._trust = trust
        self._predictor: Any = None

    def warm_up(self) -> None:
        """Load every model into memory: the first request would else."""
        self._predictor.persist()

    def stop(self) -> None:
        """Let the predictor go."""
        super().stop()
        self._predictor = None
