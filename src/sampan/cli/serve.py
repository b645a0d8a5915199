"""`sampan serve`: one model server, no platform. Its arguments are the model server's own."""

from __future__ import annotations


def serve(arguments: list[str]) -> None:
    """Serve models: `--model_dir FOLDER`, `FILE.py:CLASS ...`, or a file that serves by itself.

    Further arguments are KServe's (`--model_name`, `--http_port`, ...). A bare `FILE.py` is run as
    `python FILE.py` would run it, with `kserve` importable.
    """
    if arguments and arguments[0].endswith(".py"):
        from sampan.kserve.__main__ import run_file

        raise SystemExit(run_file(arguments))
    from sampan.app.serve import main

    raise SystemExit(main(arguments))
