"""The numbers of a cluster's activator, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sampan.app.activation_on_cluster import ClusterActivation
from sampan.app.operator_health import render_counter


@dataclass(frozen=True, slots=True)
class Counts:
    """What of an activator is not its services': whether it decides, how many others do not answer,
    and how often Envoy has ended.
    """

    leading: bool
    silent: int
    envoy_restarts: int


def render_activation(activation: ClusterActivation, counts: Counts) -> Iterator[str]:
    """Yield the lines. No label names a service, which would make series of each."""
    served, own = activation.looked_after(), activation.own_traffic()
    gauges = (
        ("leading", "1 for the activator that decides.", counts.leading),
        ("workloads", "Workloads that are looked after.", len(served)),
        ("asleep", "Workloads that have no replica.", sum(not one.replicas for one in served)),
        ("waiting", "Requests that wait for a replica.", activation.holds()),
        ("unreadable", "Workloads with terms that cannot be read.", len(activation.cluster.unread)),
        ("requests", "Requests under way at this Envoy.", sum(t.active for t in own)),
        ("silent_peers", "Activators that do not answer: nothing goes to sleep.", counts.silent),
    )
    for name, text, value in gauges:
        yield from render_counter(f"sampan_activator_{name}", text, {(): float(value)}, "gauge")
    counters = (
        ("scales_total", "Numbers of replicas that were written.", activation.writer.written),
        ("scale_failures_total", "Numbers that could not be written.", activation.writer.failed),
        (
            "requests_total",
            "Requests that this Envoy has passed on since it began.",
            sum(t.total for t in own),
        ),
        (
            "envoy_restarts_total",
            "Ends of Envoy: what it held and passed on then was lost.",
            counts.envoy_restarts,
        ),
    )
    for name, text, value in counters:
        yield from render_counter(f"sampan_activator_{name}", text, {(): float(value)})
    yield from activation.cold_starts.render_phases()
