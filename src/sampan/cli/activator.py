"""`sampan activator`: the arguments are the activator's own, read by it."""

from __future__ import annotations


def activator(arguments: list[str]) -> None:
    """Wake services of a cluster when they are asked: `sampan install` sets it up there."""
    from sampan.app.activator import main

    raise SystemExit(main(arguments))
