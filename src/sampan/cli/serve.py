"""`sampan serve`: one model server, no platform. Its arguments are the model server's own."""

from __future__ import annotations


def serve(arguments: list[str]) -> None:
    """Serve one model (`--model_name`, `--model_dir`, ...: KServe's arguments)."""
    from sampan.app.serve import main

    raise SystemExit(main(arguments))
