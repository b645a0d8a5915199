"""Which ways in are held, and that the last replica goes only after its way in is."""

from __future__ import annotations

from dataclasses import replace

from sampan.gateway.table import ComponentRoute, Share, TableRoute
from sampan.plan.observed import Link, LinkState, Observed, ObservedReplica, ObservedWorkload
from sampan.plan.scaling import Scale
from sampan.plan.types import Component, Plan, ServiceKey, Workload
from sampan.platforms.local.desired import Desired, DesiredWorkload
from sampan.platforms.local.diff import diff
from sampan.platforms.local.held import hold, select_held
from sampan.platforms.local.steps import Publish, StartReplica, StopReplica

IRIS = ServiceKey("default", "iris")
NAME, KEY = "iris-predictor", "default/iris-predictor"
ROUTE = TableRoute(
    "default/iris", (), "/serving/default/iris", (Share(KEY),), grpc_shares=(Share(f"{KEY}/grpc"),)
)
DONE = Link(LinkState.DONE)


def desired(scale: Scale, route: TableRoute = ROUTE) -> Desired:
    own = DesiredWorkload(IRIS, NAME, "predictor", "v1-a", scale.replicas, requirements=())
    planned = Workload(Component.PREDICTOR, NAME, {}, "v1-a", scale.replicas, "iris", scale=scale)
    return hold(Desired(IRIS, (own,), route), Plan(IRIS, (planned,)))


def observed(*replicas: ObservedReplica, published: str = "") -> Observed:
    seen = ObservedWorkload(NAME, "predictor", "v1-a", DONE, DONE, replicas)
    return Observed((seen,), DONE, published=published)


READY = ObservedReplica(
    "r0", NAME, "v1-a", running=True, ready=True, address="127.0.0.1:9000", load=DONE, routed=True
)


def test_every_share_of_a_held_workload_names_it() -> None:
    route = desired(Scale(0, held=True)).route
    assert route is not None
    assert [share.held for share in (*route.shares, *route.grpc_shares)] == [KEY, KEY]
    assert select_held(route) == {NAME}


def test_the_address_of_a_component_is_held_as_its_service_is() -> None:
    component = ComponentRoute("predictor", (), (Share(KEY),), port=9000)
    route = desired(Scale(0, held=True), replace(ROUTE, components=(component,))).route
    assert route is not None
    assert route.components[0].shares[0].held == KEY


def test_a_workload_that_is_not_held_is_not() -> None:
    route = desired(Scale(1)).route
    assert route == ROUTE
    assert select_held(route) == frozenset()


def test_the_route_is_held_before_the_last_replica_goes() -> None:
    steps = diff(desired(Scale(0, held=True)), observed(READY, published="warm"), 0.0).steps
    assert [type(step) for step in steps] == [Publish, StopReplica]
    (publish, _) = steps
    assert isinstance(publish, Publish)
    assert publish.route is not None
    assert publish.route.shares[0].held == KEY
    assert all(cluster.endpoints == () for cluster in publish.clusters)


def test_asleep_there_is_nothing_to_do() -> None:
    wanted = desired(Scale(0, held=True))
    (publish,) = diff(wanted, observed(), 0.0).steps
    assert isinstance(publish, Publish)


def test_waking_starts_one_replica_and_leaves_the_route_held() -> None:
    steps = diff(desired(Scale(1, held=True, waking=True)), observed(), 0.0).steps
    assert [type(step) for step in steps] == [StartReplica, Publish]


def test_what_a_replica_takes_at_once_is_told_to_the_gateway() -> None:
    wanted = desired(Scale(1))
    limited = replace(wanted.workloads[0], capacity={"containerConcurrency": "4"})
    (publish,) = diff(replace(wanted, workloads=(limited,)), observed(READY), 0.0).steps
    assert isinstance(publish, Publish)
    assert {cluster.concurrency for cluster in publish.clusters} == {4}
