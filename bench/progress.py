"""Progress goes to standard error, so that standard output stays one JSON object a line."""

from __future__ import annotations

import sys


def note(text: str) -> None:
    """Tell what is going on."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
