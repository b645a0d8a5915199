"""A project's models, made of its settings as they lie at the moment."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from sampan.runtimes.mlserver.custom import CustomModel
from sampan.runtimes.mlserver.mlflow import MLflowProjectModel
from sampan.runtimes.mlserver.native import HUGGING_FACE, IMPLEMENTATIONS, MLFLOW, NativeModel
from sampan.runtimes.mlserver.pipelines import PipelineModel
from sampan.runtimes.mlserver.settings import ModelSettings, gather_models
from sampan.runtimes.serving import Order

logger = logging.getLogger("sampan.runtimes.mlserver")


@dataclass(frozen=True, slots=True)
class Project:
    """The folder of `model-settings.json` files that a server serves."""

    order: Order

    def gather(self) -> list[NativeModel | CustomModel]:
        """Return the models, none loaded; LoadFailure tells what is wrong with the settings."""
        return [self._make(settings) for settings in self._settings()]

    def find(self, name: str) -> NativeModel | CustomModel | None:
        """Return one model anew, not loaded, None where no settings name it; LoadFailure."""
        found = (one for one in self._settings() if one.name == name)
        settings = next(found, None)
        return None if settings is None else self._make(settings)

    def _settings(self) -> list[ModelSettings]:
        return gather_models(self.order.folder, os.environ, trust=self.order.trust)

    def _make(self, settings: ModelSettings) -> NativeModel | CustomModel:
        for warning in settings.warnings:
            logger.warning('model "%s": %s', settings.name, warning)
        order = self.order
        if settings.implementation in IMPLEMENTATIONS:
            return NativeModel(settings, trust=order.trust, allowed=order.allowed)
        if settings.implementation == MLFLOW:
            return MLflowProjectModel(settings, trust=order.trust, allowed=order.allowed)
        if settings.implementation == HUGGING_FACE:
            return PipelineModel(settings, order.folder, trust=order.trust)
        return CustomModel(settings, trust=order.trust)
