"""Rules that compare a service with what it was."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.admission import Mistake
from sampan.api.config import LEGACY_MODES
from sampan.api.inferenceservice.defaults import DEPLOYMENT_MODE
from sampan.api.inferenceservice.implementation import storage_uri
from sampan.api.inferenceservice.review import Review


def keeps_deployment_mode(review: Review) -> Iterator[Mistake]:
    """A service stays in the mode that it was first deployed in."""
    if review.old is None:
        return
    stored = (review.old.get("status") or {}).get("deploymentMode", "")
    mode = LEGACY_MODES.get(stored, stored)
    wanted = review.annotations.get(DEPLOYMENT_MODE)
    if mode and wanted is not None and wanted != mode:
        text = f"update rejected: deploymentMode cannot be changed from '{mode}' to '{wanted}'"
        yield Mistake(f"metadata.annotations.{DEPLOYMENT_MODE}", text)


def renames_predictor_with_its_model(review: Review) -> Iterator[Mistake]:
    """A predictor's name tells variants of a model apart, so it changes with the model only."""
    if review.old is None:
        return
    before = (review.old.get("spec") or {}).get("predictor") or {}
    after = review.predictor
    renamed = before.get("name", "") != after.get("name", "")
    if renamed and storage_uri("predictor", before) == storage_uri("predictor", after):
        text = "predictor.name change requires a model change (e.g. storageUri)"
        yield Mistake("spec.predictor.name", text)
