"""Rows of the training data that an explainer compares with, and the rows that it is asked about.

The file is `background.csv` (a line of names, then numbers) or `background.npy` in the explainer's
storage.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InvalidInput
from sampan.server.load_failure import LoadFailure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

FILES = ("background.csv", "background.npy")


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
    if not np.isfinite(rows).all():
        raise InvalidInput('"instances" holds a number that is not finite; send finite numbers')
    return rows
