"""Sampan under measurement: its commands in a home of the bench's own, with a warm cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import free_port
from bench.setting import Setting

_SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"


@dataclass(frozen=True)
class Home:
    """One `SAMPAN_HOME`, and the command line that works in it."""

    folder: Path
    program: str

    def command(self, *arguments: str) -> list[str]:
        """Return a `sampan` command line."""
        return [self.program, *arguments]

    def environment(self) -> dict[str, str]:
        """Return what the commands need to find this home and no other."""
        return {"SAMPAN_HOME": str(self.folder), "KUBECONFIG": str(self.folder / "kubeconfig")}

    def sampan(self, *arguments: str) -> str:
        """Run a command to its end; return what it printed."""
        ended = subprocess.run(
            self.command(*arguments),
            env={**os.environ, **self.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            words = (ended.stderr or ended.stdout).strip()[-500:]
            raise RuntimeError(f"sampan {' '.join(arguments)} exits {ended.returncode}: {words}")
        return ended.stdout

    def write(self, *objects: dict) -> Path:
        """Write objects as a file that `sampan run` and `apply` read."""
        path = self.folder / "objects.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
        return path


@dataclass(frozen=True)
class Daemon:
    """A daemon that is up, with a client of its API."""

    home: Home
    port: int
    pid: int

    def url(self, name: str) -> str:
        """Return where a service predicts."""
        return predict_url(self.port, name)

    def create(self, service: dict) -> None:
        """Create a service over the API."""
        self._client().request("POST", _SERVICES, body=service)

    def delete(self, name: str) -> None:
        """Delete a service and wait until it is gone."""
        self.home.sampan("delete", "isvc", name)

    def _client(self):
        from sampan.app.paths import paths_under
        from sampan.cli.client import ApiClient
        from sampan.cli.daemon import read_server

        folder = self.home.folder
        server = read_server(paths_under(folder))
        if server is None:
            raise RuntimeError("the daemon is not up any more")
        return ApiClient(server)


def find_home(setting: Setting) -> Home:
    """Return the bench's own home. Its cache stays warm between runs, its state does not.

    What a run that was cut off left serving is ended first.
    """
    folder = setting.cache / "home"
    folder.mkdir(mode=0o700, exist_ok=True)
    home = Home(folder, str(Path(setting.python).with_name("sampan")))
    home.sampan("down")
    shutil.rmtree(folder / "state", ignore_errors=True)
    return home


def predict_url(port: int, name: str) -> str:
    """Return the V1 address of a service behind a gateway."""
    return f"http://127.0.0.1:{port}/serving/default/{name}/v1/models/{name}:predict"


@contextmanager
def daemon_up(home: Home) -> Iterator[Daemon]:
    """Start the daemon; take it down with everything it ran."""
    port = free_port()
    home.sampan("up", "--port", str(port), "--no-kubeconfig")
    try:
        told = json.loads((home.folder / "state" / "daemon.json").read_text())
        yield Daemon(home, port, told["pid"])
    finally:
        home.sampan("down")
        time.sleep(0.2)
