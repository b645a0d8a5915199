"""A real Sampan for tests: the command, the daemon, Envoy and model servers, in a state folder of
its own. Environments and downloads come from the user's shared cache, so that they are built once.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

KUBECTL = shutil.which("kubectl")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Sampan:
    """One installation, driven as a person drives it."""

    home: Path
    port: int = field(default_factory=free_port)
    extra_env: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "KUBECONFIG": str(self.home / "kubeconfig"),
            "NO_COLOR": "1",
            **self.extra_env,
        }

    @property
    def state(self) -> Path:
        return self.home / "state" / "sampan"

    @property
    def daemon(self) -> dict[str, Any]:
        return json.loads((self.state / "daemon.json").read_text())

    def cli(self, *args: str, stdin: str = "", check: bool = True, timeout: float = 120) -> str:
        done = self.run(*args, stdin=stdin, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(
                f"sampan {' '.join(args)}: {done.returncode}\n{done.stderr}{done.stdout}"
            )
        return done.stdout

    def run(
        self, *args: str, stdin: str = "", timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).parent / "sampan"), *args],
            input=stdin,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        if KUBECTL is None:
            pytest.skip("kubectl is not on this machine")
        done = subprocess.run(
            [KUBECTL, "--context", "sampan", *args],
            input=stdin,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"kubectl {' '.join(args)}: {done.returncode}\n{done.stderr}{done.stdout}"
            )
        return done.stdout + (done.stderr if not check else "")

    def up(self) -> None:
        self.cli("up", "--port", str(self.port))

    def down(self) -> None:
        self.cli("down", check=False)

    def apply(self, text: str) -> str:
        return self.cli("apply", "-f", "-", stdin=text)

    def api(self, path: str) -> Any:
        """Return what the API server answers to a GET."""
        daemon = self.daemon
        request = urllib.request.Request(
            f"http://{daemon['host']}:{daemon['port']}{path}",
            headers={"Authorization": f"Bearer {daemon['token']}"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read())

    def why(self, name: str) -> dict[str, Any]:
        return json.loads(self.run("why", name, "-o", "json").stdout)

    def wait_for(
        self, name: str, true: Callable[[dict[str, Any]], bool], seconds: float = 60
    ) -> dict[str, Any]:
        """Ask `why` until something is true of it; fail with the last answer."""
        deadline = time.monotonic() + seconds
        told: dict[str, Any] = {}
        while time.monotonic() < deadline:
            told = self.why(name)
            if true(told):
                return told
            time.sleep(0.1)
        raise AssertionError(f"{name}: after {seconds} s: {json.dumps(told, indent=2)}")

    def wait_ready(self, name: str, seconds: float = 120) -> dict[str, Any]:
        return self.wait_for(name, lambda told: bool(told["ready"]), seconds)

    def predict(self, name: str, body: Any, path: str = "") -> tuple[int, Any]:
        """Send a request through the gateway; returns status and parsed body."""
        target = path or f"/v1/models/{name}:predict"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/serving/default/{name}{target}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")


def processes_of(home: Path) -> list[int]:
    """Return every process that names this installation's folders: in its environment, arguments,
    open files or working folder (a zygote is known by its log alone).
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if state != "Z" and _names(entry, str(home)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _names(process: Path, home: str) -> bool:
    said = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    if home.encode() in said or str((process / "cwd").readlink()).startswith(home):
        return True
    for handle in (process / "fd").iterdir():
        try:
            if str(handle.readlink()).startswith(home):
                return True
        except OSError:
            continue  # closed meanwhile
    return False


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the iris classifier of the tutorial."""
    import joblib
    from sklearn import datasets, svm

    folder = tmp_path_factory.mktemp("iris")
    data = datasets.load_iris()
    joblib.dump(svm.SVC(gamma="scale").fit(data.data, data.target), folder / "model.joblib")
    return folder


@pytest.fixture(scope="module")
def operator() -> dict[str, str]:
    """Environment variables for the Sampan of a module; a module sets its own."""
    return {}


@pytest.fixture(scope="module")
def sampan(tmp_path_factory: pytest.TempPathFactory, operator: dict[str, str]) -> Iterator[Sampan]:
    """A Sampan that is up; nothing of it may be left afterwards."""
    installation = Sampan(tmp_path_factory.mktemp("sampan"), extra_env=operator)
    installation.up()
    yield installation
    installation.down()
    assert processes_of(installation.home) == []


@pytest.fixture
def make_sampan() -> Iterator[Callable[..., Sampan]]:
    """Make installations that are not up yet; nothing of any may be left afterwards.

    Their folders have short names: the path of a socket may have 103 bytes.
    """
    made: list[Sampan] = []

    def make(**settings: Any) -> Sampan:
        made.append(Sampan(Path(tempfile.mkdtemp(prefix="sampan-test-")), **settings))
        return made[-1]

    yield make
    for installation in made:
        installation.down()
    assert [pid for one in made for pid in processes_of(one.home)] == []
    for installation in made:
        shutil.rmtree(installation.home)


@pytest.fixture
def living() -> Callable[[Path], list[int]]:
    return processes_of


def service_yaml(name: str, uri: Path | str, extra: str = "") -> str:
    return f"""
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
spec:
  predictor:
    model:
      modelFormat:
        name: sklearn
      storageUri: {uri}
{extra}"""


@pytest.fixture(scope="session")
def isvc() -> Callable[..., str]:
    return service_yaml
