"""NVIDIA's own tritonserver in the place of ours: where it is on the PATH, or in a package.

The package nvidia-pytriton carries the server, ensembles and the Python backend; a server on the
PATH has the backends that it was installed with.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_PROGRAM = "tritonserver"
_LOOPBACK = ("http", "grpc", "metrics")
_STUB = "triton_python_backend_stub"
_TRUST = "--trust"


@dataclass(frozen=True, slots=True)
class Found:
    """A tritonserver; `carried` is the folder of a package that it lies in, with its backends."""

    program: str
    carried: Path | None = None

    @property
    def libraries(self) -> Path | None:
        """Return where the package keeps the libraries of what it carries."""
        return self.carried and self.carried.parents[1] / "nvidia_pytriton.libs"


def gather_server(environ: Mapping[str, str]) -> Found:
    """Return the tritonserver of the PATH, else the package's; ValueError where there is none."""
    program = shutil.which(_PROGRAM, path=environ.get("PATH", os.defpath))
    if program is not None:
        return Found(program)
    spec = find_spec("pytriton")  # found and not imported
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        carried = Path(folder) / _PROGRAM
        if (carried / "bin" / _PROGRAM).is_file():
            return Found(str(carried / "bin" / _PROGRAM), carried)
    raise ValueError(
        f'no "{_PROGRAM}" is on the PATH, and the package nvidia-pytriton, which carries one, is '
        "not in the environment; install either"
    )


def make_arguments(argv: Sequence[str], backends: Path | None) -> list[str]:
    """Return tritonserver's arguments: all that were given, and what keeps it on this machine.

    Its metrics have a port of their own, which is opened only where it is named. ValueError unless
    the models are trusted: the Python backend runs what is in them.
    """
    given = [word for word in argv if word not in {_TRUST, _PROGRAM}]
    if _TRUST not in argv:
        raise ValueError(
            "NVIDIA's tritonserver runs the code of Python models; if you trust where the models "
            'come from, set the annotation serving.sampan.dev/trust: "true" (or give --trust)'
        )
    names = {word.partition("=")[0] for word in given}
    added = [f"--{part}-address=127.0.0.1" for part in _LOOPBACK]
    if not names & {"--metrics-port", "--allow-metrics"}:
        added.append("--allow-metrics=false")
    if backends is not None:
        added.append(f"--backend-directory={backends}")
    return [*given, *(word for word in added if word.partition("=")[0] not in names)]


def make_environ(environ: Mapping[str, str], libraries: Path | None) -> dict[str, str]:
    """Return the variables by which the Python backend finds this interpreter and its packages."""
    paths = [str(Path(sys.executable).parent), environ.get("PATH", os.defpath)]
    loaded = [
        *([str(libraries)] if libraries else []),
        str(sysconfig.get_config_var("LIBDIR") or ""),
        environ.get("LD_LIBRARY_PATH", ""),
    ]
    return {
        **environ,
        "PATH": os.pathsep.join(paths),
        "LD_LIBRARY_PATH": os.pathsep.join(folder for folder in loaded if folder),
    }


def place_backends(carried: Path, cache: Path) -> Path:
    """Return a folder of links to a package's backends, with the Python backend's own program.

    The package keeps that program once for each version of Python beside the backends, and an
    environment is not written to. ValueError where this version is not among them.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = carried / "python_backend_stubs" / version / _STUB
    if not stub.is_file():
        there = ", ".join(sorted(path.name for path in stub.parents[1].iterdir()))
        raise ValueError(
            f"the package nvidia-pytriton has no Python backend for Python {version}; it has one "
            f"for {there}"
        )
    key = hashlib.sha256(f"{carried}\n{stub.stat().st_mtime_ns}".encode()).hexdigest()[:20]
    placed = cache / key
    if placed.is_dir():
        return placed
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=cache))
    python = made / "python"
    python.mkdir()
    for file in (carried / "backends" / "python").iterdir():
        (python / file.name).symlink_to(file)
    (python / _STUB).unlink(missing_ok=True)
    shutil.copy(stub, python / _STUB)
    (python / _STUB).chmod(0o700)
    try:
        made.rename(placed)
    except OSError:  # another process was quicker
        shutil.rmtree(made)
    return placed
