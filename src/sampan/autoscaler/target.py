"""The value of the measure at which each replica is held.

Knative Serving, target resolution: a share of what a replica can take.
"""

from __future__ import annotations

from sampan.autoscaler.settings import Defaults

ANY = 1e12
"""What one replica takes where requests say only whether there is to be any."""

LEAST = 0.01
"""The least target: below it one request would ask for thousands of replicas."""


def select_total(
    metric: str, annotated: float | None, container_concurrency: int, defaults: Defaults
) -> float:
    """Return what one replica can take of the measure.

    `annotated` is the annotation `target`; for concurrency the hard limit of the container bounds
    it. `container_concurrency` 0: no limit.
    """
    if metric == "rps":
        return defaults.requests_per_second_target if annotated is None else annotated
    if annotated is None:
        return container_concurrency or defaults.concurrency_target
    return min(annotated, container_concurrency) if container_concurrency else annotated


def select_target(total: float, percentage: float) -> float:
    """Return the value at which a replica is held: `percentage` percent of the total."""
    return max(LEAST, total * percentage / 100)
