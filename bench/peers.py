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


def _build(setting: Setting, folder: Path, requirements: tuple[str, ...]) -> None:
    note(f"building the environment of {requirements[0]}")
    shutil.rmtree(folder, ignore_errors=True)
    uv = str(Path(setting.python).with_name("uv"))
    made = [uv, "venv", "--quiet", "--python", setting.python, str(folder)]
    filled = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python")]
    for command in (made, [*filled, *requirements]):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise CannotMeasure(f"the peer cannot be installed: {ended.stderr.strip()[-500:]}")
    (folder / "complete").touch()
