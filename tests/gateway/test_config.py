"""What a table becomes: small golden renders, laws, and Envoy's own verdict on all of it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sampan.gateway import config
from sampan.gateway.bare import make_front_cluster
from sampan.gateway.binary import decode_resources
from sampan.gateway.config_clusters import make_cluster
from sampan.gateway.config_routes import make_routes
from sampan.gateway.envoy import envoy_binary
from sampan.gateway.rendering import Rendering, make_clusters_file
from sampan.gateway.settings import GatewaySettings, validate_settings
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute
from sampan.gateway.validation import Validation

SETTINGS = GatewaySettings()
CLUSTER = Cluster("default/iris/v1", (Endpoint("127.0.0.1", 9000),), "/v2/health/ready")
ROUTE = TableRoute(
    "default/iris", ("iris.default.localhost",), "/serving/default/iris", (Share(CLUSTER.name),)
)
TABLE = RouteTable((ROUTE,), (CLUSTER,))


def hosts_of(table: RouteTable, *, starting: bool = False) -> dict[str, dict]:
    """Virtual hosts by name."""
    hosts = make_routes(table, SETTINGS, starting=starting)["virtual_hosts"]
    return {host["name"]: host for host in hosts}


def routes_of(table: RouteTable, *, starting: bool = False) -> dict[str, list[dict]]:
    """Routes by the name of their virtual host."""
    return {name: host["routes"] for name, host in hosts_of(table, starting=starting).items()}


def retries_of(endpoints: int) -> dict:
    """The retry policy of a cluster with so many endpoints."""
    addresses = tuple(Endpoint("127.0.0.1", 9000 + n) for n in range(endpoints))
    cluster = make_cluster(replace(CLUSTER, endpoints=addresses), GatewaySettings())
    (options,) = cluster["typed_extension_protocol_options"].values()
    return dict(options["retry_policy"])


class TestHolding:
    HELD = replace(ROUTE, shares=(Share(CLUSTER.name, 100, "default/iris"),))

    def actions(self, route: TableRoute) -> list[dict]:
        found = routes_of(RouteTable((route,), (CLUSTER,)))["default/iris"]
        return [entry["route"] for entry in found]

    def test_a_warm_route_names_no_filter(self) -> None:
        assert "ext_authz" not in json.dumps(self.actions(ROUTE))

    def test_a_held_share_names_its_workload_and_how_long_a_request_may_wait(self) -> None:
        (action,) = self.actions(replace(self.HELD, timeout_seconds=7))
        (share,) = action["weighted_clusters"]["clusters"]
        (hold,) = share["typed_per_filter_config"].values()
        context = hold["check_settings"]["context_extensions"]
        assert context == {"workload": "default/iris", "timeout": "7"}

    def test_silence_is_allowed_for_the_wait_and_for_the_answer(self) -> None:
        assert self.actions(replace(self.HELD, timeout_seconds=7))[0]["idle_timeout"] == "14s"
        assert self.actions(self.HELD)[0]["idle_timeout"] == "360s"
        assert self.actions(replace(self.HELD, timeout_seconds=0))[0]["idle_timeout"] == "0s"

    def test_the_filter_is_there_and_off(self) -> None:
        listener = json.loads(config.render_listeners(SETTINGS, "/folder").body)["resources"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        first = manager["http_filters"][0]
        assert (first["name"], first["disabled"]) == ("envoy.filters.http.ext_authz", True)


class TestRoutes:
    def test_a_service_is_found_by_its_hosts_on_any_port(self) -> None:
        rendered = make_routes(TABLE, SETTINGS, starting=False)
        assert rendered["ignore_port_in_host_matching"] is True
        assert rendered["virtual_hosts"][0]["domains"] == ["iris.default.localhost"]
        assert routes_of(TABLE)["default/iris"][0]["match"] == {"prefix": "/"}

    def test_the_path_form_is_stripped_and_one_route_for_all_adds_a_slash_to_what_has_none(
        self,
    ) -> None:
        with_rest, without_rest, _ = routes_of(TABLE)["by-path"]
        assert with_rest["match"] == {"prefix": "/serving/default/iris/"}
        assert with_rest["route"]["prefix_rewrite"] == "/"
        rewrite = without_rest["route"]["regex_rewrite"]
        pattern, made = rewrite["pattern"]["regex"], rewrite["substitution"]
        assert re.sub(pattern, made, "/serving/default/iris") == "/serving/default/iris/"
        bare = without_rest["match"]["safe_regex"]["regex"]
        assert not re.fullmatch(bare, "/serving/default/iris/")

    def test_kserves_identity_headers_replace_what_a_client_sent(self) -> None:
        found = hosts_of(TABLE)
        for holder in (found["default/iris"], found["by-path"]["routes"][0]):
            headers = holder["request_headers_to_add"]
            assert {h["header"]["key"]: h["header"]["value"] for h in headers} == {
                "KServe-Isvc-Name": "iris",
                "KServe-Isvc-Namespace": "default",
            }
            assert {h["append_action"] for h in headers} == {"OVERWRITE_IF_EXISTS_OR_ADD"}

    @pytest.mark.parametrize(
        ("own", "rendered"),
        [(None, "60s"), (5, "5s"), (0, "0s")],
        ids=["upstream's 60 s by default", "the component's own", "0 turns it off"],
    )
    def test_a_timeout_counts_silence_not_length(self, own: int | None, rendered: str) -> None:
        table = RouteTable((replace(ROUTE, timeout_seconds=own),), (CLUSTER,))
        action = routes_of(table)["default/iris"][0]["route"]
        assert (action["timeout"], action["idle_timeout"]) == ("0s", rendered)

    def test_a_route_without_shares_answers_503_with_its_reason(self) -> None:
        table = RouteTable((replace(ROUTE, shares=(), unavailable="the model loads"),))
        answer = routes_of(table)["default/iris"][0]
        assert answer["direct_response"] == {
            "status": 503,
            "body": {"inline_string": "the model loads"},
        }
        assert answer["response_headers_to_add"][0]["header"]["key"] == "retry-after"

    def test_grpc_requests_may_have_shares_of_their_own(self) -> None:
        grpc = replace(CLUSTER, name="default/iris/grpc", http2=True)
        route = replace(ROUTE, grpc_shares=(Share(grpc.name),))
        first, second = routes_of(RouteTable((route,), (CLUSTER, grpc)))["default/iris"]
        assert first["match"] == {"prefix": "/", "grpc": {}}
        assert first["route"]["cluster"] == grpc.name
        assert second["route"]["cluster"] == CLUSTER.name

    def test_before_the_first_table_the_rest_is_503_and_after_it_404(self) -> None:
        assert (
            routes_of(RouteTable(), starting=True)["unknown"][0]["direct_response"]["status"] == 503
        )
        assert routes_of(RouteTable())["unknown"][0]["direct_response"]["status"] == 404


class TestClusters:
    def test_only_what_was_not_sent_is_sent_again(self) -> None:
        policy = retries_of(1)
        assert policy["retry_on"] == "connect-failure,refused-stream,reset-before-request"
        assert "retry_host_predicate" not in policy

    def test_it_is_sent_to_another_endpoint_where_there_is_one(self) -> None:
        (predicate,) = retries_of(2)["retry_host_predicate"]
        assert predicate["name"] == "envoy.retry_host_predicates.previous_hosts"
        assert retries_of(2)["retry_on"] == retries_of(1)["retry_on"]

    def test_health_is_asked_twice_a_second_with_or_without_traffic(self) -> None:
        check = make_cluster(CLUSTER, SETTINGS)["health_checks"][0]
        assert check["interval"] == check["no_traffic_interval"] == "0.5s"
        assert check["timeout"] == "1s"
        assert check["http_health_check"]["path"] == "/v2/health/ready"

    def test_without_a_health_path_an_open_port_is_health(self) -> None:
        check = make_cluster(replace(CLUSTER, health_path=""), SETTINGS)["health_checks"][0]
        assert "tcp_health_check" in check
        assert "http_health_check" not in check

    def test_http2_clusters_are_asked_and_spoken_to_in_http2(self) -> None:
        rendered = make_cluster(replace(CLUSTER, http2=True), SETTINGS)
        (options,) = rendered["typed_extension_protocol_options"].values()
        assert options["explicit_http_config"] == {"http2_protocol_options": {}}
        assert rendered["health_checks"][0]["http_health_check"]["codec_client_type"] == "HTTP2"

    def test_endpoints_are_sorted_and_each_once(self) -> None:
        a, b = Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2)
        rendered = make_cluster(replace(CLUSTER, endpoints=(b, a, b)), SETTINGS)["load_assignment"]
        ports = [
            e["endpoint"]["address"]["socket_address"]["port_value"]
            for e in rendered["endpoints"][0]["lb_endpoints"]
        ]
        assert ports == [1, 2]

    def test_clusters_of_an_earlier_table_are_kept_until_they_are_let_go(self) -> None:
        old = Rendering(SETTINGS).clusters(
            replace(TABLE, clusters=(replace(CLUSTER, name="old/one"),))
        )
        file = make_clusters_file(Rendering(SETTINGS).clusters(TABLE), old)
        found = [name for name, _ in decode_resources(file.body)]
        assert found == [CLUSTER.name, "front", "old/one"]


class TestFiles:
    def test_an_endpoint_change_touches_only_its_cluster(self) -> None:
        moved = replace(CLUSTER, endpoints=(Endpoint("127.0.0.1", 9001),))
        other = replace(CLUSTER, name="default/other/v1")
        before, after = RouteTable((ROUTE,), (CLUSTER, other)), RouteTable((ROUTE,), (moved, other))
        rendering = Rendering(SETTINGS)
        assert rendering.routes(before) == rendering.routes(after)
        one, two = (rendering.clusters(table) for table in (before, after))
        assert make_clusters_file(one).version != make_clusters_file(two).version
        assert one[CLUSTER.name] != two[CLUSTER.name]
        assert one[other.name] is two[other.name]

    def test_the_admin_interface_is_a_private_socket(self) -> None:
        admin = json.loads(config.render_bootstrap("/x"))["admin"]
        assert admin["address"] == {"pipe": {"path": "/x/admin.sock", "mode": 0o600}}


REFUSED = [
    ("two routes with one host", replace(ROUTE, name="b/iris", path_prefix="/serving/b/iris")),
    ("two routes with one prefix", replace(ROUTE, name="b/iris", hosts=())),
    ("a host that all services share", replace(ROUTE, name="a/b", hosts=("localhost",))),
    ("a host that is no host", replace(ROUTE, name="a/b", hosts=("a b",), path_prefix="/x")),
    ("a name without namespace", replace(ROUTE, name="b", hosts=(), path_prefix="/x")),
    ("a prefix that ends with a slash", replace(ROUTE, name="a/b", hosts=(), path_prefix="/x/")),
    (
        "shares that do not sum to 100",
        TableRoute("a/b", (), "/x", (Share(CLUSTER.name, 40), Share(CLUSTER.name, 40))),
    ),
    ("a cluster that is not there", TableRoute("a/b", (), "/x", (Share("gone"),))),
]


class TestValidation:
    @pytest.mark.parametrize("bad", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
    def test_a_bad_route_is_left_out_and_named_and_the_others_stay(self, bad: TableRoute) -> None:
        valid, refusals = Validation().select(RouteTable((ROUTE, bad), (CLUSTER,)))
        assert valid.routes == (ROUTE,)
        assert refusals
        assert all(refusal.name == bad.name for refusal in refusals)

    @pytest.mark.parametrize(
        "bad",
        [
            replace(CLUSTER, name="with:colon"),
            replace(CLUSTER, name="b", health_path="no-slash"),
            replace(CLUSTER, name="b", endpoints=(Endpoint("localhost", 80),)),
            replace(CLUSTER, name="b", endpoints=(Endpoint("127.0.0.1", 0),)),
            CLUSTER,
        ],
        ids=["odd name", "odd health path", "host name", "port 0", "named twice"],
    )
    def test_a_bad_cluster_is_left_out_and_named(self, bad: Cluster) -> None:
        valid, refusals = Validation().select(RouteTable((), (CLUSTER, bad)))
        assert valid.clusters == (CLUSTER,)
        assert refusals[0].name == bad.name

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"host": "0.0.0.0"}, "reachable from other machines"),
            ({"host": "example.com"}, "not an IP address"),
            ({"port": 0}, "outside 1 to 65535"),
            ({"health_interval": 0.0}, "must be above 0"),
            ({"timeout_seconds": -1}, "negative"),
            ({"workers": -1}, "negative"),
        ],
        ids=["off loopback", "a host name", "port 0", "no interval", "timeout", "workers"],
    )
    def test_settings_that_cannot_be_are_named(self, changes: dict, words: str) -> None:
        (mistake,) = validate_settings(replace(SETTINGS, **changes))
        assert words in mistake

    def test_the_defaults_are_valid(self) -> None:
        assert validate_settings(SETTINGS) == ()


NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
ENDPOINTS = st.builds(Endpoint, st.just("127.0.0.1"), st.integers(1, 65535))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@st.composite
def tables(draw: st.DrawFn) -> RouteTable:
    routes, clusters = [], []
    for namespace, name in draw(st.lists(st.tuples(NAMES, NAMES), unique=True, max_size=6)):
        weights = draw(st.sampled_from([(), (100,), (90, 10), (0, 100), (33, 33, 34)]))
        shares = []
        for number, weight in enumerate(weights):
            endpoints = tuple(draw(st.lists(ENDPOINTS, max_size=4)))
            health = draw(st.sampled_from(["", "/v2/health/ready", "/v1/models/a%20b"]))
            cluster = f"{namespace}/{name}/v{number}"
            clusters.append(Cluster(cluster, endpoints, health, draw(st.booleans())))
            held = draw(st.sampled_from(("", cluster)))
            shares.append(Share(cluster, weight, held))
        routes.append(
            TableRoute(
                name=f"{namespace}/{name}",
                hosts=(f"{name}.{namespace}.localhost", f"{name}.{namespace}.Example.com"),
                path_prefix=f"/serving/{namespace}/{name}",
                shares=tuple(shares),
                timeout_seconds=draw(st.one_of(st.none(), st.integers(0, 86400))),
                unavailable=draw(TEXTS),
                grpc_shares=tuple(shares) if draw(st.booleans()) else (),
            )
        )
    return RouteTable(tuple(routes), tuple(clusters))


@given(tables())
@hypothesis_settings(deadline=None)
def test_what_is_made_well_is_taken_whole_and_renders_the_same_twice(table: RouteTable) -> None:
    assert Validation().select(table) == (table, ())
    assert Rendering(SETTINGS).routes(table) == Rendering(SETTINGS).routes(table)


@given(st.lists(tables(), min_size=2, max_size=4))
@hypothesis_settings(deadline=None, max_examples=50)
def test_what_is_kept_of_one_table_changes_nothing_of_the_next(found: list[RouteTable]) -> None:
    rendering, validation = Rendering(SETTINGS), Validation()
    mixed = [
        RouteTable((*one.routes, *other.routes[:1]), (*one.clusters, *other.clusters[:2]))
        for one, other in itertools.pairwise(found)
    ]
    for table in (*found, *mixed, *found):
        valid, refusals = validation.select(table)
        assert (valid, refusals) == Validation().select(table)
        fresh = Rendering(SETTINGS)
        assert rendering.routes(valid) == fresh.routes(valid)
        assert rendering.clusters(valid) == fresh.clusters(valid)


def static_bootstrap(table: RouteTable, folder: Path, settings: GatewaySettings) -> bytes:
    """The rendered resources in one static bootstrap, which Envoy's validation reads whole."""
    bootstrap = json.loads(config.render_bootstrap(str(folder)))
    (listener,) = json.loads(config.render_listeners(settings, str(folder)).body)["resources"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"]
    manager["route_config"] = make_routes(table, settings, starting=False)
    del manager["route_config"]["@type"]
    clusters = [make_cluster(cluster, settings) for cluster in table.clusters]
    clusters.append(make_front_cluster(settings))
    resources = {"listeners": [listener], "clusters": clusters}
    for resource in [listener, *clusters]:
        del resource["@type"]
    del bootstrap["dynamic_resources"]
    clusters += bootstrap["static_resources"]["clusters"]
    return json.dumps({**bootstrap, "static_resources": resources}).encode()


@given(tables(), st.booleans())
@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_envoy_finds_every_rendered_table_valid(
    tmp_path: Path, table: RouteTable, access_log: bool
) -> None:
    settings = GatewaySettings(access_log=access_log)
    path = tmp_path / "bootstrap.json"
    path.write_bytes(static_bootstrap(table, tmp_path, settings))
    command = (str(envoy_binary()), "--mode", "validate", "--config-path", str(path))
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert "Deprecated" not in ended.stderr
