"""Servers of every tabular format, each in the environment that the platform would build for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sampan.app.paths import find_paths
from sampan.machinery.clock import SystemClock
from sampan.platforms.local.environments import EnvironmentCache, current_interpreter
from sampan.runtimes import get_runtime

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "sklearn": "01-sklearn-iris",
    "xgboost": "03-xgboost-iris",
    "lightgbm": "04-lightgbm-iris",
    "catboost": "05-catboost-titanic",
    "pmml": "07-pmml-iris",
    "mlflow": "08-mlflow-iris",
}


@dataclass(frozen=True)
class Serving:
    """A server that answers: its port, and its process."""

    port: int
    process: subprocess.Popen[bytes]

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Return status and body of a GET, or of a POST where there is a body."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"content-type": "application/json", **headers}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, given)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


def engine_python(runtime: str) -> str:
    """Return the interpreter of a runtime's environment, built by the platform's own builder."""
    cache = EnvironmentCache(
        find_paths().cache / "environments", current_interpreter(), SystemClock()
    )
    return asyncio.run(cache.build(get_runtime(runtime).requirements))


def make_model(runtime: str, folder: Path) -> Path:
    """Make the example's model of a format as its README says, in a folder; return the model's."""
    work = folder / runtime
    shutil.copytree(ROOT / "examples" / EXAMPLES[runtime], work, dirs_exist_ok=True)
    shutil.rmtree(work / "model", ignore_errors=True)
    script = work / "train.py"
    needs = script.read_text().startswith("# /// script")
    uv = [str(Path(sys.executable).with_name("uv")), "run", "--quiet", script.name]
    command = uv if needs else [sys.executable, script.name]
    subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=240)
    return work / "model"


@contextlib.contextmanager
def serving(runtime: str, model: Path, *arguments: str, **environment: str) -> Iterator[Serving]:
    """Start a server, wait until it is ready, and end it after."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        engine_python(runtime), "-m", "sampan.app.serve", f"--runtime={runtime}",
        "--model_name=m", f"--model_dir={model}", f"--http_port={port}", "--grpc_port=0",
        *arguments,
    ]  # fmt: skip
    log = model.parent / f"{runtime}-{port}.log"
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, stdout=words, stderr=words, env={**os.environ, **environment}
        )
    server = Serving(port, process)
    try:
        deadline = time.monotonic() + 90
        while not _is_ready(server):
            words_so_far = log.read_text(errors="replace")[-2000:]
            assert process.poll() is None, words_so_far
            assert time.monotonic() < deadline, words_so_far
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def _is_ready(server: Serving) -> bool:
    try:
        return server.ask("/v2/health/ready")[0] == 200
    except OSError:
        return False
