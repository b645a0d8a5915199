"""How one run of a replica is started: its variables, probes, ports, and the zygote to ask.

What becomes of it afterwards is `replica`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sampan.machinery.clock import Clock
from sampan.plan.observed import Exit
from sampan.plan.types import ServiceKey
from sampan.platforms.local import identity, ready_word, zygote_child
from sampan.platforms.local.backoff import BackOff
from sampan.platforms.local.expansion import expand_command
from sampan.platforms.local.logs import LogStore
from sampan.platforms.local.memory import OomWatch
from sampan.platforms.local.ports import PortPool, is_free
from sampan.platforms.local.probes import Probe, ProbeKind, make_probe
from sampan.platforms.local.process import ProcessSpec
from sampan.platforms.local.records import Record, Records
from sampan.platforms.local.zygote import ZygotePool
from sampan.platforms.local.zygote_connection import Connection, Fork, ZygoteFailed

_LOG = logging.getLogger(__name__)

LAST_LINES = 20
"""How many lines of a log are told with an end."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every replica of a launcher shares."""

    records: Records
    logs: LogStore
    ports: PortPool
    zygotes: ZygotePool
    memory: OomWatch
    clock: Clock
    back_off: BackOff
    on_change: Callable[[ServiceKey], None]

    def folder(self, record: Record) -> Path:
        """Return a replica's folder of records."""
        return self.records.folder(record.state.spec.replica)


class Stopped(ZygoteFailed):
    """The replica was stopped while it waited for something."""


def make_env(spec: ProcessSpec, uid: str, folder: Path) -> Mapping[str, str]:
    """Return the variables of a run, not yet expanded."""
    termination = str(folder / zygote_child.TERMINATION).replace("$", "$$")
    own = {identity.MARKER: uid, zygote_child.TERMINATION_VARIABLE: termination}
    if ready_word.can_hear(folder):
        own[ready_word.VARIABLE] = str(folder / ready_word.SOCKET).replace("$", "$$")
    return {**spec.env, **own}


def make_probes(spec: ProcessSpec) -> Mapping[ProbeKind, Probe]:
    """Return the probes of a replica; raise BadProbe. Pure."""
    specs = {
        ProbeKind.STARTUP: spec.startup,
        ProbeKind.READINESS: spec.readiness,
        ProbeKind.LIVENESS: spec.liveness,
    }
    return {kind: make_probe(probe) for kind, probe in specs.items() if probe is not None}


def take_ports(spec: ProcessSpec, before: Mapping[int, int], pool: PortPool) -> dict[int, int]:
    """Keep the ports of the last run that are still free; take others for the rest."""
    ports = dict(before)
    for container_port in spec.ports:
        local = ports.get(container_port)
        if local is None or not is_free(local):
            ports[container_port] = pool.take()
            pool.release(() if local is None else (local,))
    return ports


async def choose_zygote(record: Record, around: Surroundings) -> tuple[Connection, Fork]:
    """Return the zygote to ask, and what to ask of it; raise ZygoteFailed."""
    spec, zygotes = record.state.spec, around.zygotes
    if spec.zygote is None:
        return await zygotes.get(None, {}), make_fork(record, around, spec.argv)
    try:
        connection = await zygotes.get(spec.zygote, spec.env)
    except ZygoteFailed as error:
        if error.reason != "ThreadsStarted":
            raise
        _LOG.warning("%s: %s; started without a fork, which is slower", spec.replica, error)
        run = (spec.zygote.python, "-P", zygote_child.__file__, "run", spec.zygote.entry)
        return await zygotes.get(None, {}), make_fork(record, around, (*run, *spec.argv))
    return connection, make_fork(record, around, spec.argv, spec.zygote.entry)


def make_fork(record: Record, around: Surroundings, argv: tuple[str, ...], entry: str = "") -> Fork:
    """Return what a zygote is asked for: to call `entry`, else to run a command.

    Raise ExpansionTooLarge.
    """
    spec, folder = record.state.spec, around.folder(record)
    command = expand_command(argv, make_env(spec, record.uid, folder), record.state.ports)
    log = around.logs.path(spec.service, spec.replica)
    return Fork(record.uid, command.argv, command.env, spec.cwd, log, folder, entry)


def make_failed_start(reason: str, message: str, now: float, lines: tuple[str, ...] = ()) -> Exit:
    """Return the exit that stands for a start that failed. Pure."""
    return Exit(
        zygote_child.START_ERROR,
        reason=reason,
        message=message,
        last_lines=lines[-LAST_LINES:],
        started_at=now,
        finished_at=now,
    )
