"""Which ways in are held: the requests of a workload that sleeps wait at the activator. Pure.

The gateway holds a route before the last replica behind it ends, and lets it go after the first is
back (`diff`: what is published comes before what is stopped).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sampan.gateway.table import Share, TableRoute, select_shares
from sampan.plan.observed import Link, LinkState
from sampan.plan.types import Plan
from sampan.platforms.local.desired import Desired, cluster_name, grpc_cluster_name

HELD_LINK = Link(
    LinkState.DONE,
    "RequestsHeld",
    "requests wait at the activator until a replica is up to answer them",
)
"""The state of a way in that is held: whoever asks is answered."""


def hold(desired: Desired, plan: Plan) -> Desired:
    """Return what should exist, with the shares held of the workloads that the plan holds."""
    held = [w.name for w in plan.workloads if w.scale is not None and w.scale.held]
    return hold_workloads(desired, held)


def hold_workloads(desired: Desired, names: Collection[str]) -> Desired:
    """Return what should exist, with the shares of these workloads held besides."""
    if not names or desired.route is None:
        return desired
    clusters = {
        name(desired.service, workload): cluster_name(desired.service, workload)
        for workload in names
        for name in (cluster_name, grpc_cluster_name)
    }
    return replace(desired, route=_hold_route(desired.route, clusters))


def _hold_route(route: TableRoute, clusters: dict[str, str]) -> TableRoute:
    return replace(
        route,
        shares=_hold_shares(route.shares, clusters),
        grpc_shares=_hold_shares(route.grpc_shares, clusters),
        components=tuple(
            replace(
                component,
                shares=_hold_shares(component.shares, clusters),
                grpc_shares=_hold_shares(component.grpc_shares, clusters),
            )
            for component in route.components
        ),
    )


def _hold_shares(shares: tuple[Share, ...], clusters: dict[str, str]) -> tuple[Share, ...]:
    return tuple(replace(share, held=clusters.get(share.cluster, share.held)) for share in shares)


def select_held(route: TableRoute | None) -> frozenset[str]:
    """Return the names of the workloads whose requests a route holds."""
    shares = select_shares(route) if route else ()
    return frozenset(share.held.partition("/")[2] for share in shares if share.held)
