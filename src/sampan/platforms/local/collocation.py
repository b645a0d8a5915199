"""A replica of several containers: a transformer that is collocated with its predictor. Pure.

KServe, collocation: the container `transformer-container` in the predictor's pod takes the requests
and asks `kserve-container` on loopback. Here both are processes of one replica, started by
`containers`: they share ports and folder, are ready together and end together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sampan.platforms.local.container_paths import FileSystem
from sampan.platforms.local.container_ports import join_ports
from sampan.platforms.local.containers import CONTAINERS, MODULE
from sampan.platforms.local.desired import DesiredWorkload
from sampan.platforms.local.main_container import main_container
from sampan.platforms.local.pod_parts import ports_of
from sampan.platforms.local.process_spec import Machine, Process, make_process


def make_replica_process(workload: DesiredWorkload, replica: str, here: Machine) -> Process:
    """Return the process of a replica, be it of one container or of several."""
    if not workload.beside:
        return make_process(workload, replica, here)
    parts = [
        _as_command(replace(part, beside=(), hosts=workload.hosts))
        for part in (workload, *workload.beside)
    ]
    ports = join_ports([ports_of(part) for part in parts])
    made = tuple(make_process(part, replica, _seen_by(part, here), ports) for part in parts)
    first = made[0]
    spec = replace(
        first.spec,
        argv=(here.own_python, "-P", "-m", MODULE),  # -P: nothing is imported from the folder
        zygote=None,
        beside=tuple(one.spec.readiness for one in made[1:] if one.spec.readiness),
        memory_limit=0,  # it is told that a limit is not held here
    )
    return Process(spec, first.entries, _join_files(made), first.pod, made)


def make_containers_env(process: Process, envs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the environment of the process that starts the containers; `envs` are theirs.

    What it is told is not expanded on its way, so its dollars are doubled.
    """
    told = [
        {"name": one.spec.container, "argv": one.spec.argv, "env": env, "cwd": one.spec.cwd}
        for one, env in zip(process.containers, envs, strict=True)
    ]
    return {**envs[0], CONTAINERS: json.dumps(told).replace("$", "$$")}


def _as_command(part: DesiredWorkload) -> DesiredWorkload:
    """A container beside others is started anew, not forked from a zygote."""
    command = part.command
    if command is None or not command.entry:
        return part
    return replace(part, command=replace(command, entry="", preload=()))


def _seen_by(part: DesiredWorkload, here: Machine) -> Machine:
    """A command of the user's finds this machine's programs, not the runtime's environment."""
    container: Mapping[str, Any] = main_container(part.template)
    return replace(here, python="") if container.get("command") else here


def _join_files(made: Sequence[Process]) -> FileSystem:
    """The mounts of all containers; where two mount one path, the first one's counts."""
    mounts = {m.path: m for one in reversed(made) for m in one.files.mounts}
    volumes = {v.name: v for one in made for v in one.files.volumes}
    return FileSystem(tuple(volumes.values()), tuple(mounts.values()))
