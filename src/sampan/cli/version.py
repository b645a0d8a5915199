"""`sampan version`: answered in `main` without loading anything; here for `--help`."""

from __future__ import annotations

from sampan import __version__
from sampan.cli.output import say


def version() -> None:
    """Print the version."""
    say(f"sampan {__version__}")
