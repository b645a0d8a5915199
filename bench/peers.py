"""The peers: each in an environment of its own, built once by uv and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from bench.progress import note
from bench.setting import CannotMeasure, Setting

KSERVE = ("kserve==0.21.0", "scikit-learn==1.9.1", "joblib==1.6.0")
"""Its sklearn server is not published as a package: `peer_sklearn.py` stands for it."""

PEER_SKLEARN = Path(__file__).with_name("peer_sklearn.py")
PEER_NAME = "kserve 0.21.0 ModelServer with a sklearn Model (bench/peer_sklearn.py)"


def peer_python(setting: Setting, requirements: tuple[str, ...] = KSERVE) -> str:
    """Return the interpreter of an environment with these packages."""
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:12]
    folder = setting.cache / f"{requirements[0].replace('==', '-')}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _build(setting, folder, requirements)
    return str(python)


def peer_server(setting: Setting, model: Path, port: int, grpc_port: int) -> list[str]:
    """Return the command line of KServe's server with the sklearn model."""
    return [
        peer_python(setting),
        str(PEER_SKLEARN),
        f"--model_dir={model}",
        "--model_name=iris",
        f"--http_port={port}",
        f"--grpc_port={grpc_port}",
    ]


def find_uv(setting: Setting) -> str:
    """Return the uv beside our interpreter."""
    return str(Path(setting.python).with_name("uv"))


def fill(setting: Setting, folder: Path, requirements: tuple[str, ...]) -> None:
    """Install packages into an environment, made where there is none, or raise CannotMeasure."""
    uv = find_uv(setting)
    made = [uv, "venv", "--quiet", "--python", setting.python, str(folder)]
    filled = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python")]
    commands = [[*filled, *requirements]] if folder.exists() else [made, [*filled, *requirements]]
    for command in commands:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            words = ended.stderr.strip()[-500:]
            raise CannotMeasure(f"{' '.join(requirements)} cannot be installed: {words}")


def _build(setting: Setting, folder: Path, requirements: tuple[str, ...]) -> None:
    note(f"building the environment of {requirements[0]}")
    shutil.rmtree(folder, ignore_errors=True)
    fill(setting, folder, requirements)
    (folder / "complete").touch()
