"""LIME's arithmetic: what each part of a thing weighs in what a model says near it. Pure.

Ribeiro, Singh and Guestrin, "Why Should I Trust You?" (2016): parts are left out or changed at
random, near ones count more, and a straight line through the answers tells what each part weighs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

RIDGE = 1.0
"""How strongly weights are kept small: what the paper's authors fit with."""


class Fit(NamedTuple):
    """The line for one score: `weights` a part, `intercept`, its value at the thing itself, and
    how much of the answers' variance it tells (`r2`, weighted; 1 is all)."""

    weights: Floats
    intercept: float
    local: float
    r2: float


def make_masks(parts: int, samples: int, seed: int) -> Floats:
    """Return `samples` rows of zeros and ones, the first of ones: which parts stay."""
    import numpy as np

    masks: Floats = np.random.default_rng(seed).integers(0, 2, (samples, parts)).astype(float)
    masks[0] = 1
    return masks


def derive_kernel(distances: Floats, width: float) -> Floats:
    """Return how much each sample counts, by its distance from the thing."""
    import numpy as np

    near: Floats = np.sqrt(np.exp(-(distances**2) / width**2))
    return near


def derive_cosine(masks: Floats) -> Floats:
    """Return the cosine distance of each mask from the one that leaves all."""
    import numpy as np

    left: Floats = 1 - np.sqrt(masks.sum(axis=1) / masks.shape[1])
    return left


def derive_fit(samples: Floats, answers: Floats, near: Floats) -> Fit:
    """Return the line through the answers (one number a sample). The first sample is the thing."""
    import numpy as np

    total = near.sum()
    middle, mean = near @ samples / total, near @ answers / total
    centred, off = samples - middle, answers - mean
    weighted = centred * near[:, None]
    square = weighted.T @ centred + RIDGE * np.eye(samples.shape[1])
    weights: Floats = np.linalg.solve(square, weighted.T @ off)
    intercept = float(mean - middle @ weights)
    wrong, spread = near @ (off - centred @ weights) ** 2, near @ off**2
    still = spread <= 1e-12 * (near @ answers**2)  # rounding alone
    r2 = 1.0 if still else float(1 - wrong / spread)
    return Fit(weights, intercept, float(samples[0] @ weights + intercept), r2)
