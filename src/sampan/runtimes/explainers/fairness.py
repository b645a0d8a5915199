"""Fairness: whether a model favours one group of rows over another. KServe's AIF360 explainer.

Its arguments, request (`instances`, and `outputs` where the predictions are known already) and
answer are kept. The seven metrics are AIF360's, computed here: that library had its last release
in April 2024.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.declaration import SERVER_REQUIREMENTS
from sampan.runtimes.explainers.asking_model import AskingModel
from sampan.runtimes.explainers.background import read_rows
from sampan.runtimes.explainers.declaration import Asked, Explainer
from sampan.server.model import Headers, Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Truths = NDArray[np.bool_]

NEIGHBOURS = 5
"""How many rows near a row its prediction is compared with (AIF360's `consistency`)."""

_AT_ONCE = 512  # rows whose distances from all others are in memory


class FairnessExplainer(AskingModel):
    """Measures the predictor, or predictions that are given, on the rows of a request."""

    def explain(self, payload: Any, headers: Headers | None = None) -> dict[str, Any]:
        """Return `predictions` and `metrics` (KServe's names). Raises InvalidInput."""
        settings = self._settings
        rows = read_rows(payload, len(settings.feature_names))
        predictions = read_outputs(payload, len(rows))
        if predictions is None:
            with self._asking(headers) as asking:
                predictions = asking(rows).reshape(len(rows), -1)[:, 0]
        favourable = select_favourable(predictions, settings)
        names = settings.feature_names
        privileged = select_group(rows, names, settings.privileged_groups)
        unprivileged = select_group(rows, names, settings.unprivileged_groups)
        metrics = derive_metrics(rows, favourable, privileged, unprivileged)
        return {"predictions": predictions.tolist(), "metrics": metrics}


def derive_metrics(
    rows: Floats, favourable: Truths, privileged: Truths, unprivileged: Truths
) -> dict[str, Any]:
    """Return the metrics by KServe's names. A rate of an empty group, and a ratio to 0, is null.

    `disparate_impact` and `statistical_parity_difference` compare the rates of the favourable
    label in both groups: their ratio (1 is fair) and difference (0 is fair), unprivileged first.
    """
    rate, less = _rate(favourable, privileged), _rate(favourable, unprivileged)
    impact = less / rate if less is not None and rate else None
    difference = less - rate if less is not None and rate is not None else None
    return {
        "base_rate": float(favourable.mean()),
        "consistency": [derive_consistency(rows, favourable)],
        "disparate_impact": impact,
        "num_instances": float(len(rows)),
        "num_negatives": float((~favourable).sum()),
        "num_positives": float(favourable.sum()),
        "statistical_parity_difference": difference,
    }


def derive_consistency(rows: Floats, favourable: Truths) -> float:
    """Return how alike near rows are treated: 1 less the mean distance to the five nearest.

    A row is among its own neighbours, as with AIF360 (Zemel and others, 2013).
    """
    import numpy as np

    said, squares = favourable.astype(float), (rows**2).sum(axis=1)
    nearest, off = min(NEIGHBOURS, len(rows)), 0.0
    for at in range(0, len(rows), _AT_ONCE):
        part = rows[at : at + _AT_ONCE]
        # |a - b| squared less |a| squared, which is the same for all b
        near = np.argsort(squares - 2 * part @ rows.T, axis=1, kind="stable")[:, :nearest]
        off += float(np.abs(said[at : at + _AT_ONCE] - said[near].mean(axis=1)).sum())
    return 1 - off / len(rows)


def select_group(rows: Floats, names: list[str], groups: list[dict[str, float]]) -> Truths:
    """Return which rows are of any of the groups: all values of one are the row's."""
    import numpy as np

    found = np.zeros(len(rows), dtype=bool)
    for group in groups:
        found |= np.all([rows[:, names.index(name)] == value for name, value in group.items()], 0)
    return found


def select_favourable(predictions: Floats, settings: Namespace) -> Truths:
    """Return which predictions are the favourable label. InvalidInput for one that is neither."""
    import numpy as np

    good, bad = settings.favorable_label, settings.unfavorable_label
    other = predictions[~np.isin(predictions, (good, bad))]
    if other.size:
        raise InvalidInput(
            f"a prediction is {other[0]:g}, and the labels are {good:g} and {bad:g}; set "
            "--favorable_label and --unfavorable_label to what the model answers"
        )
    chosen: Truths = predictions == good
    return chosen


def read_outputs(payload: Any, count: int) -> Floats | None:
    """Return the predictions that a request brings, None where it has none. InvalidInput."""
    import numpy as np

    if not isinstance(payload, dict) or payload.get("outputs") is None:
        return None
    try:
        outputs = np.asarray(payload["outputs"], dtype=float).ravel()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f'"outputs" must be numbers: {error}') from None
    if len(outputs) != count:
        raise InvalidInput(f'"outputs" holds {len(outputs)} to {count} instances; send one each')
    return outputs


def _rate(favourable: Truths, group: Truths) -> float | None:
    return float(favourable[group].mean()) if group.any() else None


def _group(text: str) -> dict[str, float]:
    try:
        group = {str(name): float(value) for name, value in json.loads(text).items()}
    except (AttributeError, TypeError, ValueError):
        group = {}
    if not group:
        raise ArgumentTypeError(f'"{text}" is no group; write \'{{"age": 1}}\'')
    return group


def _make(name: str, asked: Asked, settings: Namespace) -> Model:
    """Return the explainer; ValueError for a group of features that are not named."""
    known = settings.feature_names
    for group in (*settings.privileged_groups, *settings.unprivileged_groups):
        unknown = [feature for feature in group if feature not in known]
        if unknown:
            raise ValueError(
                f'a group names the feature "{unknown[0]}", which is not among --feature_names: '
                + ", ".join(known)
            )
    return FairnessExplainer(name, asked, settings)


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--feature_names", nargs="+", default=["feature-0"], help="names of a row's numbers")
    add("--label_names", nargs="+", default=["label"], help="KServe's; not in the answer")
    add("--favorable_label", type=float, default=1.0, help="the prediction that one hopes for")
    add("--unfavorable_label", type=float, default=0.0, help="the other")
    groups = "as JSON, of values by feature"
    add("--privileged_groups", nargs="+", type=_group, default=[], help=groups)
    add("--unprivileged_groups", nargs="+", type=_group, default=[], help=groups)


EXPLAINER = Explainer(
    name="fairness",
    images=("sampan/fairness-explainer",),
    requirements=SERVER_REQUIREMENTS,
    package="",
    add_arguments=_add_arguments,
    make=_make,
)
