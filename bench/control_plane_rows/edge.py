"""The edge of the local platform without its processes: what is started is said to run, and is not.

Everything above the launcher is the real thing: store, controllers, plan, render, diff, routes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sampan.gateway.health import EndpointHealth, Health
from sampan.gateway.kept import Kept
from sampan.gateway.listener import Gateway, Verdict
from sampan.gateway.table import Cluster, RouteTable, TableRoute
from sampan.gateway.validation import Refusal
from sampan.machinery.clock import Clock
from sampan.plan.observed import Link, LinkState
from sampan.plan.types import ServiceKey
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.process import ProcessSpec, ProcessState


class Pretender(Launcher):
    """A launcher that starts nothing: each replica is ready at once, all of them at one port."""

    made: Pretender
    """The newest."""
    port = 9
    """Where every replica is said to answer."""

    def __init__(
        self,
        state_dir: Path,
        clock: Clock,
        on_change: Callable[[ServiceKey], None],
        zygotes: Any = None,
    ) -> None:
        super().__init__(state_dir, clock, on_change, zygotes=zygotes)
        self._clock = clock
        self._on_change = on_change
        Pretender.made = self
        self._pretended: dict[str, ProcessState] = {}
        self._names: dict[ServiceKey, set[str]] = {}

    async def adopt(self) -> tuple[ProcessState, ...]:
        """Find nothing: what was said to run ended with who said it."""
        return ()

    async def start(self, spec: ProcessSpec) -> ProcessState:
        """Say that a replica runs and is ready."""
        now = self._clock.now()
        state = ProcessState(
            spec,
            now,
            pid=1,
            ports=dict.fromkeys(spec.ports, self.port),
            started_at=now,
            running=True,
            ready=True,
            load=Link(LinkState.DONE, since=now),
        )
        self._keep_state(state)
        return state

    async def stop(self, replica: str, grace_seconds: float) -> None:
        """Say that a replica is gone."""
        del grace_seconds
        state = self._pretended.pop(replica, None)
        if state is not None:
            self._names[state.spec.service].discard(replica)
            self._on_change(state.spec.service)

    async def wait_stopped(self, replica: str) -> None:
        """Return: it is gone."""

    def restamp(self, replica: str, template_hash: str) -> None:
        """Note another hash."""
        state = self._pretended[replica]
        self._keep_state(replace(state, spec=replace(state.spec, template_hash=template_hash)))

    def states(self) -> tuple[ProcessState, ...]:
        """Return what is said of every replica."""
        return tuple(self._pretended[name] for name in sorted(self._pretended))

    def states_of(self, service: ServiceKey) -> tuple[ProcessState, ...]:
        """Return what is said of a service's replicas."""
        names = sorted(self._names.get(service, ()))
        return tuple(self._pretended[name] for name in names)

    def state(self, replica: str) -> ProcessState:
        """Return what is said of one replica."""
        return self._pretended[replica]

    def warm(self, spec: ProcessSpec) -> None:
        """Do nothing: no process will need it."""

    def turn(self, service: ServiceKey) -> None:
        """Say that a service's replicas are ready where they were not, and the other way round."""
        for state in self.states_of(service):
            self._keep_state(replace(state, ready=not state.ready))

    def _keep_state(self, state: ProcessState) -> None:
        self._pretended[state.spec.replica] = state
        self._names.setdefault(state.spec.service, set()).add(state.spec.replica)
        self._on_change(state.spec.service)


class OpenGateway(Gateway):
    """A gateway that takes every table and lets every request pass; there is no Envoy."""

    table = RouteTable()

    def __init__(self, *parts: Any, **settings: Any) -> None:
        super().__init__(*parts, **settings)
        # As Envoy's view is read: by what differs.
        self._found: Kept[Cluster, tuple[EndpointHealth, ...]] = Kept(_find_healthy)

    async def start(self) -> None:
        """Start nothing; only its folder is there, for who listens in it."""
        self._folder.prepare()

    async def detach(self) -> None:
        """Leave nothing."""

    async def close(self) -> None:
        """End nothing."""

    async def active(self, *_cluster: object) -> int:
        """Count nothing."""
        return 0

    async def apply(self, table: RouteTable) -> tuple[Refusal, ...]:
        """Take the table."""
        self.table, self._health = table, {}
        return ()

    async def verify(self, route: TableRoute, path: str, timeout_seconds: float = 5.0) -> Verdict:
        """Let it pass."""
        del route, path, timeout_seconds
        return Verdict(True, 200, "")

    async def answers(self) -> bool:
        """Answer."""
        return True

    def cpu_ticks(self) -> int:
        """Use none."""
        return 0

    async def health(self) -> Health:
        """Find everyone healthy; the same value until there is another table."""
        if not self._health:
            names = (c.name for c in self.table.clusters)
            self._health = dict(zip(names, self._found.of(self.table.clusters), strict=True))
        return self._health


def _find_healthy(cluster: Cluster) -> tuple[EndpointHealth, ...]:
    return tuple(EndpointHealth(e, healthy=True) for e in cluster.endpoints)


class NoEnvironments:
    """Environments that are there already: this interpreter's."""

    def __init__(self, *_where: object) -> None:
        pass

    def python(self, requirements: tuple[str, ...]) -> str:
        """Return this interpreter."""
        del requirements
        return sys.executable

    def is_built(self, requirements: tuple[str, ...]) -> bool:
        """Say so."""
        del requirements
        return True

    async def build(self, requirements: tuple[str, ...], on_line: object) -> None:
        """Find it built."""
