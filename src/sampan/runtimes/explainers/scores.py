"""What a predictor says of rows, as scores: a column for each thing that it may say. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


def one_hot(answers: Floats, classes: int) -> Floats:
    """Return a row of scores for each answer: classes become zeros and a one."""
    import numpy as np

    if answers.ndim == 2 and answers.shape[1] > 1:
        return answers
    chosen = answers.ravel().astype(int)
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < classes:
        raise InvalidInput(
            f"class {int(chosen.max())} is outside 0 to {classes - 1}; raise nb_classes of the "
            "explainer"
        )
    rows: Floats = np.eye(classes)[chosen]
    return rows


def make_scores(answers: Floats, classes: int) -> Floats:
    """Return scores, one column for a model of a number; `classes`: 0 where it says no classes.

    A model that says one number a row has one column, unless it is told to be a class of so many.
    """
    if classes:
        return one_hot(answers, classes)
    return answers.reshape(len(answers), -1)
