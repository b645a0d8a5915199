"""Revisions: what a component was, each time that something of its workload changed.

A revision is immutable and numbered; its name is Knative's, `{component object}-{number:05d}`
(Knative Serving, Revisions). It runs under the name of a workload: an update in place hands the
workload on, a revision that shares traffic with another has one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.plan.types import Component, Workload

PREVIOUS, LATEST = "prev", "latest"
"""Tags under which KServe makes the revisions of a canary reachable by themselves."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision, without what it is made of.

    `base` is the name of the component's object (`iris-predictor`), `workload` the name under
    which its replicas run here.
    """

    number: int
    component: Component
    base: str
    workload: str
    template_hash: str
    created_at: float = 0.0

    @property
    def name(self) -> str:
        """The name that status and people use: `iris-predictor-00002`."""
        return make_revision_name(self.base, self.number)


def make_revision_name(base: str, number: int) -> str:
    """Return the name of a revision: `iris-predictor-00002`."""
    return f"{base}-{number:05d}"


@dataclass(frozen=True, slots=True)
class History:
    """The revisions of a service that are kept, oldest first.

    `workloads` holds what a revision is made of, by its name, where that has been read.
    """

    revisions: tuple[Revision, ...] = ()
    workloads: Mapping[str, Workload] = field(default_factory=dict)

    def of(self, component: Component) -> tuple[Revision, ...]:
        """Return the revisions of one component, oldest first."""
        return tuple(r for r in self.revisions if r.component == component)


@dataclass(frozen=True, slots=True)
class Target:
    """A revision's share of its component's traffic, in percent; those of a component sum to 100.

    `latest`: the share follows the newest revision that is ready. `tag` names a way in of its own.
    """

    revision: Revision
    percent: int
    latest: bool = False
    tag: str = ""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A revision that gets no traffic any more, why, and by which numbers.

    `percent` is the share that was asked for then: asking for another one is another try.
    """

    revision: str
    reason: str
    message: str
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far a component's newest revision has got.

    `created` is the newest revision, `ready` the newest that became ready, `rolled_out` the last
    one that had all traffic and `previous` the name of the one before (KServe, `ComponentStatus`).
    `wake_at`: the shares change then though nothing else does (0: never). `since`: when the newest
    revision began to take its share, in seconds since the epoch (0: not yet).
    """

    component: Component
    created: Revision
    ready: Revision | None = None
    rolled_out: Revision | None = None
    previous: str = ""
    targets: tuple[Target, ...] = ()
    wake_at: float = 0.0
    since: float = 0.0
    failed: RolledBack | None = None
    new: bool = False
    """Whether the newest revision is not recorded yet."""
    missing: frozenset[str] = frozenset()
    """Names of revisions that must run, and of which is not known what they are made of."""
