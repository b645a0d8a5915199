"""How components find each other on a machine without a resolver."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.gateway.table import Cluster, ComponentRoute, Endpoint, Share, TableRoute
from sampan.plan import types as plan
from sampan.plan.types import Backend, Component, Plan, Route, ServiceKey, Workload
from sampan.platforms.local.addresses import Addresses, rewrite_hosts
from sampan.platforms.local.container_env import select_no_proxy
from sampan.platforms.local.images import ImageTable, LocalCommand
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.ports import NoFreePort, PortPool
from sampan.platforms.local.process_spec import Machine, make_process
from sampan.platforms.local.render import render, select_addressed
from sampan.platforms.local.route_record import RouteRecord, read_routes, select_served_ports

SERVICE = ServiceKey("default", "iris")
HOSTS = {"iris-predictor.default": "127.0.0.1:18000"}
IMAGES = ImageTable((LocalCommand(image="known", argv=("serve",), http2=True),))

REWRITTEN = {
    "a word": ("iris-predictor.default", "127.0.0.1:18000"),
    "a flag's value": ("--host=iris-predictor.default", "--host=127.0.0.1:18000"),
    "the Service's own port": ("iris-predictor.default:80", "127.0.0.1:18000"),
    "a URL": ("http://iris-predictor.default/v1/models", "http://127.0.0.1:18000/v1/models"),
    "the form with svc": ("iris-predictor.default.svc", "127.0.0.1:18000"),
    "the whole name": (
        "http://iris-predictor.default.svc.cluster.local:80/", "http://127.0.0.1:18000/",
    ),
}  # fmt: skip
KEPT = {
    "another port, at which a Service does not answer": "iris-predictor.default:8081",
    "another service": "my-iris-predictor.default",
    "another namespace": "iris-predictor.default2",
    "a public name": "iris-predictor.default.example.com",
    "the bare name, which is also a word": "iris-predictor",
}


@pytest.mark.parametrize("case", REWRITTEN.values(), ids=REWRITTEN.keys())
def test_a_name_becomes_an_address_as(case):
    text, expected = case
    assert rewrite_hosts(text, HOSTS) == expected


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_what_is_not_the_component_s_name_stays(text):
    assert rewrite_hosts(text, HOSTS) == text


@given(st.text(alphabet="iris-predctoflauv.:/80=", max_size=60))
def test_what_was_rewritten_once_is_not_rewritten_again(text):
    once = rewrite_hosts(text, HOSTS)
    assert rewrite_hosts(once, HOSTS) == once


# Ports


@pytest.fixture
def addresses(tmp_path: Path) -> Addresses:
    return Addresses(tmp_path / "addresses.json")


def test_a_component_keeps_its_port(addresses):
    first = addresses.assign(SERVICE, ["iris-predictor", "iris-transformer"])
    assert len(set(first.values())) == 2
    grown = addresses.assign(SERVICE, ["iris-predictor", "iris-transformer", "iris-explainer"])
    assert {k: grown[k] for k in first} == first
    assert addresses.path.stat().st_mode & 0o777 == 0o600


def test_a_new_daemon_goes_on_with_ports_that_are_free_or_served(addresses):
    told = dict(addresses.assign(SERVICE, ["iris-predictor"]))
    for serving in ((), tuple(told.values())):
        again = Addresses(addresses.path)
        again.load(serving)
        assert again.assign(SERVICE, ["iris-predictor"]) == told


def test_a_port_that_somebody_took_meanwhile_is_replaced(addresses):
    port = addresses.assign(SERVICE, ["iris-predictor"])["iris-predictor"]
    with socket.create_server(("127.0.0.1", port)):
        again = Addresses(addresses.path)
        again.load(())
        assert again.assign(SERVICE, ["iris-predictor"])["iris-predictor"] != port


def test_what_a_service_has_no_more_is_given_to_others(addresses):
    addresses.pool = PortPool(19_500, 19_500)
    addresses.assign(SERVICE, ["iris-predictor"])
    with pytest.raises(NoFreePort, match="19500-19500"):
        addresses.assign(ServiceKey("default", "other"), ["other-predictor"])
    addresses.assign(SERVICE, ())
    assert addresses.assign(ServiceKey("default", "other"), ["x"]) == {"x": 19_500}
    assert json.loads(addresses.path.read_text()) == {"default/other": {"x": 19_500}}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"b": "c"}}'])
def test_a_record_that_cannot_be_read_counts_as_none(addresses, text):
    addresses.path.write_text(text)
    addresses.load(())
    assert set(addresses.assign(SERVICE, ["x"])) == {"x"}


# From a plan to processes and routes


def make_workload(component: Component, **container: object) -> Workload:
    name = f"iris-{component.value}"
    served = {"name": "kserve-container", "image": "x", "command": ["serve"], **container}
    template = {"metadata": {}, "spec": {"containers": [served]}}
    return Workload(component, name, template, "v1-a", 1, "iris")


def make_plan(**container: object) -> Plan:
    """A predictor whose container is given, and a transformer that asks it."""
    args = ["--predictor_host", "iris-predictor.default", "--http_port", "8080"]
    workloads = (
        make_workload(Component.PREDICTOR, **container),
        make_workload(
            Component.TRANSFORMER,
            args=args,
            env=[{"name": "ASK", "value": "http://iris-predictor.default.svc/"}],
        ),
    )
    backends = {w.component: (Backend(w.name),) for w in workloads}
    components = tuple(
        plan.ComponentRoute(c, (f"iris-{c}.default.localhost",), b) for c, b in backends.items()
    )
    route = Route(("iris.default.localhost",), "/serving/default/iris",
                  backends[Component.TRANSFORMER], components=components)  # fmt: skip
    return Plan(SERVICE, workloads, route)


PORTS = {"iris-predictor": 18_000, "iris-transformer": 18_001}


def test_the_components_of_a_service_with_several_have_addresses():
    assert select_addressed(make_plan()) == ("iris-predictor", "iris-transformer")
    alone = replace(make_plan(), route=Route((), "/serving/default/iris", ()))
    assert select_addressed(alone) == ()
    assert select_addressed(Plan(SERVICE, stopped=True)) == ()


def test_arguments_and_variables_name_the_address():
    transformer = render(make_plan(), IMAGES, PORTS).workloads[1]
    made = make_process(transformer, "r-0", Machine(Layout(Path("/s"), Path("/c")), {}))
    assert made.spec.argv[1:] == (
        "--predictor_host", "127.0.0.1:18000", "--http_port", "$(SAMPAN_PORT_8080)",
    )  # fmt: skip
    values = {e.variable: getattr(e, "value", "") for e in made.entries}
    assert values["ASK"] == "http://127.0.0.1:18000/"


def test_the_gateway_gets_a_way_in_for_each_component():
    route = render(make_plan(), IMAGES, PORTS).route
    assert route is not None
    assert route.shares == (Share("default/iris-transformer"),)
    assert [(c.name, c.shares, c.port) for c in route.components] == [
        ("predictor", (Share("default/iris-predictor"),), 18_000),
        ("transformer", (Share("default/iris-transformer"),), 18_001),
    ]


SPEAKERS = {
    "a known server that does": ({"image": "known"}, True),
    "a port that is named so": ({"ports": [{"containerPort": 9000, "name": "h2c"}]}, True),
    "a port for REST beside one for gRPC": (
        {"ports": [{"containerPort": 8080}, {"containerPort": 9000, "name": "grpc"}]}, False,
    ),
    "a command of which nothing is known": ({}, False),
}  # fmt: skip


@pytest.mark.parametrize("case", SPEAKERS.values(), ids=SPEAKERS.keys())
def test_grpc_is_carried_to(case):
    container, carried = case
    route = render(make_plan(**container), IMAGES, PORTS).route
    assert route is not None
    assert bool(route.components[0].grpc_shares) is carried


# What is kept on disk


def test_the_record_of_routes_keeps_the_components(tmp_path):
    component = ComponentRoute("predictor", ("a.b",), (Share("c"),), (Share("c/grpc"),), 5, 18_000)
    route = TableRoute("default/iris", (), "/serving/default/iris", components=(component,))
    kept = {SERVICE: (route, (Cluster("c", (Endpoint("127.0.0.1", 1),)),))}
    layout = Layout(tmp_path, tmp_path)
    record, written = RouteRecord(layout), {}

    def write(now):
        changed = {s: now.get(s) for s in now.keys() | written.keys()}
        record.write(changed, lambda: now)
        written.clear()
        written.update(now)

    write(kept)
    assert read_routes(layout) == kept
    moved = (route, (Cluster("c", (Endpoint("127.0.0.1", 2),)),))
    for now in ({**kept, ServiceKey("default", "b"): moved}, {SERVICE: moved}, kept, {}):
        write(now)
        assert read_routes(layout) == now, "what changed is written, and what went is gone"
    write(kept)
    with layout.routes.open("ab") as file:
        file.write(b'{"namespace": "default", "na')
    assert read_routes(layout) == kept, "a change that was cut short did not happen"
    for port in range(300):
        kept = {SERVICE: (route, (Cluster("c", (Endpoint("127.0.0.1", port),)),))}
        write(kept)
    assert read_routes(layout) == kept
    assert len(layout.routes.read_bytes().splitlines()) <= 110, "what is past is dropped"
    assert select_served_ports(kept) == {18_000}
    layout.routes.write_bytes(b"[%b]" % layout.routes.read_bytes().splitlines()[-1])
    assert read_routes(layout) == kept, "as an earlier version wrote it"


PROXIES = {
    "no proxy, nothing to keep out": ({"PATH": "/bin"}, {}),
    "a proxy": ({"HTTP_PROXY": "http://p"}, {"NO_PROXY": "127.0.0.1,localhost"}),
    "exceptions of one's own go before": (
        {"http_proxy": "http://p", "no_proxy": "corp"}, {"no_proxy": "corp,127.0.0.1,localhost"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PROXIES.values(), ids=PROXIES.keys())
def test_calls_between_components_go_past_a_proxy(case):
    given_, expected = case
    assert select_no_proxy(given_) == expected
