"""Which revisions are collected. Pure.

Knative Serving, garbage collection of revisions, with its defaults: never one that has traffic or
is the newest that is ready; of the others, oldest first, those older than two days, while twenty
stay; and beyond a thousand all.
"""

from __future__ import annotations

from collections.abc import Iterable

from sampan.plan.revision import Revision, Rollout

RETAIN_SECONDS = 48 * 3600.0
LEAST_KEPT, MOST_KEPT = 20, 1000


def select_collectable(
    revisions: Iterable[Revision], rollouts: Iterable[Rollout], now: float
) -> tuple[Revision, ...]:
    """Return the revisions to delete; `now` is in seconds since the epoch."""
    found = tuple(revisions)
    return tuple(gone for rollout in rollouts for gone in _of_component(found, rollout, now))


def _of_component(
    revisions: tuple[Revision, ...], rollout: Rollout, now: float
) -> tuple[Revision, ...]:
    active = {rollout.created.name, rollout.previous}
    active |= {r.name for r in (rollout.ready, rollout.rolled_out) if r}
    active |= {t.revision.name for t in rollout.targets}
    idle = sorted(
        (r for r in revisions if r.component == rollout.component and r.name not in active),
        key=lambda r: r.number,
    )
    spare = max(0, len(idle) - LEAST_KEPT)
    old = [r for r in idle[:spare] if now - r.created_at > RETAIN_SECONDS]
    left = [r for r in idle if r not in old]
    return (*old, *left[: max(0, len(left) - MOST_KEPT)])
