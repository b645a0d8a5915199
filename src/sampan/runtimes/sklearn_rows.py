"""Which scikit-learn estimators answer a row with the same bits whatever rows stand beside it.

Measured, not assumed: those below were predicted whole and in pieces, and every bit was equal.
What goes through a matrix product is not among them (linear models, PCA, neural networks, naive
Bayes): BLAS adds up in another order for another number of rows. Unknown is no.
"""

from __future__ import annotations

from typing import Any

_TREES = frozenset(
    f"{name}{kind}"
    for name in ("DecisionTree", "ExtraTree", "GradientBoosting", "HistGradientBoosting")
    for kind in ("Classifier", "Regressor")
)
_FORESTS = frozenset(
    f"{name}{kind}"
    for name in ("RandomForest", "ExtraTrees")
    for kind in ("Classifier", "Regressor")
)
_KERNEL_MACHINES = frozenset({"SVC", "NuSVC", "SVR", "NuSVR"})
_PER_VALUE = frozenset(
    {"Binarizer", "MaxAbsScaler", "MinMaxScaler", "RobustScaler", "SimpleImputer", "StandardScaler"}
)


def is_row_wise(estimator: Any) -> bool:
    """Return whether a fitted estimator is known to be row-wise, bit for bit."""
    kind = type(estimator)
    if not kind.__module__.startswith("sklearn."):
        return False  # a class of the user's own, also one that inherits from a known one
    if kind.__name__ == "Pipeline":
        *before, (_, last) = estimator.steps
        return all(_is_per_value(step) for _, step in before) and is_row_wise(last)
    if kind.__name__ in _KERNEL_MACHINES:
        return estimator.kernel in {"linear", "poly", "rbf", "sigmoid"}
    # With several outputs predict_proba answers a list of arrays, one an output.
    if kind.__name__ in _FORESTS:  # threads add up the trees in the order in which they end
        return estimator.n_jobs in {None, 1} and estimator.n_outputs_ == 1
    return kind.__name__ in _TREES and getattr(estimator, "n_outputs_", 1) == 1


def _is_per_value(step: Any) -> bool:
    kind = type(step)
    known = kind.__module__.startswith("sklearn.") and kind.__name__ in _PER_VALUE
    return known or step in (None, "passthrough")
