"""The shares of a component: those of its revisions and canaries, as the gateway is to give them.

A share is only ever with who can serve. What has no share is there as well: the gateway finds it
healthy before it gets one, and a tag or copies of requests may lead to it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sampan.plan.observed import Observed
from sampan.plan.revision import Rollout
from sampan.plan.rollout_settings import RolloutSettings
from sampan.plan.routes import make_tag_hosts
from sampan.plan.traffic import move_shares, split
from sampan.plan.types import Backend, Snapshot, Workload


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who shares a component's requests: its revisions, the newest first, and its canaries."""

    rollout: Rollout
    revisions: Sequence[Workload]
    canaries: Sequence[Workload] = ()


def make_backends(
    snapshot: Snapshot, settings: RolloutSettings, sharing: Sharing
) -> tuple[Backend, ...]:
    """Return the shares: canaries that are ready take theirs, revisions what is left."""
    able = {
        w.name: can_serve(snapshot.observed, w) for w in (*sharing.revisions, *sharing.canaries)
    }
    wanted = _wanted_shares(sharing)
    taken = {c.name: c.share if able[c.name] else 0 for c in sharing.canaries}
    moved = move_shares(tuple(wanted.values()), [able[name] for name in wanted])
    left = dict(zip(wanted, split(100 - sum(taken.values()), moved), strict=True))
    tags = _make_tags(snapshot, settings, sharing)
    copied = {name for name in select_copied(sharing) if able[name]}
    return tuple(
        Backend(
            name,
            weight,
            tag=tags.get(name, ""),
            hosts=_hosts(snapshot, sharing, tags[name]) if name in tags else (),
            mirror=settings.mirror if name in copied else 0,
        )
        for name, weight in {**left, **taken}.items()
    )


def can_serve(observed: Observed, workload: Workload) -> bool:
    """Return whether requests are answered: a replica is ready and routed, or they are held."""
    if workload.scale is not None and workload.scale.held:
        return True
    seen = next((w for w in observed.workloads if w.name == workload.name), None)
    return any(r.ready and r.routed and not r.draining for r in (seen.replicas if seen else ()))


def select_copied(sharing: Sharing) -> frozenset[str]:
    """Return the workloads that are tried without a share: they may get copies of requests."""
    found = {c.name for c in sharing.canaries if c.share == 0}
    first = sharing.rollout.targets[0]
    if first.percent == 0:
        found.add(first.revision.workload)
    return frozenset(found & {w.name for w in (*sharing.revisions, *sharing.canaries)})


def _wanted_shares(sharing: Sharing) -> dict[str, int]:
    """The shares of revisions, by workload; two that share one workload share its share."""
    shares = dict.fromkeys([w.name for w in sharing.revisions], 0)
    for target in sharing.rollout.targets:
        name = target.revision.workload
        shares[name if name in shares else sharing.revisions[0].name] += target.percent
    return shares


def _make_tags(snapshot: Snapshot, settings: RolloutSettings, sharing: Sharing) -> dict[str, str]:
    """Return the tag of each workload that has one; a canary's is its name, where tags are on."""
    told = [(t.revision.workload, t.tag) for t in sharing.rollout.targets if t.tag]
    if settings.tagged:
        entries = snapshot.service["spec"].get("canary") or ()
        named = zip(sharing.canaries, entries, strict=False)
        told += [(w.name, str(entry["predictor"].get("name") or "")) for w, entry in named]
    return {workload: tag for workload, tag in reversed(told) if tag}


def _hosts(snapshot: Snapshot, sharing: Sharing, tag: str) -> tuple[str, ...]:
    base = sharing.revisions[0].object_name
    return make_tag_hosts(tag, base, snapshot.service, snapshot.gateway, snapshot.config)
