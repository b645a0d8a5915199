"""`sampan route`: the router of one InferenceGraph, no platform. Its arguments are the router's."""

from __future__ import annotations


def route(arguments: list[str]) -> None:
    """Serve a graph: `--graph-json JSON` (as KServe's router), or `--graph-file FILE`."""
    from sampan.app.route import main

    raise SystemExit(main(arguments))
