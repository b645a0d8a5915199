"""`python -m sampan.app.tritonserver ARGUMENTS`: becomes NVIDIA's own tritonserver, on loopback."""

from __future__ import annotations

import os
import sys

from sampan.app.paths import find_paths
from sampan.runtimes.triton.nvidia import (
    gather_server,
    make_arguments,
    make_environ,
    place_backends,
)


def main() -> None:
    """Become tritonserver; leave with a line that says what is missing."""
    try:
        found = gather_server(os.environ)
        cache = find_paths().cache / "tritonserver"
        backends = place_backends(found.carried, cache) if found.carried else None
        arguments = make_arguments(sys.argv[1:], backends)
    except ValueError as error:
        sys.exit(str(error))
    environ = make_environ(os.environ, found.libraries)
    os.execve(found.program, [found.program, *arguments], environ)  # noqa: S606  # it is the point


if __name__ == "__main__":
    main()
