"""Generated data: never edited, written by `make generate` from the runtimes and the kinds.

`images.json` is the local platform's image table, `runtimes/*.yaml` the ClusterServingRuntimes that
every platform installs, `crds/*.yaml` the CustomResourceDefinitions for a
cluster. Code does not belong here but for reading these files.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def read_images() -> Any:
    """Return the decoded image table `{"images": [...]}`."""
    return json.loads(files(__name__).joinpath("images.json").read_text())


def read_runtimes() -> tuple[str, ...]:
    """Return the text of each ClusterServingRuntime manifest, by name."""
    folder = files(__name__).joinpath("runtimes")
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return tuple(f.read_text() for f in found)
