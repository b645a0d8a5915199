"""Envoy's own reading of a table in bytes against its reading of the same table in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sampan.gateway.bare import make_front_cluster
from sampan.gateway.binary import (
    DOUBLE,
    DURATION,
    FLAG,
    NUMBER,
    OPTIONAL_NUMBER,
    TEXT,
    Field,
    decode_resources,
    encode_field,
    encode_resource,
    make_choice,
    make_map,
    make_message,
)
from sampan.gateway.config import CLUSTERS_FILE, ROUTES_FILE, ConfigFile
from sampan.gateway.config_clusters import make_cluster
from sampan.gateway.config_routes import make_frame, make_hosts, make_last, make_paths, make_routes
from sampan.gateway.delivery import Delivery
from sampan.gateway.listener import Gateway
from sampan.gateway.messages_routes import HOSTS_FIELD, ROUTE_MESSAGES, ROUTES_FIELD
from sampan.gateway.rendering import Rendering
from sampan.gateway.table import Cluster, ComponentRoute, Endpoint, RouteTable, Share, TableRoute

ENDPOINTS = (Endpoint("127.0.0.1", 9000), Endpoint("::1", 65535))
CLUSTERS = (
    Cluster("default/iris-predictor/v1-a", ENDPOINTS),
    Cluster("default/iris-predictor/v1-a/grpc", ENDPOINTS, "/health", http2=True, concurrency=3),
    Cluster("default/iris-transformer/v2", (), ""),
)
FIRST, GRPC, OTHER = (cluster.name for cluster in CLUSTERS)
ROUTES = (
    TableRoute(
        "default/iris",
        ("iris.default.localhost", "Iris.example.com"),
        "/serving/default/iris",
        (Share(FIRST, 90), Share(OTHER, 10, "default/iris-transformer")),
        timeout_seconds=7,
        grpc_shares=(Share(GRPC),),
        components=(
            ComponentRoute("predictor", ("iris-predictor.default.localhost",), (Share(FIRST),)),
            ComponentRoute("explainer", (), (Share(OTHER),), timeout_seconds=0, explains=True),
        ),
    ),
    TableRoute("default/gone", (), "/serving/default/gone", unavailable='50 % of "ö" is away'),
)
TABLE = RouteTable(ROUTES, CLUSTERS)


def in_json(gateway: Gateway, table: RouteTable) -> tuple[ConfigFile, ConfigFile]:
    """The two files of a table as JSON, at paths of their own."""
    routes = [make_routes(table, gateway.settings, starting=False)]
    clusters = [make_cluster(cluster, gateway.settings) for cluster in table.clusters]
    clusters.append(make_front_cluster(gateway.settings))
    stats = ("http.gateway.rds.routes.version_text", "cluster_manager.cds.version_text")
    names = (ROUTES_FILE, CLUSTERS_FILE)
    found = [
        ConfigFile(
            name.replace(".pb", ".json"),
            "json",
            stat,
            json.dumps({"version_info": "json", "resources": resources}).encode(),
        )
        for name, stat, resources in zip(names, stats, (routes, clusters), strict=True)
    ]
    return found[0], found[1]


async def dump(gateway: Gateway) -> dict[str, Any]:
    """What Envoy says of the routes and clusters that it has, less versions and times."""
    told = await gateway._delivery.admin("/config_dump")
    found: dict[str, Any] = {}
    for part in told["configs"]:
        for entry in part.get("dynamic_route_configs", ()):
            found["routes"] = entry["route_config"]
        for entry in part.get("dynamic_active_clusters", ()):
            found[entry["cluster"]["name"]] = entry["cluster"]
    return found


async def test_envoy_reads_in_the_bytes_what_it_reads_in_the_json(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert await gateway.apply(TABLE) == ()
    from_bytes = await dump(gateway)
    await gateway.close()
    # The same Envoy by files in JSON: its bootstrap and listener name those instead.
    routes, clusters = in_json(gateway, TABLE)
    folder = tmp_path / "gateway"
    bootstrap = (folder / "bootstrap.json").read_text().replace(CLUSTERS_FILE, clusters.path)
    listeners = (folder / "listeners.json").read_text().replace(ROUTES_FILE, routes.path)
    (folder / "listeners.json").write_text(listeners)
    for file in (routes, clusters):
        (folder / file.path).write_bytes(file.body)
    gateway._envoy.start(gateway._command, bootstrap.encode())
    await Delivery(gateway._folder, gateway._envoy, gateway._clock).deliver([clusters, routes])
    from_json = await dump(gateway)
    assert set(from_bytes) == {"routes", "front", *(cluster.name for cluster in CLUSTERS)}
    assert from_bytes == from_json


def test_parts_that_are_encoded_already_are_joined_to_the_same_bytes(gateway: Gateway) -> None:
    settings = gateway.settings
    hosts = [
        Field(encode_field(*HOSTS_FIELD, host))
        for route in ROUTES
        for host in make_hosts(route, settings)
    ]
    paths = [
        Field(encode_field(*ROUTES_FIELD, entry))
        for route in ROUTES
        for entry in make_paths(route, settings)
    ]
    joined = make_frame(hosts, paths, make_last(ROUTES, starting=False))
    whole = make_routes(TABLE, settings, starting=False)
    assert encode_resource(joined, ROUTE_MESSAGES) == encode_resource(whole, ROUTE_MESSAGES)


def test_a_file_tells_its_resources_by_name(gateway: Gateway) -> None:
    file = Rendering(gateway.settings).routes(TABLE)
    ((name, field),) = decode_resources(file.body)
    assert name == "routes"
    assert file.body.endswith(field)


KIND = make_message(
    "Example",
    {
        "text": (1, TEXT),
        "number": (2, NUMBER),
        "flag": (16, FLAG),
        "double": (4, DOUBLE),
        "wait": (5, DURATION),
        "least": (6, OPTIONAL_NUMBER),
        "choice": (7, make_choice(NONE=0, SOME=3)),
        "map": (8, make_map(TEXT)),
    },
)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        pytest.param({"text": "aö"}, "0a 03 61 c3 b6", id="a text is its UTF-8"),
        pytest.param({"text": ["a", "b"]}, "0a 01 61 0a 01 62", id="a list is a field repeated"),
        pytest.param({"number": 300}, "10 ac 02", id="a number is a varint"),
        pytest.param({"flag": True}, "80 01 01", id="a field above 15 has a tag of two bytes"),
        pytest.param({"double": 1}, "21 00 00 00 00 00 00 f0 3f", id="a double has eight bytes"),
        pytest.param({"wait": "0s"}, "2a 00", id="no time is an empty message, not an absent one"),
        pytest.param({"wait": "0.010s"}, "2a 05 10 80 ad e2 04", id="a duration has nanoseconds"),
        pytest.param({"wait": "1.5s"}, "2a 08 08 01 10 80 ca b5 ee 01", id="and seconds"),
        pytest.param({"least": 0}, "32 02 08 00", id="an optional number of zero is there"),
        pytest.param({"choice": "SOME"}, "38 03", id="a choice is its number"),
        pytest.param(
            {"map": {"a": "b", "c": "d"}},
            "42 06 0a 01 61 12 01 62 42 06 0a 01 63 12 01 64",
            id="a map is a message an entry",
        ),
        pytest.param(
            {"text": [Field(b"\x0a\x01\x61"), "b"]},
            "0a 01 61 0a 01 62",
            id="a field that is encoded stays as it is",
        ),
    ],
)
def test_a_value_is_encoded_as_protocol_buffers_say(value: Any, encoded: str) -> None:
    assert KIND.encode(value) == bytes.fromhex(encoded)


def test_a_field_that_nobody_has_numbered_is_named() -> None:
    with pytest.raises(ValueError, match='"txt" is no known field of Envoy\'s message "Example"'):
        KIND.encode({"txt": "a"})


def test_a_message_that_nobody_has_told_of_is_named() -> None:
    with pytest.raises(ValueError, match='"type/None" is no known message'):
        encode_resource({"@type": "type/None"}, ROUTE_MESSAGES)
