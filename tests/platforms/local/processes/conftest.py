"""A launcher on a folder of its own, and the certainty that nothing is left of it afterwards."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from sampan.machinery.clock import SystemClock
from sampan.plan.types import ServiceKey
from sampan.platforms.local.backoff import BackOff
from sampan.platforms.local.launcher import Launcher, LauncherOptions
from sampan.platforms.local.process import ProcessSpec, ProcessState

SERVICE = ServiceKey("default", "iris")

PATIENCE = 15.0

Make = Callable[..., ProcessSpec]


def processes_of(folder: Path) -> set[int]:
    """Return the living processes that were started for a state folder."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_bytes().rpartition(b") ")[2][:1]
            links = "".join(str(fd.readlink()) for fd in (entry / "fd").iterdir())
        except OSError:
            continue
        if state not in b"ZX" and (str(folder) in links or os.fsencode(folder) in told):
            found.add(int(entry.name))
    return found


async def _until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until the condition holds, or fail."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        await asyncio.sleep(0.01)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a spec of a replica that runs a command; keywords replace any field."""

    def make_spec(name: str, *argv: str, **fields: object) -> ProcessSpec:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
        given = {
            "service": SERVICE,
            "workload": "iris-predictor",
            "component": "predictor",
            "replica": name,
            "template_hash": "v1-abc",
            "argv": argv,
            "env": {**env, **fields.pop("env", {})},  # type: ignore[dict-item] # a test's own
            "cwd": str(tmp_path),
            "ports": (8080,),
            "http_port": 8080,
            "grace_seconds": 5.0,
        }
        return ProcessSpec(**{**given, **fields})  # type: ignore[arg-type] # a test's own

    return make_spec


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """A state folder of which no process may be left at the end."""
    folder = tmp_path / "state"
    yield folder
    limit = time.monotonic() + 5
    while (left := processes_of(folder)) and time.monotonic() < limit:
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"processes left behind: {left}"


@pytest.fixture
async def launch(state_dir: Path) -> AsyncIterator[Callable[..., Launcher]]:
    """Make launchers on the state folder; all are closed with everything stopped."""
    made: list[Launcher] = []

    def make_launcher(**options: object) -> Launcher:
        on_change = options.pop("on_change", lambda _: None)
        options.setdefault("back_off", BackOff(initial=0.2, cap=1.0))
        options.setdefault("zygote_idle_seconds", 2.0)
        launcher = Launcher(
            state_dir,
            SystemClock(),
            on_change,  # type: ignore[arg-type] # a test's own
            LauncherOptions(**options),  # type: ignore[arg-type] # a test's own
        )
        made.append(launcher)
        return launcher

    yield make_launcher
    for launcher in made:
        await launcher.close(stop_all=True)


@pytest.fixture
async def launcher(launch: Callable[..., Launcher]) -> Launcher:
    """A launcher that has adopted nothing."""
    launcher = launch()
    await launcher.adopt()
    return launcher


@pytest.fixture
def python() -> tuple[str, ...]:
    """The start of a quick Python command; the program follows."""
    return (sys.executable, "-I", "-S", "-u", "-c")


@pytest.fixture
def settled() -> Callable[..., object]:
    """Return the helper that waits for a state of a replica."""

    async def wait(
        launcher: Launcher, replica: str, condition: Callable[[ProcessState], object]
    ) -> ProcessState:
        await _until(lambda: condition(launcher.state(replica)))
        return launcher.state(replica)

    return wait


@pytest.fixture
def until() -> Callable[..., object]:
    """Return the helper that waits for anything."""
    return _until
