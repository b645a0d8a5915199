"""Every command of the documentation is run, page by page, with a real Sampan."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PORTS = ("8080", "9090", "9000", "6443")
"""The ports that pages speak of; each page is run with free ones in their place."""
PATIENCE = 60.0

WRAPPER = """#!/bin/sh
# The command, with this page's port where none is given.
case "$1" in
  up|run|doctor)
    case " $* " in *" --port "*) ;; *) verb=$1; shift; set -- "$verb" --port {port} "$@" ;; esac ;;
esac
exec {sampan} "$@"
"""


class Reader:
    """A person who follows a page in a folder of their own."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder / "work"
        self.home = folder / "home"
        self.background: list[subprocess.Popen[str]] = []
        self.ports = {port: str(free_port()) for port in PORTS}
        shutil.copytree(ROOT / "examples", self.folder / "examples")
        self.model = model
        wrapper = folder / "bin" / "sampan"
        wrapper.parent.mkdir()
        wrapper.write_text(WRAPPER.format(port=self.ports["8080"], sampan=BIN / "sampan"))
        wrapper.chmod(0o755)
        self.env = {
            **os.environ,
            "PATH": f"{wrapper.parent}:{BIN}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "KUBECONFIG": str(self.home / "kubeconfig"),
            "NO_COLOR": "1",
        }

    def prepare(self, needs: set[str]) -> None:
        """Make what the page takes for granted."""
        assert needs <= {"up", "model"}, needs
        if "model" in needs:
            shutil.copytree(self.model, self.folder / "model")
        if "up" in needs:
            assert self.shell("sampan up").returncode == 0

    def shell(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(text)],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, text: str, output: Any = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", self.here(text)],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def here(self, text: str) -> str:
        """Return text with the ports of this run."""
        for port, mine in self.ports.items():
            text = re.sub(rf"\b{port}\b", mine, text)
        return text

    def leave(self) -> None:
        """End what the page left running."""
        for process in self.background:
            interrupt(process, signal.SIGTERM)
        subprocess.run(
            [str(BIN / "sampan"), "down"], env=self.env, capture_output=True, check=False
        )

    # -- blocks ------------------------------------------------------------------------------

    def follow(self, page: Any) -> None:
        blocks = page.blocks
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            wanted = following.text if following and following.language == "text" else ""
            try:
                self.do(block, self.here(wanted))
            except (AssertionError, subprocess.TimeoutExpired) as error:
                raise AssertionError(f"{page.name}:{block.line}: {error}") from None

    def do(self, block: Any, wanted: str) -> None:
        verb, _, rest = block.note.partition(" ")
        if verb == "not":
            assert rest.startswith("run, "), f'say why: "{block.note}"'
        elif verb == "file":
            path = self.folder / rest
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.here(block.text))
        elif block.language != "bash":
            assert not block.note, f'"{block.note}" says nothing of a {block.language} block'
        elif verb == "background":
            self.background.append(self.start(block.text))
        elif verb == "until":
            self.watch(block.text, wanted)
        elif verb == "retry":
            self.retry(block.text, wanted)
        else:
            assert verb in {"", "exit"}, f'unknown note "{block.note}"'
            self.check(block.text, wanted, int(rest or 0))

    def check(self, text: str, wanted: str, code: int) -> None:
        done = self.shell(text)
        assert done.returncode == code, f"exit {done.returncode}, not {code}\n{done.stdout}"
        missing = first_missing(wanted, done.stdout)
        assert not missing, f'the output lacks "{missing}"\n{done.stdout}'

    def retry(self, text: str, wanted: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            done = self.shell(text)
            missing = first_missing(wanted, done.stdout)
            if not missing and (wanted or done.returncode == 0):
                return
            assert time.monotonic() < deadline, f'still no "{missing}"\n{done.stdout}'
            time.sleep(0.3)

    def watch(self, text: str, wanted: str) -> None:
        log = self.folder / "foreground.log"
        with log.open("w") as output:
            process = self.start(text, output)
        try:
            self.wait_for(process, log, wanted)
        finally:
            interrupt(process, signal.SIGINT)

    def wait_for(self, process: subprocess.Popen[str], log: Path, wanted: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while missing := first_missing(wanted, log.read_text()):
            ended = process.poll()
            assert ended is None, f"it ended with {ended}\n{log.read_text()}"
            assert time.monotonic() < deadline, f'still no "{missing}"\n{log.read_text()}'
            time.sleep(0.1)


def interrupt(process: subprocess.Popen[str], number: int) -> None:
    """Signal a process's group as a terminal would, and wait for its end."""
    if process.poll() is None:
        os.killpg(process.pid, number)
    process.wait(30)


def first_missing(wanted: str, output: str) -> str:
    """Return the first line that is wanted and does not come in order, or nothing."""
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in filter(None, (" ".join(line.split()) for line in wanted.splitlines())):
        if line == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in line.split("...")))
        if not any(pattern.fullmatch(came) for came in lines):
            return line
    return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the first example's `train.py` makes."""
    example = tmp_path_factory.mktemp("example") / "iris"
    example.mkdir()
    shutil.copy(ROOT / "examples" / "01-sklearn-iris" / "train.py", example)
    subprocess.run([sys.executable, "train.py"], cwd=example, check=True, capture_output=True)
    return example / "model"


@pytest.fixture
def reader(tmp_path: Path, model: Path) -> Iterator[Reader]:
    person = Reader(tmp_path, model)
    yield person
    person.leave()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_commands_of_a_page_do_what_it_says(command_page: Any, reader: Reader):
    if "kubectl " in command_page.text and shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on this machine")
    reader.prepare(command_page.needs)
    reader.follow(command_page)


@pytest.mark.parametrize(
    ("wanted", "output", "missing"),
    [
        pytest.param("a\nb", "x\na\ny\nb\n", "", id="lines between do not count"),
        pytest.param("a\nb", "b\na\n", "b", id="lines come in order"),
        pytest.param("a ... c", "a   b c", "", id="three dots stand for anything"),
        pytest.param("a", "ab", "a", id="a line is a whole line"),
    ],
)
def test_output_is_compared_loosely(wanted: str, output: str, missing: str):
    assert first_missing(wanted, output) == missing
