"""A service of BentoML against `bentoml serve`: the same class, the same scikit-learn model."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.ask import Ask
from bench.peers import peer_python
from bench.row import Row
from bench.runtime_rows.tabular import ROWS, compare
from bench.servers import Ports
from bench.setting import Setting

from sampan.machinery.clock import SystemClock
from sampan.platforms.local.environments import EnvironmentCache, current_interpreter
from sampan.runtimes import get_runtime

EXAMPLE = Path(__file__).parents[2] / "examples" / "17-bentoml" / "train.py"
PACKAGES = ("scikit-learn==1.9.1", "joblib==1.6.0")
PEER = ("bentoml==1.4.39", *PACKAGES)
PEER_NAME = "bentoml 1.4.39 serve, its defaults: one worker"


def serve(setting: Setting) -> Iterator[Row]:
    """`POST /classify`: rate, memory at rest, time to ready."""
    folder = _project(setting)
    python = _environment(setting)

    def mine(ports: Ports) -> list[str]:
        return [
            python, "-m", "sampan.app.serve", "--runtime=bentoml", "--trust", "--model_name=m",
            f"--model_dir={folder}", f"--http_port={ports.http}", "--grpc_port=0",
        ]  # fmt: skip

    def peer(ports: Ports) -> list[str]:
        program = Path(peer_python(setting, PEER)).with_name("bentoml")
        path = f"PATH={program.parent}:{os.environ['PATH']}"
        return [
            "env", path, "BENTOML_DO_NOT_TRACK=true", str(program), "serve", str(folder),
            "--host", "127.0.0.1", "--port", str(ports.http),
        ]  # fmt: skip

    ask = Ask("/classify", json.dumps({"flowers": ROWS}).encode(), check=_check)
    yield from compare(setting, "bentoml /classify", mine, peer, ask, 3, PEER_NAME)


def _project(setting: Setting) -> Path:
    """Return the folder of the example's project, made once."""
    work = setting.cache / "trained-bentoml"
    if not (work / "complete").exists():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        shutil.copy(EXAMPLE, work)
        command = [setting.python, "train.py"]
        subprocess.run(command, cwd=work, check=True, capture_output=True)
        (work / "complete").touch()
    return work / "model"


def _environment(setting: Setting) -> str:
    """Return the interpreter of the environment that the platform builds, the model's packages in
    it."""
    root = setting.cache / "environments"
    environments = EnvironmentCache(root, current_interpreter(), SystemClock())
    return asyncio.run(environments.build((*get_runtime("bentoml").requirements, *PACKAGES)))


def _check(answer: bytes) -> None:
    if json.loads(answer) != [1, 1]:
        raise RuntimeError(f"wrong prediction {answer[:200]!r}; both flowers are versicolor")
