"""Shapley values by SHAP: which share each feature has in what the model says of a row.

Any model that answers each row with a number, or with several, can be explained by asking it. Of
trees and lines whose file lies in the explainer's storage too, the shares are computed exactly.
What a feature is compared with is the background (`background.py`).
"""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.declaration import SERVER_REQUIREMENTS
from sampan.runtimes.explainers.asking import Asking
from sampan.runtimes.explainers.asking_model import AskingModel, drawing
from sampan.runtimes.explainers.background import load_background, read_rows
from sampan.runtimes.explainers.declaration import Asked, Explainer
from sampan.runtimes.explainers.shap_model import has_model, load_model, select_kind
from sampan.server.model import Headers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

AUTO = "auto"
MODEL_KINDS = ("tree", "linear")
KINDS = (AUTO, *MODEL_KINDS, "kernel", "permutation")
"""`auto` looks at the model, where one lies beside the background: else it is asked (`kernel`)."""

logger = logging.getLogger("sampan.explain")


class ShapExplainer(AskingModel):
    """Explains the predictor's answers, row by row."""

    def __init__(self, name: str, asked: Asked, settings: Namespace) -> None:
        super().__init__(name, asked, settings)
        self._names: list[str] = []
        self._background: Floats | None = None
        self._kind = settings.explainer_type
        self._model: Any = None

    def load(self) -> bool:
        """Read background and model, and import the library, which takes seconds."""
        folder = Path(self._settings.model_dir)
        self._names, self._background = load_background(folder)
        import shap  # noqa: F401  # for the first request

        logging.getLogger("shap").setLevel(logging.WARNING)  # it tells each step of its arithmetic
        if self._kind in MODEL_KINDS or (self._kind == AUTO and has_model(folder)):
            self._model = load_model(folder)
        if self._kind == AUTO:
            self._kind = select_kind(self._model)
        logger.info('"%s" is explained by "%s"', self.name, self._kind)
        return super().load()

    def explain(self, payload: Any, headers: Headers | None = None) -> dict[str, Any]:
        """Return `shap_values` (a row each), `base_values`, `predictions` and `feature_names`.

        A base value and the shares of its row add up to what `explains` says: `prediction`, or
        `raw`, what a model of classes says before it becomes a probability or a class.
        """
        import numpy as np

        background = self._background
        if background is None:
            raise InvalidInput("the explainer has no background yet")
        rows = read_rows(payload, background.shape[1])
        with drawing(self._settings.seed), self._asking(headers) as asking:
            values, base = (np.asarray(one) for one in self._shares(asking, rows, background))
            predictions = asking(rows)
        return {
            "explanations": {
                "feature_names": self._names,
                "base_values": base.tolist(),
                "shap_values": values.tolist(),
                "predictions": predictions.tolist(),
                "explains": "prediction" if adds_up(values, base, predictions) else "raw",
                "explainer_type": self._kind,
            }
        }

    def _shares(self, asking: Asking, rows: Floats, background: Floats) -> tuple[Any, Any]:
        import shap

        settings = self._settings
        if self._kind in MODEL_KINDS:
            make = shap.TreeExplainer if self._kind == "tree" else shap.LinearExplainer
            known = make(self._model, background)
            # The sum is checked by `adds_up`, against the predictor itself.
            told = {"check_additivity": False} if self._kind == "tree" else {}
            return known.shap_values(rows, **told), known.expected_value
        if self._kind == "kernel":
            kernel = shap.KernelExplainer(asking, background)
            values = kernel.shap_values(rows, nsamples=settings.nsamples or "auto", silent=True)
            return values, kernel.expected_value
        most = settings.nsamples or 10 * (2 * rows.shape[1] + 1)
        explained = shap.PermutationExplainer(asking, background, seed=settings.seed)(
            rows, max_evals=most, silent=True
        )
        return explained.values, explained.base_values


def adds_up(values: Any, base: Any, predictions: Any) -> bool:
    """Tell whether base values and shares (second axis: features) are the predictions."""
    import numpy as np

    sums = base + values.sum(axis=1)
    return bool(
        sums.size == predictions.size
        and np.allclose(sums.ravel(), predictions.ravel(), rtol=1e-3, atol=1e-4)
    )


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--explainer_type", choices=KINDS, default=KINDS[0])
    add("--model_dir", default="/mnt/models", help="the folder of background and model")
    add("--nsamples", type=int, default=0, help="how often a row is asked; 0: as the library says")
    add("--seed", type=int, default=0, help="the same rows give the same answer")


EXPLAINER = Explainer(
    name="shap",
    images=("sampan/shap-explainer",),
    requirements=(
        *SERVER_REQUIREMENTS,
        "shap>=0.49",
        "scikit-learn>=1.4",
        "joblib>=1.4",
        "pandas>=2.2",
        "skops>=0.13",
        "xgboost-cpu>=3",
        "lightgbm>=4",
    ),
    package="shap",
    add_arguments=_add_arguments,
    make=ShapExplainer,
    arguments=("--model_dir=/mnt/models",),
)
