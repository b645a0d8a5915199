"""What is there of a service, in the plan's words: from what launcher, downloads and gateway know.

Pure: who asks them is `platform`.
"""

from __future__ import annotations

from sampan.plan.observed import Link, LinkState, ObservedReplica, ObservedWorkload
from sampan.platforms.local.held import HELD_LINK
from sampan.platforms.local.preparation import Preparation
from sampan.platforms.local.process import ProcessState


def make_observed(
    found: Preparation, replicas: tuple[ObservedReplica, ...], at_hand: str = ""
) -> ObservedWorkload:
    """Return a workload as observed."""
    return ObservedWorkload(
        name=found.workload,
        component=found.component,
        template_hash=found.template_hash,
        download=found.download,
        environment=found.environment,
        replicas=replicas,
        at_hand=at_hand,
    )


def make_observed_replica(state: ProcessState) -> ObservedReplica:
    """Return a replica as observed, from what its launcher knows."""
    spec = state.spec
    port = state.ports.get(spec.http_port)
    return ObservedReplica(
        name=spec.replica,
        workload=spec.workload,
        template_hash=spec.template_hash,
        running=state.running,
        ready=state.ready and state.running,
        address=f"127.0.0.1:{port}" if port else "",
        pid=state.pid,
        restarts=state.restarts,
        created_at=state.created_at,
        started_at=state.started_at,
        draining=state.draining,
        load=state.load,
        last_exit=state.last_exit,
        back_off_until=state.back_off_until,
    )


def make_route_link(link: Link, replicas: tuple[ObservedReplica, ...]) -> Link:
    """Return the state of the way in: never DONE while no replica is ready to answer."""
    if link == HELD_LINK:
        return link
    if link.state is LinkState.DONE and not any(r.ready and not r.draining for r in replicas):
        message = "no replica is ready, so requests are answered 503 until one is"
        return Link(LinkState.WAITING, "NoReadyReplica", message, link.since)
    return link
