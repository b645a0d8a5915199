"""What is read of Envoy's view, and what is asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.gateway import bare, held
from sampan.gateway.health import (
    EndpointHealth,
    Members,
    make_clusters_path,
    make_members,
    select_unclear,
)
from sampan.gateway.health_reader import HealthReader
from sampan.gateway.table import Endpoint


class FakeAdmin:
    """The edge: Envoy's admin interface. `health` is true of each endpoint by port, by cluster."""

    def __init__(self, **health: dict[int, bool]) -> None:
        self.health = health
        self.asked: list[str] = []
        self.warming: set[str] = set()
        self.error: OSError | None = None

    async def ask(self, path: str) -> bytes:
        self.asked.append(path)
        if self.error:
            raise self.error
        if path.startswith("/stats"):
            return "".join(f"{line}\n" for line in self._gauges()).encode()
        wanted = "".join(parse_qs(urlsplit(path).query).get("filter", []))
        names = [n for n in self.health if not wanted or n in wanted.strip("^()$").split("|")]
        listed = [self._status(n) for n in names if n not in self.warming]
        return orjson.dumps({"cluster_statuses": listed})

    def _gauges(self) -> Iterator[str]:
        for name, ports in self.health.items():
            yield f"cluster.{name}.membership_healthy: {sum(ports.values())}"
            yield f"cluster.{name}.membership_total: {len(ports)}"

    def _status(self, name: str) -> dict[str, Any]:
        def host(port: int, healthy: bool) -> dict[str, Any]:
            address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
            status = {} if healthy else {"failed_active_health_check": True}
            return {"address": address, "health_status": status}

        hosts = [host(port, healthy) for port, healthy in self.health[name].items()]
        return {"name": name, "host_statuses": hosts}


def told(**health: dict[int, bool]) -> dict[str, tuple[EndpointHealth, ...]]:
    return {
        name: tuple(EndpointHealth(Endpoint("127.0.0.1", p), healthy=h) for p, h in ports.items())
        for name, ports in health.items()
    }


async def test_the_same_value_is_told_and_only_numbers_are_asked_while_nothing_changes() -> None:
    admin = FakeAdmin(iris={1: True}, wine={2: False})
    reader = HealthReader(admin.ask)
    first = await reader.read()
    assert first == told(iris={1: True}, wine={2: False})
    admin.asked.clear()
    assert await reader.read() is first
    assert [path.partition("?")[0] for path in admin.asked] == ["/stats"]


async def test_only_the_cluster_whose_numbers_changed_is_asked_for() -> None:
    admin = FakeAdmin(iris={1: True}, wine={2: True})
    reader = HealthReader(admin.ask)
    await reader.read()
    admin.health["wine"] = {2: False}
    assert await reader.read() == told(iris={1: True}, wine={2: False})
    assert admin.asked[-1] == make_clusters_path(["wine"])


async def test_two_endpoints_that_change_places_are_told() -> None:
    admin = FakeAdmin(iris={1: True, 2: False})
    reader = HealthReader(admin.ask)
    await reader.read()
    admin.health["iris"] = {1: False, 2: True}
    assert await reader.read() == told(iris={1: False, 2: True})


async def test_a_cluster_that_got_another_endpoint_is_asked_for() -> None:
    admin = FakeAdmin(iris={1: True})
    reader = HealthReader(admin.ask)
    await reader.read()
    admin.health["iris"] = {2: True}
    reader.forget(["iris", "one that is gone"])
    assert await reader.read() == told(iris={2: True})


async def test_a_cluster_that_is_not_in_use_yet_is_asked_for_until_it_is() -> None:
    admin = FakeAdmin(iris={1: False})
    admin.warming = {"iris"}
    reader = HealthReader(admin.ask)
    assert await reader.read() == {"iris": ()}
    admin.warming = set()
    assert await reader.read() == told(iris={1: False})


async def test_a_cluster_that_is_gone_is_told_no_more() -> None:
    admin = FakeAdmin(iris={1: True}, wine={2: True})
    reader = HealthReader(admin.ask)
    await reader.read()
    del admin.health["wine"]
    assert await reader.read() == told(iris={1: True})


async def test_after_an_answer_that_did_not_come_everything_is_asked_for() -> None:
    admin = FakeAdmin(iris={1: True})
    reader = HealthReader(admin.ask)
    await reader.read()
    admin.error = ConnectionResetError()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    admin.error, admin.health["iris"] = None, {2: True}
    assert await reader.read() == told(iris={2: True})


def test_the_gateways_own_clusters_are_nobodys() -> None:
    names = [held.CLUSTER, bare.CLUSTER, "default/iris-predictor.v1"]
    stats = [f"cluster.{name}.membership_total: 1" for name in names]
    told = "\n".join([*stats, "server.live: 1", "", "cluster.x.membership_total: none"]).encode()
    assert make_members({}, b"", told) == {"default/iris-predictor.v1": Members(0, 1)}


Counts = dict[str, tuple[int, int]]
COUNTS = st.dictionaries(
    st.sampled_from(["a", "a.b", "default/iris", "default/iris/grpc"]),
    st.tuples(st.integers(0, 2), st.integers(0, 3)),
)


@given(st.lists(COUNTS, min_size=1))
def test_numbers_read_one_after_the_other_are_those_read_at_once(answers: list[Counts]) -> None:
    def text(counts: Counts) -> bytes:
        return "".join(
            f"cluster.{name}.membership_healthy: {healthy}\n"
            f"cluster.{name}.membership_total: {total}\n"
            for name, (healthy, total) in counts.items()
        ).encode()

    members: dict[str, Members] = {}
    for before, now in pairwise(({}, *answers)):
        members = make_members(members, text(before), text(now))
        assert members == {name: Members(*counts) for name, counts in now.items()}


@pytest.mark.parametrize(
    ("before", "now", "unclear"),
    [
        pytest.param(Members(1, 1), Members(1, 1), False, id="all healthy, as before"),
        pytest.param(Members(0, 2), Members(0, 2), False, id="none healthy, as before"),
        pytest.param(Members(1, 2), Members(1, 2), True, id="some healthy, nobody knows which"),
        pytest.param(Members(1, 1), Members(0, 1), True, id="one lost"),
        pytest.param(None, Members(0, 0), True, id="new, without endpoints"),
    ],
)
def test_whether_numbers_tell_all(before: Members | None, now: Members, unclear: bool) -> None:
    known = {} if before is None else {"iris": before}
    assert bool(select_unclear(known, {"iris": now})) is unclear


def test_of_many_clusters_all_are_asked_for() -> None:
    assert make_clusters_path([f"c{n}" for n in range(51)]) == "/clusters?format=json"
    assert make_clusters_path(["a.b"]).endswith("%5E%28a%5C.b%29%24")
