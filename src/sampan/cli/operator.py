"""`sampan operator`: the arguments are the operator's own, read by it."""

from __future__ import annotations


def operator(arguments: list[str]) -> None:
    """Make services of a cluster run: `sampan install` sets it up there."""
    from sampan.app.operator import main

    raise SystemExit(main(arguments))
