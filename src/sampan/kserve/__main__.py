"""`python -m sampan.kserve FILE [ARGUMENT...]`: run a KServe model file without kserve installed.

`python -m sampan.kserve --install` makes plain `python FILE` work in this environment, and
`--uninstall` undoes that.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from sampan.kserve import enable, install, uninstall


def main(arguments: list[str]) -> int:
    """Run the file, or write or remove the link; return the exit code."""
    if arguments[:1] == ["--install"]:
        sys.stdout.write(f"import kserve works in this environment now: {install()}\n")
        return 0
    if arguments[:1] == ["--uninstall"]:
        sys.stdout.write(f"removed {uninstall()}\n")
        return 0
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write(f"{(__doc__ or '').strip()}\n")
        return 2
    return run_file(arguments)


def run_file(arguments: list[str]) -> int:
    """Run a file as `python FILE ARGUMENT...` would, with `kserve` importable; return 0.

    What the file raises, SystemExit included, goes to the caller.
    """
    path = Path(arguments[0])
    if not path.is_file():
        sys.stderr.write(f'"{path}" is no file; give the path of your model file\n')
        return 2
    enable()
    sys.argv = list(arguments)
    sys.path.insert(0, str(path.resolve().parent))
    runpy.run_path(str(path), run_name="__main__")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
