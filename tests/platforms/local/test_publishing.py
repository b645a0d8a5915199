"""What the gateway is given, what it is asked, and what is believed of a route."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sampan.gateway.errors import GatewayError
from sampan.gateway.health import EndpointHealth, Health
from sampan.gateway.listener import Verdict
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute
from sampan.gateway.validation import Refusal
from sampan.machinery.clock import SystemClock
from sampan.plan.observed import LinkState
from sampan.plan.types import ServiceKey
from sampan.platforms.local.diff import make_publication
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.publishing import Publisher
from sampan.platforms.local.steps import Publish
from sampan.platforms.local.way_in import passes, select_unhealthy

IRIS = ServiceKey("default", "iris")
WINE = ServiceKey("default", "wine")
A, B = Endpoint("127.0.0.1", 20001), Endpoint("127.0.0.1", 20002)


class FakeEnvoy:
    """The edge: Envoy as a value. `answer` is what a request gets, `error` what `apply` raises."""

    def __init__(self) -> None:
        self.table = RouteTable()
        self.answer = Verdict(passed=True, status=200, message="")
        self.error: GatewayError | None = None
        self.refusals: tuple[Refusal, ...] = ()
        self.sick: set[Endpoint] = set()
        self.hangs = self.is_slow_to_tell = False
        self.works = False
        self.says_nonsense = False
        self.ticks = 0
        self.asked = self.together = self.most_together = 0

    async def apply(self, table: RouteTable) -> tuple[Refusal, ...]:
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        self.table = table
        return self.refusals

    async def verify(self, *_request: object) -> Verdict:
        self.together += 1
        self.most_together = max(self.together, self.most_together)
        await asyncio.sleep(0.01)
        self.together -= 1
        return self.answer

    async def health(self) -> Health:
        self.asked += 1
        if self.hangs or self.is_slow_to_tell:
            await asyncio.sleep(60)
        if self.says_nonsense:
            raise ValueError("unexpected end of data")
        return {
            c.name: tuple(EndpointHealth(e, healthy=e not in self.sick) for e in c.endpoints)
            for c in self.table.clusters
        }

    async def answers(self) -> bool:
        if self.hangs:
            await asyncio.sleep(60)
        return True

    def cpu_ticks(self) -> int:
        self.ticks += self.works
        return self.ticks


def publish(service: ServiceKey, *endpoints: Endpoint) -> Publish:
    name = f"{service.namespace}/{service.name}"
    route = TableRoute(name, (f"{service.name}.default.localhost",), f"/serving/{name}",
                       (Share(f"{name}-predictor"),))  # fmt: skip
    return Publish(route, (Cluster(f"{name}-predictor", endpoints, "/ready"),))


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not so():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


class Desk:
    """A publisher and its Envoy, and which services were announced."""

    def __init__(self, folder: Path, envoy: FakeEnvoy | None = None) -> None:
        self.envoy = envoy or FakeEnvoy()
        self.told: list[ServiceKey] = []
        self.publisher = Publisher(self.envoy, Layout(folder, folder), SystemClock(), self.tell)

    def tell(self, service: ServiceKey) -> None:
        self.told.append(service)

    def state(self) -> LinkState:
        return self.publisher.link(IRIS).state

    async def until(self, state: LinkState) -> None:
        await until(lambda: self.state() is state)


@pytest.fixture
async def desk(tmp_path):
    made = Desk(tmp_path)
    await made.publisher.start(())
    yield made
    await made.publisher.close()


async def test_a_route_is_done_only_after_a_request_passed(desk):
    desk.envoy.answer = Verdict(passed=False, status=503, message="not yet")
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.until(LinkState.FAILED)
    assert "503" in desk.publisher.link(IRIS).message
    desk.envoy.answer = Verdict(passed=True, status=200, message="")
    await desk.until(LinkState.DONE)
    assert IRIS in desk.told


def hold(step: Publish) -> Publish:
    """The same way in, held; nothing can be reached behind it."""
    share = step.route.shares[0]
    route = replace(step.route, shares=(replace(share, held=share.cluster),))
    return Publish(route, tuple(replace(c, endpoints=()) for c in step.clusters))


async def test_a_way_in_that_is_held_is_done_and_never_tried(desk):
    desk.envoy.answer = Verdict(passed=False, status=503, message="asking would wake it")
    await desk.publisher.publish(IRIS, hold(publish(IRIS, A)))
    assert desk.publisher.link(IRIS).reason == "RequestsHeld"
    await asyncio.sleep(0.6)  # a look of the watcher falls into it
    assert desk.state() is LinkState.DONE
    assert desk.publisher.held(IRIS) == {"iris-predictor"}


async def test_a_way_in_that_is_not_held_any_more_stays_done_until_a_request_tells(desk):
    await desk.publisher.publish(IRIS, hold(publish(IRIS, A)))
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    assert (desk.state(), desk.publisher.link(IRIS).reason) == (LinkState.DONE, "")
    assert desk.publisher.held(IRIS) == frozenset()


async def test_what_is_published_is_told_as_diff_names_it(desk):
    step = publish(IRIS, A)
    await desk.publisher.publish(IRIS, step)
    assert desk.publisher.published(IRIS) == make_publication(step.route, step.clusters)
    assert desk.publisher.published(WINE) == ""


async def test_services_published_at_once_are_all_in_the_table(desk):
    await asyncio.gather(
        desk.publisher.publish(IRIS, publish(IRIS, A)),
        desk.publisher.publish(WINE, publish(WINE, B)),
    )
    assert [route.name for route in desk.envoy.table.routes] == ["default/iris", "default/wine"]


async def test_an_endpoint_is_routed_once_the_gateway_finds_it_healthy(desk):
    desk.envoy.sick = {A}
    await desk.publisher.publish(IRIS, publish(IRIS, A, B))
    await until(lambda: desk.publisher.is_routed(IRIS, "127.0.0.1:20002"))
    assert not desk.publisher.is_routed(IRIS, "127.0.0.1:20001")


async def test_a_new_endpoint_that_awaits_its_first_health_check_does_not_make_a_route_flap(desk):
    desk.envoy.sick = {A}  # as Envoy counts whatever it has not asked yet
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.until(LinkState.DONE)
    states = []
    for _ in range(100):  # a second: one look of the watcher falls into it
        states.append(desk.state())
        await asyncio.sleep(0.01)
    assert set(states) == {LinkState.DONE}
    await desk.until(LinkState.FAILED)  # nobody ever found it healthy


async def test_a_route_turns_false_when_all_endpoints_are_sick_and_true_again(desk):
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.until(LinkState.DONE)
    desk.envoy.sick = {A}
    desk.envoy.answer = Verdict(passed=False, status=503, message="")
    await desk.until(LinkState.FAILED)
    desk.envoy.sick = set()
    desk.envoy.answer = Verdict(passed=True, status=200, message="")
    await desk.until(LinkState.DONE)


async def test_the_watch_goes_on_after_an_answer_that_nobody_understands(desk, caplog):
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.until(LinkState.DONE)
    desk.envoy.says_nonsense = True
    await until(lambda: "goes on after an error" in caplog.text)
    asked = desk.envoy.asked
    await until(lambda: desk.envoy.asked > asked + 1)  # told once, not at each look
    assert caplog.text.count("goes on after an error") == 1
    desk.envoy.says_nonsense = False
    desk.envoy.sick = {A}
    desk.envoy.answer = Verdict(passed=False, status=503, message="")
    await desk.until(LinkState.FAILED)


async def test_a_gateway_that_hangs_turns_routes_false_in_about_a_second(desk):
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.until(LinkState.DONE)
    desk.envoy.hangs = True
    await desk.until(LinkState.FAILED)
    assert desk.publisher.link(IRIS).reason == "GatewayNotAnswering"
    desk.envoy.hangs = False


async def test_a_gateway_that_works_and_answers_nobody_is_given_some_seconds_and_no_more(desk):
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.until(LinkState.DONE)
    desk.envoy.hangs = desk.envoy.works = True
    began = time.monotonic()
    await desk.until(LinkState.FAILED)
    assert time.monotonic() - began >= 4.5
    assert desk.publisher.link(IRIS).reason == "GatewayNotAnswering"


async def test_a_gateway_that_is_late_to_tell_its_view_while_requests_pass_turns_no_route(desk):
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.until(LinkState.DONE)
    asked, desk.envoy.is_slow_to_tell = desk.envoy.asked, True
    await until(lambda: desk.envoy.asked > asked)
    states = []
    for _ in range(200):  # two seconds: several looks of the watcher
        states.append(desk.state())
        await asyncio.sleep(0.01)
    assert set(states) == {LinkState.DONE}
    assert desk.envoy.asked == asked + 1  # who is late is not asked again


async def test_a_view_that_knows_nothing_of_an_endpoint_says_nothing_against_it(desk):
    clusters = publish(IRIS, A).clusters
    assert select_unhealthy(clusters, {}) == ()
    sick = {clusters[0].name: (EndpointHealth(A, healthy=False),)}
    assert select_unhealthy(clusters, sick) == (clusters[0].name,)


async def test_a_new_daemon_tries_many_routes_some_at_a_time(tmp_path):
    first = Desk(tmp_path)
    await first.publisher.start(())
    services = [ServiceKey("default", f"iris-{number}") for number in range(100)]
    await asyncio.gather(*(first.publisher.publish(s, publish(s, A)) for s in services))
    await first.publisher.close()
    second = Desk(tmp_path)
    await second.publisher.start({A})
    await until(lambda: all(second.publisher.link(s).state is LinkState.DONE for s in services))
    assert second.envoy.most_together == 32
    await second.publisher.close()


async def test_other_endpoints_than_before_must_be_verified_anew(desk):
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.until(LinkState.DONE)
    desk.envoy.answer = Verdict(passed=False, status=503, message="")
    await desk.publisher.publish(IRIS, publish(IRIS, B))
    assert desk.state() is not LinkState.DONE


async def test_one_endpoint_more_does_not_put_a_route_in_doubt(desk):
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.until(LinkState.DONE)
    await desk.publisher.publish(IRIS, publish(IRIS, A, B))
    assert desk.state() is LinkState.DONE


async def test_a_table_that_is_not_taken_is_told_and_published_again(desk):
    desk.envoy.error = GatewayError("ConfigRejected", "no")
    step = publish(IRIS, A)
    await desk.publisher.publish(IRIS, step)
    assert desk.publisher.link(IRIS).reason == "ConfigRejected"
    assert desk.publisher.published(IRIS) != make_publication(step.route, step.clusters)
    assert desk.publisher.may_still_send(IRIS)
    desk.told.clear()
    await until(lambda: IRIS in desk.told)
    desk.envoy.error = None
    await desk.publisher.publish(IRIS, step)
    assert desk.publisher.published(IRIS) == make_publication(step.route, step.clusters)
    assert not desk.publisher.may_still_send(IRIS)


async def test_a_route_that_is_left_out_says_why(desk):
    desk.envoy.refusals = (Refusal("default/iris", 'host "x" is taken'),)
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    assert desk.publisher.link(IRIS).reason == "RouteRefused"
    assert desk.publisher.link(IRIS).message == 'host "x" is taken'


async def test_a_blocked_service_keeps_its_route_while_its_endpoints_change(desk):
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    moved = Cluster("default/iris-predictor", (B,))
    await desk.publisher.publish(IRIS, Publish(None, (moved,), keep_route=True))
    assert desk.envoy.table == RouteTable((publish(IRIS).route,), publish(IRIS, B).clusters)


async def test_nothing_is_left_of_a_service_that_is_taken_out(desk):
    await desk.publisher.publish(IRIS, publish(IRIS, A))
    await desk.publisher.publish(IRIS, Publish(None, ()))
    assert desk.envoy.table == RouteTable()
    assert desk.publisher.services() == ()


async def test_a_new_daemon_goes_on_with_the_endpoints_that_live(tmp_path):
    first = Desk(tmp_path)
    await first.publisher.start(())
    await first.publisher.publish(IRIS, publish(IRIS, A, B))
    await first.publisher.close()
    second = Desk(tmp_path)
    await second.publisher.start({A})
    assert second.envoy.table == RouteTable((publish(IRIS).route,), publish(IRIS, A).clusters)
    await second.until(LinkState.DONE)
    await second.publisher.close()


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"namespace": "a"}]'])
async def test_a_record_that_cannot_be_read_is_no_record(tmp_path, text):
    (tmp_path / "routes.json").write_text(text)
    desk = Desk(tmp_path)
    await desk.publisher.start(())
    assert desk.publisher.services() == ()
    await desk.publisher.close()


@pytest.mark.parametrize(
    ("status", "path", "through"),
    [
        (200, "/ready", True),
        (404, "/ready", False),
        (404, "", True),
        (503, "", False),
        (0, "", False),
    ],
)
def test_whatever_a_server_without_a_health_path_says_came_from_it(status, path, through):
    assert passes(Verdict(status == 200, status, ""), path) is through
