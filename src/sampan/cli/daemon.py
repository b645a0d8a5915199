"""Finding, starting and stopping the daemon of a state folder, from the outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sampan.app.paths import Paths, find_paths
from sampan.cli.client import CONTEXT, ApiClient, Server
from sampan.cli.output import SYSTEM, USAGE, CliError


def read_server(paths: Paths) -> Server | None:
    """Return how to reach the daemon of these paths, or None where none runs."""
    try:
        told = json.loads(paths.daemon_file.read_text())
    except (OSError, ValueError):
        return None
    if not holds_lock(paths):
        return None
    return Server(
        host=told["host"],
        port=told["port"],
        token=told["token"],
        pid=told["pid"],
        gateway_port=told["gatewayPort"],
        authority=told["authority"],
    )


def holds_lock(paths: Paths) -> bool:
    """Tell whether a daemon lives: its lock is held. A pid alone could be a stranger's."""
    import fcntl

    try:
        with paths.lock_file.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def connect() -> ApiClient:
    """Return a client of the running daemon, or of the cluster that `--context` names.

    Raises CliError saying how to start one.
    """
    context = os.environ.get(CONTEXT)
    if context:
        from sampan.cli.cluster import read_cluster

        return ApiClient(read_cluster(context))
    server = read_server(find_paths())
    if server is None:
        raise CliError(
            "no Sampan is running for this user; start one with `sampan up`, "
            "or serve a file in the foreground with `sampan run FILE`",
            SYSTEM,
        )
    return ApiClient(server)


def start(paths: Paths, arguments: list[str], *, attached: bool) -> subprocess.Popen[bytes]:
    """Start a daemon process.

    `attached`: it ends when this process does (its stdin closes), and its state folder with it.
    """
    _make_folders(paths)
    _check_settings(paths)
    log = os.open(paths.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    command = [sys.executable, "-m", "sampan.app.local", "--state", str(paths.state), *arguments]
    if attached:
        command += ["--until-stdin-closes", "--temporary", "--warm"]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours to pass on, in order
        )
    finally:
        os.close(log)


def _make_folders(paths: Paths) -> None:
    try:
        paths.make()
    except OSError as error:
        raise CliError(
            f'the folder "{error.filename or paths.state}" cannot be made: {error.strerror}; make '
            "it writable, or choose another place with SAMPAN_HOME",
            SYSTEM,
        ) from None


def _check_settings(paths: Paths) -> None:
    """Tell at once, and all of it, what is wrong with the settings that the daemon will read."""
    from sampan.app.operator_settings import OperatorSettingsError, read_operator_settings

    try:
        read_operator_settings(paths.settings_file, os.environ)
    except OperatorSettingsError as error:
        raise CliError(str(error), USAGE) from None


def wait_until_up(paths: Paths, process: subprocess.Popen[bytes], seconds: float = 60.0) -> Server:
    """Return the daemon's address once it serves; raise CliError with its last words."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        server = read_server(paths)
        if server is not None and server.pid == process.pid:
            return server
        if process.poll() is not None:
            raise CliError(last_words(paths.log_file), SYSTEM)
        time.sleep(0.01)
    raise CliError(
        f"the daemon did not come up in {seconds:.0f} s; its log: {paths.log_file}", SYSTEM
    )


def stop(pid: int, seconds: float = 60.0, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Ask a daemon to stop everything and wait; returns False if it did not end in time.

    `process`: its handle where it is our own child, which must be reaped to be gone.
    """
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return True
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process is not None:
            process.poll()
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    """Tell whether a process with this id runs. One that its parent has yet to reap does not:
    a container's first process may take its time.
    """
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def last_words(log: Path, lines: int = 1) -> str:
    """Return the last lines of a log that say something."""
    try:
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        said = []
    return "\n".join(said[-lines:]) or f"the daemon ended without a word; its log: {log}"
