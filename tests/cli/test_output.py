"""Pipes get plain text, terminals colours where they are wanted, and a reader may go away."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ESCAPE = b"\x1b["


@pytest.fixture
def seven(here: Path, cli: Callable[..., Any]) -> Iterator[None]:
    """Seven ConfigMaps."""
    texts = [f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{n}}}\n" for n in range(7)]
    (here / "seven.yaml").write_text("---\n".join(texts))
    assert cli("apply", "-f", "seven.yaml").code == 0
    yield
    assert cli("delete", "-f", "seven.yaml").code == 0


def on_terminal(*args: str, **env: str) -> bytes:
    """Return what a command writes to a terminal; NO_COLOR holds only where it is given."""
    from tests.cli.conftest import COMMAND

    mine, theirs = pty.openpty()
    inherited = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "TERM"}}
    child = subprocess.Popen(
        [COMMAND, *args], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**inherited, "TERM": "xterm", **env},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while True:
        try:
            written += (part := os.read(mine, 65536))
        except OSError:  # the other side is closed
            break
        if not part:
            break
    child.wait()
    os.close(mine)
    return written


def test_an_error_is_red_on_a_terminal(here: Path) -> None:
    assert b"\x1b[31merror:\x1b[0m" in on_terminal("get", "nonexistent")


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"NO_COLOR": "1"}, id="NO_COLOR is set"),
        pytest.param({"TERM": "dumb"}, id="the terminal is dumb"),
    ],
)
@pytest.mark.parametrize("args", [("get", "nonexistent"), ("why", "nope"), ("get",), ("--help",)])
def test_no_colour_where_none_is_wanted(
    here: Path, args: tuple[str, ...], env: dict[str, str]
) -> None:
    written = on_terminal(*args, **env)
    assert written
    assert b"\x1b[3" not in written
    assert b"\x1b[1;3" not in written


@pytest.mark.parametrize("args", [("get", "cm"), ("get", "nonexistent"), ("doctor",), ("--help",)])
def test_a_pipe_gets_plain_text(
    seven: None, process: Callable[..., Any], args: tuple[str, ...]
) -> None:
    done = process(*args, NO_COLOR="")
    assert done.stdout + done.stderr
    assert ESCAPE not in done.stdout + done.stderr


def test_a_table_has_its_header_and_a_line_a_row(seven: None, process: Callable[..., Any]) -> None:
    lines = process("get", "cm").stdout.decode().splitlines()
    assert lines[0].split() == ["NAME", "DATA", "AGE"]
    assert [line.split()[0] for line in lines[1:]] == [f"m{n}" for n in range(7)]


@pytest.mark.parametrize("form", ["", "-o=yaml", "-o=json", "-o=name"])
def test_a_reader_that_goes_away_is_no_error(seven: None, form: str) -> None:
    """`sampan get cm | head -1`, with the pipe closed before anything is read."""
    from tests.cli.conftest import COMMAND

    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [COMMAND, "get", "cm", *filter(None, [form])],
            stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_errors_go_beside_the_output(process: Callable[..., Any], here: Path) -> None:
    done = process("get", "isvc", "nope", "-o", "json")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: ")


@pytest.mark.parametrize("args", [("version",), ("get", "ns")], ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "told"),
    [
        pytest.param(">/dev/full", "No space left on device", id="the disk is full"),
        pytest.param(">&-", "standard output is closed", id="the output is closed"),
    ],
)
def test_what_cannot_be_written_is_an_error_of_the_system_in_one_line(
    here: Path, args: tuple[str, ...], redirection: str, told: str
) -> None:
    done = _in_shell(args, redirection)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert told in done.stderr


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_an_error_that_nobody_hears_keeps_its_exit_code(here: Path, redirection: str) -> None:
    assert _in_shell(("get", "nonexistent"), redirection).returncode == 1


def _in_shell(args: tuple[str, ...], redirection: str) -> subprocess.CompletedProcess[str]:
    from tests.cli.conftest import COMMAND

    command = f'exec "$0" "$@" {redirection}'
    return subprocess.run(
        ["/bin/sh", "-c", command, COMMAND, *args], capture_output=True, text=True, check=False
    )
