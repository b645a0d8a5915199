"""A replica as a process: the values that the platform and the launcher exchange.

`ProcessSpec` is what to start; `ProcessState` is what is known of it. Container ports are symbolic
until the start: `$(SAMPAN_PORT_8080)` in `argv` or `env` stands for the loopback port that takes
the place of container port 8080, expanded like Kubernetes's own `$(VAR)` references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.plan.observed import Exit, Link
from sampan.plan.types import ServiceKey
from sampan.platforms.local.devices import Reservation


@dataclass(frozen=True, slots=True)
class Zygote:
    """A process to fork from: the interpreter of an environment with `preload` imported.

    The replica runs `entry` (`module:function`, called with argv[1:]) in the forked child.
    """

    python: str
    preload: tuple[str, ...]
    entry: str


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to start. `replica` is unique among all services of the platform.

    `argv` is run as it is when `zygote` is None. `env` is the whole environment. `ports` are the
    container ports that need a loopback port; `http_port` is the one that serves HTTP.
    `readiness`, `liveness` and `startup` are Kubernetes probes (lossless JSON) whose ports are
    container ports. `grace_seconds` is the time between SIGTERM and SIGKILL. `container` and
    `image` are those of the pod template, for showing the replica as a pod. A replica that uses
    more than `memory_limit` bytes is ended (0: no limit). `beside` are the readiness probes of the
    other containers of the replica, which must pass too. `devices` are reserved for it as long
    as it is known.
    """

    service: ServiceKey
    workload: str
    component: str
    replica: str
    template_hash: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    ports: tuple[int, ...]
    http_port: int
    zygote: Zygote | None = None
    readiness: Mapping[str, Any] | None = None
    liveness: Mapping[str, Any] | None = None
    startup: Mapping[str, Any] | None = None
    grace_seconds: float = 30.0
    model_name: str = ""
    container: str = "kserve-container"
    image: str = ""
    memory_limit: int = 0
    beside: tuple[Mapping[str, Any], ...] = ()
    devices: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What is known of a started replica. `ports` maps container ports to loopback ports.

    `pid` and `start_ticks` (field 22 of `/proc/PID/stat`) identify the process against reuse.
    """

    spec: ProcessSpec
    created_at: float
    pid: int = 0
    start_ticks: int = 0
    ports: Mapping[int, int] = field(default_factory=dict)
    started_at: float = 0.0
    running: bool = False
    ready: bool = False
    draining: bool = False
    restarts: int = 0
    load: Link = Link()
    last_exit: Exit | None = None
    back_off_until: float = 0.0
