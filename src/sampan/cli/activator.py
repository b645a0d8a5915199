"""`sampan activator` and its Envoy: the arguments are theirs, read by them."""

from __future__ import annotations


def activator(arguments: list[str]) -> None:
    """Wake services of a cluster when they are asked: `sampan install` sets it up there."""
    from sampan.app.activator import main

    raise SystemExit(main(arguments))


def activator_envoy(arguments: list[str]) -> None:
    """Be the Envoy of an activator, in a container of its own."""
    from sampan.app.activator_envoy import main

    raise SystemExit(main(arguments))
