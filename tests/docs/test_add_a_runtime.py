"""The checklist of a runtime is tried: its toy is added to a copy of the source, and serves."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "checklists" / "add-a-runtime.md"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
NEEDED = ("src", "tools", "pyproject.toml", "tests/architecture")
GENERATED = (
    "tests/architecture/test_generated.py::test_manifests_and_the_image_table_follow_the_runtimes"
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Copy:
    """A copy of the source, which is what its programs import."""

    root: Path

    def follow(self, block: str) -> None:
        """Do what the first line of a block says: a new file, or lines below a line."""
        head, _, text = block.partition("\n")
        if head.startswith("# new file "):
            (self.root / head.removeprefix("# new file ")).write_text(text)
            return
        name, _, line = head.removeprefix("# ").partition(", below: ")
        before = (self.root / name).read_text()
        assert before.count(f"{line}\n") == 1, f'"{line}" is not once in {name}'
        (self.root / name).write_text(before.replace(f"{line}\n", f"{line}\n{text}"))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env={
                **os.environ,
                "PYTHONPATH": str(self.root / "src"),
                "XDG_STATE_HOME": str(self.root / "state"),
                "XDG_CACHE_HOME": str(self.root / "cache"),  # its environments end with it
                "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(CACHE / "uv"),
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def test(self, name: str) -> bool:
        """Return whether a test of the copy passes."""
        done = self.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name)
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        return done.returncode == 0


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    for name in NEEDED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    return Copy(tmp_path)


def test_a_runtime_that_is_added_by_the_checklist_serves(copy: Copy):
    for block in blocks("python"):
        copy.follow(block)
    assert not copy.test(GENERATED), "who forgets to generate is found"
    generated = copy.run(sys.executable, "-m", "sampan.app.generate")
    assert generated.returncode == 0, generated.stderr
    answer_as_the_page_says(copy)


def answer_as_the_page_says(copy: Copy) -> None:
    for name, text in zip(("house.linear", "request.json"), blocks("json"), strict=True):
        (copy.root / name).write_text(text)
    command = blocks("bash")[0].splitlines()[-1].split()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    sampan = str(Path(sys.executable).parent / command[0])
    done = copy.run(sampan, *command[1:], "--port", port)
    assert done.returncode == 0, done.stderr + done.stdout
    said = (done.stderr + done.stdout).splitlines()
    for line in blocks("text")[0].replace("8080", port).splitlines():
        assert line in said
