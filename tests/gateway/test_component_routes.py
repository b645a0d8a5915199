"""The ways in of a service's components: by name, by `:explain`, and at a port of their own."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, replace

import pytest

from sampan.gateway.ask import Address, ask
from sampan.gateway.listener import Gateway
from sampan.gateway.table import Cluster, ComponentRoute, Endpoint, RouteTable, Share, TableRoute
from sampan.gateway.validation import Validation, select_ports


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def part(name: str, **fields: object) -> ComponentRoute:
    host = f"iris-{name}.default.localhost"
    shares = (Share(f"default/iris-{name}"),)
    return ComponentRoute(name, (host,), shares, **fields)  # type: ignore[arg-type]


def make_table(endpoints: dict[str, Endpoint], port: int = 0) -> RouteTable:
    """A service of which the transformer stands in front; `port` is its predictor's own."""
    clusters = tuple(Cluster(f"default/iris-{n}", (e,), "/health") for n, e in endpoints.items())
    route = TableRoute(
        name="default/iris",
        hosts=("iris.default.localhost",),
        path_prefix="/serving/default/iris",
        shares=(Share("default/iris-transformer"),),
        components=tuple(
            part(n, explains=n == "explainer", port=port if n == "predictor" else 0)
            for n in endpoints
        ),
    )
    return RouteTable((route,), clusters)


@dataclass
class Served:
    """A gateway before three components, and the port of its predictor."""

    gateway: Gateway
    table: RouteTable
    port: int

    async def get(self, path: str, host: str = "localhost", port: int = 0) -> tuple[int, str]:
        address = Address(host="127.0.0.1", port=port or self.gateway.settings.port)
        answer = await ask(address, path, host, 5.0)
        return answer.status, bytes(answer.body).decode()


@pytest.fixture
async def served(gateway, make_backend) -> Served:
    names = ("predictor", "transformer", "explainer")
    endpoints = {name: (await make_backend(name)).endpoint for name in names}
    port = free_port()
    table = make_table(endpoints, port)
    assert await gateway.apply(table) == ()
    return Served(gateway, table, port)


EXPLAIN = "/v1/models/iris:explain"
ASKED = {
    "the service's host is the transformer's": ("iris.default.localhost", "/x", "transformer /x"),
    "so is its path": ("localhost", "/serving/default/iris/x", "transformer /x"),
    "the predictor has a host of its own": (
        "iris-predictor.default.localhost", "/x", "predictor /x",
    ),
    "the transformer too": ("iris-transformer.default.localhost", "/x", "transformer /x"),
    ":explain of the service is the explainer's": (
        "iris.default.localhost", EXPLAIN, f"explainer {EXPLAIN}",
    ),
    "by its path too, which is stripped": (
        "localhost", f"/serving/default/iris{EXPLAIN}", f"explainer {EXPLAIN}",
    ),
    "with a query": (
        "iris.default.localhost", f"{EXPLAIN}?a=1", f"explainer {EXPLAIN}?a=1",
    ),
    "but what only looks like it is not": (
        "iris.default.localhost", "/v1/models/iris:explainer",
        "transformer /v1/models/iris:explainer",
    ),
    "nor is :explain of a component": (
        "iris-predictor.default.localhost", EXPLAIN, f"predictor {EXPLAIN}",
    ),
}  # fmt: skip


async def test_who_answers(served):
    for name, (host, path, expected) in ASKED.items():
        assert await served.get(path, host) == (200, expected), name


async def test_at_its_port_a_component_answers_whatever_the_host(served):
    """A transformer may forward the headers of its own request, `Host` among them."""
    for host in (f"127.0.0.1:{served.port}", "iris.default.localhost", "nonsense"):
        assert await served.get("/x", host, served.port) == (200, "predictor /x")


async def test_the_port_goes_on_through_changes_of_other_services_and_a_new_daemon(served):
    other = replace(served.table.routes[0], name="default/other", hosts=(), components=(),
                    path_prefix="/serving/default/other")  # fmt: skip
    grown = replace(served.table, routes=(*served.table.routes, other))
    await served.gateway.apply(grown)
    assert (await served.get("/x", port=served.port))[0] == 200
    await served.gateway.detach()
    successor = Gateway(served.gateway._folder.root, served.gateway.settings)
    await successor.start()
    try:
        assert (await served.get("/x", port=served.port))[0] == 200
        await successor.apply(served.table)
        assert (await served.get("/x", port=served.port))[0] == 200
    finally:
        await successor.detach()


async def test_without_its_service_nobody_listens_at_the_port(served):
    await served.gateway.apply(RouteTable())
    async with asyncio.timeout(40):  # a listener that is removed lets its connections finish
        while True:
            try:
                await served.get("/x", port=served.port)
            except OSError:
                break
            await asyncio.sleep(0.1)


async def test_a_port_that_somebody_else_has_costs_only_its_own_component(gateway, make_backend):
    stranger = await make_backend("stranger")
    names = ("predictor", "transformer")
    endpoints = {name: (await make_backend(name)).endpoint for name in names}
    refusals = await gateway.apply(make_table(endpoints, stranger.port))
    assert [r.name for r in refusals] == ["default/iris"]
    assert f'port "{stranger.port}"' in refusals[0].message
    address = Address(host="127.0.0.1", port=gateway.settings.port)
    answer = await ask(address, "/serving/default/iris/x", "localhost", 5.0)
    assert bytes(answer.body) == b"transformer /x"


def test_ports_that_are_free_stay_as_they_are():
    table = make_table({"predictor": Endpoint("127.0.0.1", 1)}, 18_000)
    assert select_ports(table, lambda _: True) == (table, ())


CLAIMED = {
    "a host": replace(part("x"), hosts=("iris-predictor.default.localhost",)),
    "a port": replace(part("x"), hosts=("x.test",), port=18_000),
}


@pytest.mark.parametrize("claim", CLAIMED.values(), ids=CLAIMED.keys())
def test_two_services_cannot_claim_for_their_components_the_same(claim):
    table = make_table({"predictor": Endpoint("127.0.0.1", 1)}, 18_000)
    first = replace(table.routes[0], shares=(Share("default/iris-predictor"),))
    claim = replace(claim, shares=first.shares)
    second = TableRoute("a/b", (), "/serving/a/b", first.shares, components=(claim,))
    kept, refusals = Validation().select(replace(table, routes=(first, second)))
    assert [route.name for route in kept.routes] == ["default/iris"]
    assert "already taken" in refusals[0].message
