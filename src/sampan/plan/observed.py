"""What a platform saw: one vocabulary for both platforms, so that status is derived once.

The chain of a replica is download, environment, process, load, ready, route. Each link is a
`Link`; the first that is not done explains why a service is not Ready (`sampan.plan.explain`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sampan.plan.mesh_settings import MeshSettings


class LinkState(StrEnum):
    """How far one link of the chain is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Link:
    """One step on the way to Ready.

    `reason` is CamelCase (`DownloadStalled`), `message` says what, with which value and what mends
    it. `since` is when the state was entered (seconds since the epoch). `done` and `total` are
    bytes where known, else 0. `retry_at`: a failed step is tried again then (0: not by itself).
    """

    state: LinkState = LinkState.WAITING
    reason: str = ""
    message: str = ""
    since: float = 0.0
    done: int = 0
    total: int = 0
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a replica's process last ended. `code` is None where nobody could reap it."""

    code: int | None
    signal: str = ""
    reason: str = "Error"
    message: str = ""
    last_lines: tuple[str, ...] = ()
    started_at: float = 0.0
    finished_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ObservedReplica:
    """One replica. `name` is pod-like and unique (`iris-predictor-7d9f-0`).

    `running`: its process is alive. `ready`: its readiness probe passes. `load` is the link between
    process start and first readiness. `address` is `host:port` of its HTTP port ("" before start).
    `back_off_until`: restarted not before then (0: not backing off). `routed`: the gateway has its
    address and finds it healthy (platforms that have a gateway of their own).
    """

    name: str
    workload: str
    template_hash: str
    running: bool
    ready: bool
    address: str = ""
    pid: int = 0
    restarts: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    draining: bool = False
    load: Link = Link()
    last_exit: Exit | None = None
    back_off_until: float = 0.0
    routed: bool = False


@dataclass(frozen=True, slots=True)
class ObservedWorkload:
    """One workload: what is being prepared for it, and its replicas (old and new templates).

    `at_hand` says how far its model is kept at hand while nothing runs ("": it is not).
    """

    name: str
    component: str
    template_hash: str
    download: Link
    environment: Link
    replicas: tuple[ObservedReplica, ...] = ()
    replicas_wanted: int = 0
    at_hand: str = ""


@dataclass(frozen=True, slots=True)
class MeshCopy:
    """A model as the shared processes tell of it: a word of `modelStatus.states`, "" where none
    knows it yet; `copies` are those that hold it.
    """

    id: str
    state: str = ""
    message: str = ""
    since: float = 0.0
    copies: int = 0
    failed: int = 0
    location: str = ""


@dataclass(frozen=True, slots=True)
class MeshSeen:
    """What was seen of a service of ModelMesh mode.

    `host` names whose processes it is placed in, by `settings`. `target` is the model that its spec
    asks for, `active` the one that answers (None: none does yet). `download` is the target's.
    `workloads` are those of the processes that it shares, whose way in is `Observed.route`.
    """

    target: MeshCopy
    host: str = ""
    settings: MeshSettings = MeshSettings()
    active: MeshCopy | None = None
    download: Link = Link()
    workloads: tuple[ObservedWorkload, ...] = ()
    told: str = ""
    """How full the memory of the shared processes is, in words."""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a platform saw of one service. `route` is DONE only while a real request passes.

    `published` identifies what the gateway was last given for it ("": nothing). `held` names the
    workloads whose requests the gateway keeps at the activator now. `taken`: the gateway serves
    what it was last given. `mesh` is what is known of a model in shared processes.
    """

    workloads: tuple[ObservedWorkload, ...] = ()
    route: Link = Link()
    warnings: tuple[tuple[str, str], ...] = field(default=())
    published: str = ""
    held: frozenset[str] = frozenset()
    taken: bool = True
    mesh: MeshSeen | None = None


NOTHING = Observed()
