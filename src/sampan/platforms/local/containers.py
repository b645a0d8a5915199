"""Starts the containers of one replica, and ends when one of them does.

`python -m sampan.platforms.local.containers` is a replica's process where its pod has several
containers. All are its children, in its process group and with its log: what stops the replica
stops them. One that ends takes the others with it, so that the replica is started again as a whole.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sampan.platforms.local.expansion import PORT_PREFIX, expand_command

MODULE = "sampan.platforms.local.containers"
CONTAINERS = "SAMPAN_CONTAINERS"
"""The variable that holds what to start: a JSON list of `name`, `argv`, `env` and `cwd`."""

_OWN = "SAMPAN_"
_GRACE_SECONDS = 5.0
"""How long the others have to end when one has ended by itself."""
_SIGNALLED = 128


@dataclass(frozen=True, slots=True)
class Container:
    """A container to start, its references replaced."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str


def make_containers(told: Sequence[Mapping[str, Any]], own: Mapping[str, str]) -> list[Container]:
    """Return the containers, with the ports and marks of the replica in their variables. Pure."""
    ports = {int(k.removeprefix(PORT_PREFIX)): int(v) for k, v in own.items() if _is_port(k)}
    handed_on = {k: v for k, v in own.items() if k.startswith(_OWN) and k != CONTAINERS}
    made = []
    for one in told:
        command = expand_command(tuple(one["argv"]), one["env"], ports)
        made.append(Container(one["name"], command.argv, {**command.env, **handed_on}, one["cwd"]))
    return made


def _is_port(name: str) -> bool:
    return name.startswith(PORT_PREFIX)


def run(containers: Sequence[Container]) -> int:
    """Run the containers until one ends or SIGTERM comes; return the exit code of the replica."""
    children: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}
    stopping: list[int] = []

    def stop(number: int, _frame: object) -> None:
        stopping.append(number)
        _signal_all(children, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        for one in containers:
            child = subprocess.Popen(one.argv, env=dict(one.env), cwd=one.cwd)
            children[child.pid] = (one.name, child)
    except OSError as error:
        _say(f'container "{one.name}": "{one.argv[0]}" cannot be started: {error.strerror}')
        _end(children)
        return 127
    if stopping:  # it came while they were being started
        _signal_all(children, stopping[0])
    code = _wait(children)
    if not stopping:
        _end(children)
        return code
    for _, child in list(children.values()):
        child.wait()
    return 0


def _wait(children: dict[int, tuple[str, subprocess.Popen[bytes]]]) -> int:
    """Return the exit code of the first container that ends."""
    pid, status = os.wait()
    name, child = children.pop(pid)
    child.returncode = os.waitstatus_to_exitcode(status)
    code = child.returncode if child.returncode >= 0 else _SIGNALLED - child.returncode
    _say(f'container "{name}" ended with exit code "{code}"')
    return code or 1  # a server must go on: one that has done its work has failed


def _end(children: Mapping[int, tuple[str, subprocess.Popen[bytes]]]) -> None:
    """End what is left, and wait for it."""
    _signal_all(children, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    for _, child in children.values():
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _signal_all(children: Mapping[int, tuple[str, subprocess.Popen[bytes]]], number: int) -> None:
    for _, child in list(children.values()):
        with suppress(ProcessLookupError):
            child.send_signal(number)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> int:
    """Run what the environment says."""
    return run(make_containers(json.loads(os.environ[CONTAINERS]), os.environ))


if __name__ == "__main__":
    sys.exit(main())
