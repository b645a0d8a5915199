"""Under which names a service is reached."""

from __future__ import annotations

import pytest

from sampan.api.config import Config
from sampan.plan.routes import make_address, make_path_prefix, make_route, make_url
from sampan.plan.types import Backend, Gateway, ServiceKey

GATEWAY, CONFIG = Gateway(), Config()


def route(make, service=None, gateway=GATEWAY, config=CONFIG):
    return make_route(service or make.service(), "iris-predictor", gateway, config)


def test_a_service_is_reached_by_its_own_names_and_its_predictor_s(make):
    found = route(make).route
    assert found is not None
    assert found.hosts == (
        "iris.default.localhost",
        "iris.default.example.com",
        "iris-default.example.com",
        "iris-predictor.default.localhost",
        "iris-predictor.default.example.com",
        "iris-predictor-default.example.com",
    )
    assert found.path_prefix == "/serving/default/iris"


def test_all_traffic_goes_to_the_one_workload(make):
    found = route(make).route
    assert found is not None
    assert found.backends == (Backend("iris-predictor", 100),)


@pytest.mark.parametrize(("timeout", "expected"), [(None, None), (5, 5), (0, 0)])
def test_the_predictor_s_timeout_is_the_route_s(make, timeout, expected):
    found = route(make, make.service(timeout=timeout)).route
    assert found is not None
    assert found.timeout_seconds == expected


DOMAINS = {
    "the platform's domain": (
        Gateway(domain="models.test"), Config(), "iris.default.models.test",
    ),
    "the operator's domain": (
        Gateway(), Config(ingress_domain="ml.corp"), "iris.default.ml.corp",
    ),
    "in the operator's form": (
        Gateway(), Config(ingress_domain="ml.corp"), "iris-default.ml.corp",
    ),
    "in a form of one's own": (
        Gateway(),
        Config(domain_template="{{ .Name }}.{{ .Labels.team }}.{{ .IngressDomain }}"),
        "iris.vision.example.com",
    ),
    "in further domains": (
        Gateway(), Config(additional_ingress_domains=("a.test", "b.test")), "iris-default.b.test",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DOMAINS.values(), ids=DOMAINS.keys())
def test_a_service_is_reached_in(make, case):
    gateway, config, host = case
    found = route(make, make.service(meta_labels={"team": "vision"}), gateway, config).route
    assert found is not None
    assert host in found.hosts


def test_a_host_is_named_once_though_two_rules_give_it(make):
    found = route(make, gateway=Gateway(domain="example.com")).route
    assert found is not None
    assert len(found.hosts) == len(set(found.hosts))


WRONG = {
    "a template with an unknown field": ("{{ .Team }}.test", "{{.Team}}"),
    "a template that is not closed": ("{{ .Name", "}}"),
    "a template that gives no host name": ("{{ .Name }}_x.test", '"iris_x.test" is no host name'),
    "a template over a missing label": ("{{ .Labels.team }}.test", '"<no value>.test"'),
    "a template that gives nothing": ("", '"" is no host name'),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_blocks(make, case):
    template, words = case
    routing = route(make, config=Config(domain_template=template))
    assert routing.route is None
    assert routing.blocked is not None
    assert routing.blocked.reason == "InvalidDomainTemplate"
    assert words.replace(" ", "") in routing.blocked.message.replace(" ", "")


def test_a_label_of_64_letters_blocks(make):
    service = make.service(name="a" * 40, namespace="b" * 30)
    routing = route(make, service)
    assert routing.blocked is not None
    assert "is no host name" in routing.blocked.message


@pytest.mark.parametrize(
    ("gateway", "url"),
    [
        (Gateway(), "http://iris.default.localhost:8080"),
        (Gateway(port=80), "http://iris.default.localhost"),
        (Gateway(port=443, scheme="https"), "https://iris.default.localhost"),
        (Gateway(port=443), "http://iris.default.localhost:443"),
        (Gateway(domain="ml.test", port=9000), "http://iris.default.ml.test:9000"),
    ],
)
def test_the_url_names_the_port_where_it_is_not_the_usual_one(gateway, url):
    assert make_url("iris", "default", gateway) == url


def test_the_address_needs_no_name_resolution():
    key = ServiceKey("ml", "iris")
    assert make_path_prefix(key) == "/serving/ml/iris"
    assert make_address(key, Gateway()) == "http://localhost:8080/serving/ml/iris"
