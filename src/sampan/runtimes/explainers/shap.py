"""Shapley values by SHAP: which share each feature has in what the model says of a row.

Any model that answers each row with a number, or with several, can be explained, for it is only
asked. What a feature is compared with is the background: rows of the training data, as the file
`background.csv` (a line of names, then numbers) or `background.npy` in the explainer's storage.
"""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.declaration import SERVER_REQUIREMENTS
from sampan.runtimes.explainers.asking import Asking
from sampan.runtimes.explainers.declaration import Asked, Explainer
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Headers, Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

KINDS = ("kernel", "permutation")
FILES = ("background.csv", "background.npy")

_DRAWING = Lock()
"""The library draws from one random state, so explanations are made one after the other."""


class ShapExplainer(Model):
    """Explains the predictor's answers, row by row."""

    def __init__(self, name: str, asked: Asked, settings: Namespace) -> None:
        super().__init__(name)
        self._asked = asked
        self._settings = settings
        self._names: list[str] = []
        self._background: Floats | None = None

    def load(self) -> bool:
        """Read the background and import the library, which takes seconds."""
        self._names, self._background = load_background(Path(self._settings.model_dir))
        import shap  # noqa: F401  # for the first request

        logging.getLogger("shap").setLevel(logging.WARNING)  # it tells each step of its arithmetic
        return super().load()

    def predict(self, payload: Any, headers: Headers | None = None) -> Any:
        """Hand the request on to the predictor (KServe: an explainer's `:predict`)."""
        with Asking(self._asked, self.name, headers) as asking:
            return asking.predict(payload)

    def explain(self, payload: Any, headers: Headers | None = None) -> dict[str, Any]:
        """Return `shap_values` (a row each), `base_values`, `predictions` and `feature_names`.

        A base value and the shares of its row add up to the prediction.
        """
        import numpy as np

        background = self._background
        if background is None:
            raise InvalidInput("the explainer has no background yet")
        rows = read_rows(payload, background.shape[1])
        with _DRAWING, Asking(self._asked, self.name, headers) as asking:
            np.random.seed(self._settings.seed)  # what the library draws from
            values, base = self._shares(asking, rows, background)
            predictions = asking(rows)
        return {
            "explanations": {
                "feature_names": self._names,
                "base_values": np.asarray(base).tolist(),
                "shap_values": np.asarray(values).tolist(),
                "predictions": predictions.tolist(),
            }
        }

    def _shares(self, asking: Asking, rows: Floats, background: Floats) -> tuple[Any, Any]:
        import shap

        settings = self._settings
        if settings.explainer_type == "kernel":
            kernel = shap.KernelExplainer(asking, background)
            values = kernel.shap_values(rows, nsamples=settings.nsamples or "auto", silent=True)
            return values, kernel.expected_value
        most = settings.nsamples or 10 * (2 * rows.shape[1] + 1)
        explained = shap.PermutationExplainer(asking, background, seed=settings.seed)(
            rows, max_evals=most, silent=True
        )
        return explained.values, explained.base_values


def load_background(folder: Path) -> tuple[list[str], Floats]:
    """Return the names of the features and the background. Raises LoadFailure."""
    import numpy as np

    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise LoadFailure(
            "ModelMissing",
            f'"{folder}" holds neither "{FILES[0]}" nor "{FILES[1]}"; put rows of the training '
            "data there, and name the folder in STORAGE_URI of the explainer",
        )
    try:
        if path.suffix == ".npy":
            rows, names = np.load(path, allow_pickle=False).astype(float), []
        else:
            names = path.read_text(encoding="utf-8").splitlines()[0].split(",")
            rows = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    except (OSError, ValueError, IndexError) as error:
        raise LoadFailure(
            "ModelCorrupt", f'"{path.name}" is no table of numbers: {error}'
        ) from None
    if rows.ndim != 2 or not rows.size or (names and len(names) != rows.shape[1]):
        raise LoadFailure(
            "ModelCorrupt",
            f'"{path.name}" has shape {list(rows.shape)} and {len(names)} names; it must hold rows '
            "with a number for each name",
        )
    return [n.strip() for n in names] or [f"feature-{i}" for i in range(rows.shape[1])], rows


def read_rows(payload: Any, features: int) -> Floats:
    """Return the rows to explain. Raises InvalidInput."""
    import numpy as np

    instances = payload.get("instances") if isinstance(payload, dict) else None
    try:
        rows = np.asarray(instances, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f'"instances" must be rows of numbers: {error}') from None
    if rows.ndim != 2 or rows.shape[1] != features or not rows.size:
        raise InvalidInput(
            f'"instances" has shape {list(rows.shape)}; send rows of {features} numbers, as the '
            "background has"
        )
    return rows


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--explainer_type", choices=KINDS, default=KINDS[0])
    add("--model_dir", default="/mnt/models", help="the folder of the background")
    add("--nsamples", type=int, default=0, help="how often a row is asked; 0: as the library says")
    add("--seed", type=int, default=0, help="the same rows give the same answer")


EXPLAINER = Explainer(
    name="shap",
    images=("sampan/shap-explainer",),
    requirements=(*SERVER_REQUIREMENTS, "shap>=0.46"),
    package="shap",
    add_arguments=_add_arguments,
    make=ShapExplainer,
    arguments=("--model_dir=/mnt/models",),
)
