"""Daemons without replicas as processes of their own, and folders for them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.control_plane_rows.stage import playing
from bench.processes import free_port, running
from bench.setting import Setting

FEW, MANY = 100, 1000
_START_SECONDS = 300
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Up:
    """A daemon that serves its API; `cpu` and `seconds` are what its start took."""

    pid: int
    port: int
    token: str
    cpu: float
    seconds: float


def names(count: int) -> list[str]:
    """Return names of services."""
    return [f"iris-{number:04d}" for number in range(count)]


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """Yield a folder with a model in it; its name is short, for the gateway's sockets."""
    with tempfile.TemporaryDirectory(prefix="cp-") as made:
        folder = Path(made)
        (folder / "iris").mkdir()
        (folder / "iris" / "model.joblib").write_bytes(b"never loaded")
        yield folder


@contextmanager
def starting(setting: Setting, folder: Path, *, envoy: bool = False) -> Iterator[Up]:
    """Start a daemon on a folder's state; end it in the end."""
    responder = free_port()
    script = Path(__file__).with_name("responder.py")
    command = [sys.executable, str(script), str(responder)]
    with running(command, setting.cache / "responder.log"):
        daemon = _spawn(folder, responder, envoy=envoy)
        try:
            assert daemon.stdout is not None
            line = daemon.stdout.readline()
            if not line:
                raise RuntimeError(f"the daemon exited with {daemon.wait()}; its words are above")
            told = json.loads(line)
            yield Up(**told)
        finally:
            daemon.terminate()
            try:
                daemon.wait(60)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _spawn(folder: Path, responder: int, *, envoy: bool) -> subprocess.Popen[str]:
    module = "bench.control_plane_rows.daemon"
    command = [sys.executable, "-m", module, str(folder), str(free_port()), str(responder)]
    return subprocess.Popen(
        [*command, "--envoy"] if envoy else command,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'src'}"},
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def crowded(setting: Setting, count: int = MANY) -> Iterator[tuple[Up, Path]]:
    """Start a daemon with Envoy and many services, all of them Ready."""
    from bench.control_plane_rows.client import wait_all_ready

    with fresh_folder() as folder:
        asyncio.run(_fill(folder, count))
        with starting(setting, folder, envoy=True) as daemon:
            asyncio.run(wait_all_ready(daemon, count))
            yield daemon, folder


async def _fill(folder: Path, count: int) -> None:
    async with playing(folder) as stage:
        await stage.fill(folder / "iris", *names(count))
