"""Processes under measurement: their CPU time and memory from `/proc`, their start, their end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.ask import JSON

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_END_SECONDS = 15  # what no client waits for is drained well before
_REFUSALS = {422, 500}  # what no patience mends; 400, 404 and 503 may pass as a model loads
_GUARD = Path(__file__).with_name("guard.py")


@dataclass(frozen=True)
class Usage:
    """What processes have used: CPU seconds (user and system), and resident bytes now."""

    cpu_seconds: float
    resident: int


def cpu_of_command(command: Sequence[str]) -> float:
    """Return the CPU milliseconds of a command and all it waited for; it must exit 0."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}")
    return 1000 * (used.ru_utime + used.ru_stime)


def usage_of(pids: Sequence[int]) -> Usage:
    """Return the usage of these processes together; one that has ended counts nothing."""
    cpu, resident = 0.0, 0
    for pid in pids:
        with suppress(OSError):
            text = Path(f"/proc/{pid}/stat").read_text()
            fields = text[text.rindex(")") + 2 :].split()
            # After the name: utime and stime are fields 12 and 13, resident pages field 22.
            cpu += (int(fields[11]) + int(fields[12])) / _TICK
            resident += int(fields[21]) * _PAGE
    return Usage(cpu, resident)


def proportional_bytes(pids: Sequence[int]) -> int:
    """Return what processes take of memory, a page that N share counted 1/N for each (PSS)."""
    total = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024


def tree_of(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                text = (entry / "stat").read_text()
                parent = int(text[text.rindex(")") + 2 :].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A process that should answer, and the file that has its words."""

    process: subprocess.Popen[bytes]
    log: Path

    def raise_if_ended(self) -> None:
        """Raise with its last words when it has ended."""
        if self.process.poll() is not None:
            words = self.log.read_text(errors="replace").strip()[-400:]
            code = self.process.returncode
            raise RuntimeError(f"the server exited with {code} before it answered: {words}")


@cache
def _guard() -> subprocess.Popen[str]:
    """Start who ends our processes when we are killed; once, out of reach of a Ctrl-C to us."""
    command = [sys.executable, "-IS", str(_GUARD)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)


def _tell_guard(sign: str, group: int) -> None:
    words = _guard().stdin
    assert words is not None
    words.write(f"{sign}{group}\n")
    words.flush()


@contextmanager
def running(command: Sequence[str], log: Path, **environment: str) -> Iterator[Server]:
    """Run a command in its own group with its words in a log; end it after, and all of its group.

    The group is ended as well when this process is killed meanwhile, whatever the signal.
    """
    _guard()
    with log.open("wb") as words:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        _tell_guard("+", process.pid)
        yield Server(process, log)
    finally:
        process.terminate()  # it alone: a server whose workers end under its hands may hang
        try:
            with suppress(subprocess.TimeoutExpired):  # a peer that hangs at its end is killed
                process.wait(_END_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            _tell_guard("-", process.pid)


@contextmanager
def guarded(group: int) -> Iterator[None]:
    """Have a process group ended as well when this process is killed meanwhile."""
    _guard()
    _tell_guard("+", group)
    try:
        yield
    finally:
        _tell_guard("-", group)


def wait_first_answer(
    url: str,
    body: bytes,
    server: Server | None,
    seconds: float = 120,
    headers: Sequence[tuple[str, str]] = JSON,
) -> bytes:
    """Return the first 200 answer to a POST, asked each 5 ms; raise when the process ends."""
    deadline = time.monotonic() + seconds
    last = "nothing"
    while time.monotonic() < deadline:
        if server is not None:
            server.raise_if_ended()
        try:
            request = urllib.request.Request(url, body, dict(headers))
            with urllib.request.urlopen(request, timeout=10) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            last = f"{error.code} {error.read()[:200]!r}"
            error.close()
            if error.code in _REFUSALS:
                raise RuntimeError(f"{url} answers {last}") from None
        except OSError as error:
            last = str(error)
        time.sleep(0.005)
    raise RuntimeError(f"no answer from {url} in {seconds:g} s; the last was {last}")


def find_command(name: str) -> str | None:
    """Return the path of a program, or None."""
    return shutil.which(name)
