"""skops: estimators saved as data, with the types that they need named beside it.

skops itself loads what it knows to be harmless; whatever else a file names must be on the same
allow-list that pickles are held to, or the operator trusts the file.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from sampan.runtimes.pickles import Untrusted
from sampan.server.load_failure import LoadFailure


def load_skops(path: Path, allowed: frozenset[str], *, trust: bool) -> Any:
    """Return the object of a .skops file; Untrusted names what is not allowed, LoadFailure else."""
    try:
        import skops.io
    except ImportError as error:
        raise LoadFailure(
            "RuntimeUnavailable",
            f'model file "{path.name}" needs skops, which is not in the environment ({error}); '
            'install skops, or save the model with "joblib.dump"',
        ) from None
    if not zipfile.is_zipfile(path):
        raise LoadFailure(
            "ModelCorrupt",
            f'model file "{path.name}" is no skops file (it is not a ZIP archive); save it with '
            "skops.io.dump, and check that the copy is whole",
        )
    named = skops.io.get_untrusted_types(file=path)
    if not trust:
        dotted = {name.replace(":", ".") for name in allowed}
        unknown = [name for name in named if name not in dotted]
        if unknown:
            raise Untrusted(unknown[0])
    return skops.io.load(path, trusted=named)
