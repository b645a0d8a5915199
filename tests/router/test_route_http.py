"""The same table over real connections, and what only they show: methods, headers, readiness."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import orjson
import pytest
from tests.router.conftest import Town
from tests.router.graph_cases import CASES, DOWN, IRIS, OK, Case, ask, enter, node
from tests.router.test_graph_semantics import assert_answered, decode, encode


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def with_real_addresses(nodes: dict[str, Any], case: Case) -> dict[str, Any]:
    """Services that are down are at a port where nobody listens."""
    text = orjson.dumps(nodes)
    for name, answer in case.services.items():
        if answer == DOWN:
            address = f"http://127.0.0.1:{closed_port()}/{name}"
            text = text.replace(f'"svc://{name}"'.encode(), f'"{address}"'.encode())
    return orjson.loads(text)


@pytest.mark.parametrize("fused", [False, True], ids=["over HTTP", "fused"])
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
async def test_graph(town: Town, client: httpx.AsyncClient, case: Case, fused: bool) -> None:
    town.fused = fused
    town.services.answers = {k: v for k, v in case.services.items() if v != DOWN}
    url = await town.graph(with_real_addresses(case.nodes, case), draw=case.draw)
    answer = await client.post(url, content=encode(case.request))
    body = decode(answer.content)
    if isinstance(body, dict) and "cause" in body and "url" in body:
        assert body["url"].startswith(("http://127.0.0.1:", "local:/"))
        body["url"] = f"svc://{body['url'].rpartition('/')[2]}"
    assert_answered(case, answer.status_code, body)
    if isinstance(body, dict | list):
        assert answer.headers["content-type"] == "application/json"
    asked = [(r.target.decode()[1:], decode(r.body)) for r in town.services.asked]
    if case.asked is not None:
        reached = [(name, body) for name, body in case.asked if case.services[name] != DOWN]
        assert [a[0] for a in asked] == [r[0] for r in reached]
        assert [a for a, r in zip(asked, reached, strict=True) if r[1] not in (None, a[1])] == []


PIPE = {"root": node("Sequence", ask("one"))}


async def test_whatever_the_method_and_the_path_steps_are_posted_to(
    town: Town, client: httpx.AsyncClient
) -> None:
    town.services.answers = {"one": (200, OK)}
    url = await town.graph({"root": node("Sequence", ask("one/v1/models/m:predict?a=1"))})
    for method, path in (("PUT", "/any/path?x=1"), ("GET", "/"), ("DELETE", "/v2")):
        assert (await client.request(method, url + path)).json() == OK
    heads = [(r.method, r.target) for r in town.services.asked]
    assert heads == [(b"POST", b"/one/v1/models/m:predict?a=1")] * 3


HEADERS = {
    "Authorization": "Bearer t",
    "Test-Header-One": "1",
    "X-Other": "o",
    "Content-Type": "text/csv",
    "Connection": "keep-alive",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


@pytest.mark.parametrize(
    ("patterns", "passed"),
    [
        pytest.param("", set(), id="nothing by default"),
        pytest.param("Authorization,Test-Header-*", {"authorization", "test-header-one"},
                     id="what patterns name, in Go's spelling of names"),
        pytest.param("X-", {"x-other"}, id="a pattern is found anywhere in the name"),
        pytest.param("authorization", set(), id="letter case counts"),
        pytest.param("Auth(,X-Other", {"x-other"}, id="a pattern that is none is passed over"),
        pytest.param(".*", {"authorization", "test-header-one", "x-other", "content-type"},
                     id="everything, but for what belongs to the connection"),
    ],
)  # fmt: skip
async def test_headers(
    town: Town, client: httpx.AsyncClient, patterns: str, passed: set[str]
) -> None:
    town.services.answers = {"one": (200, OK)}
    url = await town.graph(PIPE, headers=patterns)
    await client.post(url, json=IRIS, headers=HEADERS)
    [request] = town.services.asked
    got = request.texts()
    sent = {name.lower() for name in HEADERS} - {"connection", "traceparent"}
    assert {name for name in sent if name in got and got[name] == HEADERS[name.title()]} == passed
    assert got["traceparent"] == HEADERS["traceparent"]
    assert "connection" not in got
    assert len([1 for name, _ in request.headers if name == b"content-length"]) == 1
    if "content-type" not in passed:
        assert got["content-type"] == "application/json"


async def test_headers_go_to_every_step_and_none_of_theirs_comes_back(
    town: Town, client: httpx.AsyncClient
) -> None:
    town.services.answers = {"one": (200, OK), "two": (200, OK)}
    url = await town.graph({"root": node("Sequence", ask("one"), ask("two"))}, headers="X-Id")
    answer = await client.post(url, json=IRIS, headers={"X-Id": "7"})
    assert [r.texts()["x-id"] for r in town.services.asked] == ["7", "7"]
    assert "x-id" not in answer.headers


async def test_readyz_is_the_router_s_own_and_503_while_it_stops(
    town: Town, client: httpx.AsyncClient
) -> None:
    url = await town.graph(PIPE)
    ready = await client.get(f"{url}/readyz")
    assert (ready.status_code, ready.content) == (200, b"")
    town.fronts[0].stopping = True
    stopping = await client.get(f"{url}/readyz")
    assert (stopping.status_code, stopping.text) == (503, "shutting down")
    assert town.services.asked == []


async def test_connections_are_kept_and_used_again(town: Town, client: httpx.AsyncClient) -> None:
    peers = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    url = await town.graph(
        {"root": node("Sequence", *[{"serviceUrl": await town.peer(serve)}] * 5)}
    )
    for _ in range(4):
        assert (await client.get(url)).json() == {}
    assert len(peers) == 1


async def test_a_large_body_goes_through_whole(town: Town, client: httpx.AsyncClient) -> None:
    body = bytes(range(256)) * 40_000
    town.services.answers = {"one": (200, body), "two": (200, body[::-1])}
    steps = (ask("one"), ask("two", data="$response"))
    url = await town.graph({"root": node("Sequence", *steps)})
    answer = await client.post(url, content=body)
    assert answer.content == body[::-1]
    assert [r.body for r in town.services.asked] == [body, body]


async def test_a_splitter_keeps_its_shares(town: Town, client: httpx.AsyncClient) -> None:
    town.services.answers = {"one": (200, {"by": 1}), "two": (200, {"by": 2})}
    steps = (ask("one", weight=20), ask("two", weight=80))
    graph = {"root": node("Splitter", *steps)}
    taken = [
        (await client.get(await town.graph(graph, draw=d))).json()["by"] for d in range(0, 100, 5)
    ]
    assert (taken.count(1), taken.count(2)) == (4, 16)


async def test_metrics_count_requests_and_the_calls_of_each_step(
    town: Town, client: httpx.AsyncClient
) -> None:
    town.services.answers = {"one": (200, {"a": 1}), "two": (503, {"b": 2})}
    gone = {"serviceUrl": f"http://127.0.0.1:{closed_port()}/", "condition": "gone"}
    steps = (gone, enter("both", condition="@this"))
    nodes = {
        "root": node("Switch", *steps),
        "both": node("Ensemble", ask("one", name='say "a"'), ask("two")),
    }
    url = await town.graph(nodes)
    for body in ({}, {}, {"gone": 1}):
        await client.post(url, json=body)
    answer = await client.get(f"{url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if line.startswith("sampan_graph_")]
    assert [line for line in lines if "_bucket" not in line and "_sum" not in line] == [
        'sampan_graph_requests_total{code="200"} 2.0',
        'sampan_graph_requests_total{code="500"} 1.0',
        'sampan_graph_step_requests_total{node="root",step="0",code="ConnectionRefused"} 1.0',
        'sampan_graph_step_requests_total{node="both",step="say \\"a\\"",code="200"} 2.0',
        'sampan_graph_step_requests_total{node="both",step="1",code="503"} 2.0',
        'sampan_graph_step_duration_seconds_count{node="root",step="0"} 1.0',
        'sampan_graph_step_duration_seconds_count{node="both",step="say \\"a\\""} 2.0',
        'sampan_graph_step_duration_seconds_count{node="both",step="1"} 2.0',
    ]
