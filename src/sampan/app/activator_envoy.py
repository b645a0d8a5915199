"""The Envoy of an activator as a process of its own: it waits to be told what to run, and runs it.

Whoever started it (a kubelet) starts it again when it ends.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from sampan.gateway.envoy import LOG
from sampan.gateway.envoy_beside import LOOK_SECONDS, become, read_command
from sampan.gateway.folder import folder_of


def main(argv: list[str] | None = None) -> int:
    """Become Envoy as soon as it is known how; return 3 where it cannot be started."""
    folder = folder_of(make_parser().parse_args(sys.argv[1:] if argv is None else argv).folder)
    while (command := read_command(folder)) is None:
        time.sleep(LOOK_SECONDS)
    with suppress(PermissionError):  # a container's first process has a session already
        os.setsid()
    try:
        become(folder, command, folder.root / LOG)
    except OSError as error:
        sys.stderr.write(f'Envoy cannot be started as "{command[0]}": {error}\n')
    return 3


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    about = "Be the Envoy of an activator: it says in the folder what is to be run."
    parser = argparse.ArgumentParser(
        "sampan activator-envoy", allow_abbrev=False, description=about
    )
    text = "the folder that it shares with the activator"
    parser.add_argument("--folder", type=Path, default=Path("/gateway"), help=text)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
