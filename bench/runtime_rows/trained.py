"""The models of the tabular rows, made by the examples' own scripts, and our server with them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from functools import cache
from pathlib import Path

from bench.peers import find_uv
from bench.servers import Command
from bench.setting import Setting

from sampan.machinery.clock import SystemClock
from sampan.platforms.local.environments import EnvironmentCache, current_interpreter
from sampan.runtimes import get_runtime

EXAMPLES = {
    "xgboost": "03-xgboost-iris",
    "lightgbm": "04-lightgbm-iris",
    "pmml": "07-pmml-iris",
    "mlflow": "08-mlflow-iris",
    "tensorflow": "09-tensorflow",
}


def model_folder(setting: Setting, name: str) -> Path:
    """Return the folder of a format's iris model, trained once."""
    example = Path(__file__).parents[2] / "examples" / EXAMPLES[name]
    work = setting.cache / f"trained-{name}"
    if not (work / "complete").exists():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        shutil.copy(example / "train.py", work)
        command = [find_uv(setting), "run", "--quiet", "train.py"]
        subprocess.run(command, cwd=work, check=True, capture_output=True)
        (work / "complete").touch()
    return work / "model"


def ours(setting: Setting, name: str) -> Command:
    """Return our server with a format's model, in the environment that the platform builds."""
    program = [
        environment(setting, name), "-m", "sampan.app.serve", f"--runtime={name}",
        "--model_name=m", f"--model_dir={model_folder(setting, name)}",
    ]  # fmt: skip
    return lambda ports: [*program, f"--http_port={ports.http}", f"--grpc_port={ports.grpc}"]


@cache
def environment(setting: Setting, name: str) -> str:
    """Return the interpreter of the environment that the platform builds for a runtime."""
    root = setting.cache / "environments"
    environments = EnvironmentCache(root, current_interpreter(), SystemClock())
    return asyncio.run(environments.build(get_runtime(name).requirements))
