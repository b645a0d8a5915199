"""`sampan agent`: the sidecar of a pod. Its arguments are KServe's agent's."""

from __future__ import annotations


def agent(arguments: list[str]) -> None:
    """Stand before a model server: log its requests, batch them, pull its models."""
    from sampan.app.agent import main

    raise SystemExit(main(arguments))
