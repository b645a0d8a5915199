"""The parts of an image that LIME leaves out and puts back: tiles, or what scikit-image finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Numbers = NDArray[np.int64]

ALGORITHMS = ("quickshift", "slic", "felzenszwalb", "grid")
"""KServe's (AIX360) are scikit-image's three. `grid` cuts tiles, for images of few pixels."""

TILES = 8
"""How many tiles a side `grid` cuts: 64 parts, of which a thousand samples tell enough."""


def prepare_segmentation() -> None:
    """Import scikit-image, which takes a second: before the first request."""
    from skimage import segmentation  # type: ignore[import-not-found]  # noqa: F401  # the explainer's own environment has it


def find_segments(image: Floats, algorithm: str) -> Numbers:
    """Return the number of each pixel's part, from 0 on; `image` is height, width and channels."""
    import numpy as np

    found = make_tiles(*image.shape[:2]) if algorithm == "grid" else _segment(image, algorithm)
    numbers: Numbers = np.unique(found, return_inverse=True)[1].reshape(image.shape[:2])
    return numbers


def make_tiles(height: int, width: int) -> Numbers:
    """Return numbered tiles, at most eight a side and as even as can be."""
    import numpy as np

    down, across = (np.arange(n) * min(n, TILES) // n for n in (height, width))
    tiles: Numbers = down[:, None] * TILES + across[None, :]
    return tiles


def _segment(image: Floats, algorithm: str) -> Numbers:
    """Return scikit-image's parts, with the arguments that AIX360 gives."""
    import numpy as np
    from skimage import segmentation

    low, high = image.min(), image.max()
    scaled = (image - low) / ((high - low) or 1)
    if scaled.shape[2] != 3:
        scaled = np.repeat(scaled.mean(axis=2, keepdims=True), 3, axis=2)
    if algorithm == "quickshift":
        found = segmentation.quickshift(scaled, kernel_size=1, max_dist=200, ratio=0.2)
    elif algorithm == "slic":
        found = segmentation.slic(scaled, start_label=0)
    else:
        found = segmentation.felzenszwalb(scaled)
    numbers: Numbers = found
    return numbers
