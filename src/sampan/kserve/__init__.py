"""`import kserve` where KServe's own package is not installed: the same names, from Sampan.

The modules stand in `path/kserve`, a folder that goes to the very end of `sys.path`. A `kserve`
that is installed is therefore always found first, and nothing is patched.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

FOLDER = str(Path(__file__).parent / "path")
"""The folder to put at the end of an import path."""

LATE = str(Path(__file__).parent / "late")
"""The same for PYTHONPATH, whose folders come first: it makes way for an installed `kserve`."""

LINK = "sampan-kserve.pth"
"""The file in an environment's packages that puts it there at each start (`install`)."""


def enable() -> None:
    """Let this process import `kserve`; an installed one goes first. Twice is once."""
    if FOLDER not in sys.path:
        sys.path.append(FOLDER)


def install(packages: Path | None = None) -> Path:
    """Let every start of an environment's Python import `kserve`; return the file that does it.

    `packages` is its folder of packages; default is that of the running Python.
    """
    link = (packages or Path(sysconfig.get_path("purelib"))) / LINK
    link.write_text(FOLDER + "\n")
    return link


def uninstall(packages: Path | None = None) -> Path:
    """Undo `install`; return the file that is gone."""
    link = (packages or Path(sysconfig.get_path("purelib"))) / LINK
    link.unlink(missing_ok=True)
    return link
