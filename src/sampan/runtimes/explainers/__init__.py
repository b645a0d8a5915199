"""One file an explainer: a Model whose `explain` asks the predictor, and what runs it.

What asks the predictor is `asking.py`, for all of them. Heavy imports happen inside `load()`. An
explainer is no ServingRuntime: it stands for an image of `spec.explainer`. The table below is the
only place that lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.runtimes import resolve

if TYPE_CHECKING:
    from sampan.runtimes.explainers.declaration import Explainer

EXPLAINERS = {
    "anchors": "sampan.runtimes.explainers.anchors:EXPLAINER",
    "art": "sampan.runtimes.explainers.art:EXPLAINER",
    "captum": "sampan.runtimes.explainers.captum:EXPLAINER",
    "fairness": "sampan.runtimes.explainers.fairness:EXPLAINER",
    "lime": "sampan.runtimes.explainers.lime:EXPLAINER",
    "shap": "sampan.runtimes.explainers.shap:EXPLAINER",
}
"""Explainer by its short name (`--explainer`): where its declaration is."""


def get_explainer(name: str) -> Explainer:
    """Return an explainer's declaration; KeyError for one that is not in the table."""
    explainer: Explainer = resolve(EXPLAINERS[name])
    return explainer


def all_explainers() -> tuple[Explainer, ...]:
    """Return every declaration, in the order of the table."""
    return tuple(get_explainer(name) for name in EXPLAINERS)
