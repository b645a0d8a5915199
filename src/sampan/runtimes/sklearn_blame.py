"""Says of a request that scikit-learn refused which tensor or feature is at fault. Pure.

scikit-learn speaks of "X" and "array"; a caller knows tensors and features. So what it refused is
read once more as rows of numbers, by the rule of all tabular models, and that rule's words are used
where it finds a fault as well.
"""

from __future__ import annotations

from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.tabular_columns import Columns
from sampan.runtimes.tabular_rows import make_matrix


def make_columns(estimator: Any, *, numeric: bool) -> Columns | None:
    """Return the columns of an estimator of numbers; None where it takes something else."""
    width = getattr(estimator, "n_features_in_", 0)
    if not numeric or not width:
        return None
    names = tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))
    return Columns(width, names if len(names) == width else ())


def blame(payload: Any, error: Exception, columns: Columns | None) -> InvalidInput:
    """Return the error of a refused payload, in words of its tensors and features."""
    told = str(error)
    if columns is None:
        return InvalidInput(told)
    complete = "NaN" not in told and "infinity" not in told
    try:
        make_matrix(payload, Columns(columns.width, columns.names, complete, complete))
    except InvalidInput as better:
        return better
    return InvalidInput(told)
