"""The first minute: a fresh clone, an empty home, `make demo`; and again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import free_port, processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of what is committed, as a user gets it."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    target = tmp_path_factory.mktemp("clone") / "sampan"
    subprocess.run(["git", "clone", "-q", ROOT, target], check=True)
    return target


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home with nothing in it: no uv, no pip cache, no Sampan."""
    home = tmp_path_factory.mktemp("home")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "UV_", "SAMPAN_"))}
    python = shutil.which("python3.11") or shutil.which("python3") or ""
    return {
        **kept,
        "HOME": str(home),
        "PIP_CACHE_DIR": str(home / "pip"),
        "UV_CACHE_DIR": str(home / "uv"),
        "PYTHON": os.path.realpath(python),
        "SAMPAN_PORT": str(free_port()),
    }


@pytest.mark.parametrize("time", ["the first time", "the second time"])
def test_make_demo_predicts(clone: Path, env: dict[str, str], time: str):
    done = subprocess.run(
        ["make", "demo", f"PORT={env['SAMPAN_PORT']}"],
        cwd=clone,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"ready at http://sklearn-iris.default.localhost:{env['SAMPAN_PORT']}" in done.stdout
    assert '{"predictions": [1, 1]}' in done.stdout
    assert "next: curl" in done.stdout
    assert processes_of(Path(env["HOME"])) == []


def test_make_alone_lists_the_targets(clone: Path, env: dict[str, str]):
    told = subprocess.run(["make"], cwd=clone, env=env, capture_output=True, text=True, check=True)
    for target in ("demo", "test", "check", "bench"):
        assert target in told.stdout
