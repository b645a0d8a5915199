"""Options of steps over real connections: what only time, headers and other processes show."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from tests.router.conftest import Serve, Town
from tests.router.graph_cases import IRIS, OK, ask, node

GOOD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def root(step: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"root": node("Sequence", {**step, "sampan": options})}


class Peer:
    """Answers its first requests with what it is given, then with what is good."""

    def __init__(self, *first: bytes | None) -> None:
        self.first = list(first)
        self.asked = 0
        self.came = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            self.came.set()
            answer = self.first.pop(0) if self.first else GOOD
            if answer is None:  # takes the request, and says nothing until the router leaves
                await reader.read()
                self.left.set()
                return
            writer.write(answer)


async def url_of(town: Town, serve: Serve) -> dict[str, Any]:
    return {"serviceUrl": await town.peer(serve), "name": "s"}


async def test_a_step_that_is_busy_for_a_moment_is_asked_again(
    town: Town, client: httpx.AsyncClient
) -> None:
    peer = Peer(BUSY, BUSY)
    url = await town.graph(root(await url_of(town, peer.serve), attempts=3))
    assert (await client.get(url)).status_code == 200
    assert peer.asked == 3


async def test_a_step_that_closes_instead_of_answering_is_asked_again(
    town: Town, client: httpx.AsyncClient
) -> None:
    asked = 0

    async def once_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        if asked > 1:
            writer.write(GOOD)

    url = await town.graph(root(await url_of(town, once_closed), attempts=2))
    assert (await client.get(url)).status_code == 200


async def test_a_service_that_stays_down_is_not_asked_many_times_as_much(
    town: Town, client: httpx.AsyncClient
) -> None:
    town.services.answers = {"one": (503, {})}
    url = await town.graph(root(ask("one"), attempts=3, budget=10))
    for _ in range(40):
        assert (await client.get(url)).status_code == 503
    # 40 requests, 10 more in a burst, and a tenth of the requests.
    assert 50 <= len(town.services.asked) <= 54


async def test_a_step_has_a_time_limit_of_its_own(town: Town, client: httpx.AsyncClient) -> None:
    peer = Peer(None)
    nodes = root(await url_of(town, peer.serve), timeout="200ms")
    url = await town.graph(nodes, routerTimeouts={"serviceClient": 60})
    answer = await client.get(url)
    assert answer.status_code == 500
    assert "did not answer within 0.2 seconds" in answer.json()["cause"]
    await asyncio.wait_for(peer.left.wait(), 20)


async def test_a_slow_call_is_made_again_and_the_first_answer_taken(
    town: Town, client: httpx.AsyncClient
) -> None:
    peer = Peer(None)
    url = await town.graph(root(await url_of(town, peer.serve), hedge="50ms"))
    assert (await client.get(url)).status_code == 200
    assert peer.asked == 2
    await asyncio.wait_for(peer.left.wait(), 20)  # the slow one is called off


async def test_a_quick_call_is_made_once(town: Town, client: httpx.AsyncClient) -> None:
    peer = Peer()
    url = await town.graph(root(await url_of(town, peer.serve), hedge="20s"))
    for _ in range(5):
        assert (await client.get(url)).status_code == 200
    assert peer.asked == 5


async def test_a_call_that_fails_at_once_is_not_hedged(
    town: Town, client: httpx.AsyncClient
) -> None:
    peer = Peer(BUSY)
    url = await town.graph(root(await url_of(town, peer.serve), hedge="20s"))
    assert (await client.get(url)).status_code == 503
    assert peer.asked == 1


async def test_a_client_that_leaves_calls_off_both_of_a_hedged_call(town: Town) -> None:
    came, left, asked, both = 0, 0, asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came, left
        await reader.readuntil(b"\r\n\r\n")
        came += 1
        if came == 2:
            asked.set()
        await reader.read()
        left += 1
        if left == 2:
            both.set()

    url = await town.graph(root(await url_of(town, hang), hedge="10ms"))
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.wait_for(asked.wait(), 20)
    writer.close()
    await asyncio.wait_for(both.wait(), 20)


async def test_nobody_waits_for_a_mirrored_call(town: Town, client: httpx.AsyncClient) -> None:
    shadow = Peer(None)
    town.services.answers = {"one": (200, OK)}
    step = {**await url_of(town, shadow.serve), "sampan": {"mirror": True, "timeout": "24h"}}
    url = await town.graph({"root": node("Sequence", step, ask("one"))})
    assert (await client.post(url, json=IRIS)).json() == OK
    await asyncio.wait_for(shadow.came.wait(), 20)


async def test_a_mirrored_call_goes_on_when_its_client_has_left(town: Town) -> None:
    came, shadow = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        await reader.read()

    async def mirrored(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        gone = asyncio.ensure_future(reader.read(1))
        done, _ = await asyncio.wait({gone}, timeout=0.5)
        if not done:
            writer.write(GOOD)
            shadow.set()
        gone.cancel()

    first = {"serviceUrl": await town.peer(mirrored), "sampan": {"mirror": True}}
    url = await town.graph({"root": node("Sequence", first, await url_of(town, slow))})
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.wait_for(came.wait(), 20)
    writer.close()
    await asyncio.wait_for(shadow.wait(), 20)


async def test_mirrored_calls_under_way_are_bounded(town: Town, client: httpx.AsyncClient) -> None:
    held, all_held = 0, asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal held
        held += 1
        if held == 64:
            all_held.set()
        await reader.read()

    town.services.answers = {"one": (200, OK)}
    step = {"serviceUrl": await town.peer(hang), "sampan": {"mirror": True}}
    url = await town.graph({"root": node("Sequence", step, ask("one"))})
    for _ in range(80):
        assert (await client.post(url, json=IRIS)).status_code == 200
    await asyncio.wait_for(all_held.wait(), 20)
    await asyncio.sleep(0.1)
    assert held == 64
    metrics = (await client.get(f"{url}/metrics")).text
    assert "sampan_graph_mirrored_dropped_total 16.0" in metrics


async def test_a_step_s_headers_go_before_those_of_the_request(
    town: Town, client: httpx.AsyncClient
) -> None:
    town.services.answers = {"one": (200, OK), "two": (200, OK)}
    own = {"headers": {"X-Tenant": "ours", "Content-Type": "application/cloudevents+json"}}
    nodes = {"root": node("Sequence", ask("one", sampan=own), ask("two"))}
    url = await town.graph(nodes, headers="X-.*")
    await client.post(url, json=IRIS, headers={"X-Tenant": "theirs", "X-Id": "7"})
    first, second = (request.headers for request in town.services.asked)
    assert [v for n, v in first if n == b"x-tenant"] == [b"ours"]
    assert [v for n, v in first if n == b"x-id"] == [b"7"]
    assert [v for n, v in first if n == b"content-type"] == [b"application/cloudevents+json"]
    assert [v for n, v in second if n == b"x-tenant"] == [b"theirs"]
    assert [v for n, v in second if n == b"content-type"] == [b"application/json"]


async def test_a_step_s_path_replaces_the_url_s(town: Town, client: httpx.AsyncClient) -> None:
    town.services.answers = {"two": (200, OK)}
    url = await town.graph(root(ask("one/v1?x=1"), path="/two/v2/models/m/infer"))
    assert (await client.post(url, json=IRIS)).json() == OK
    assert [request.target for request in town.services.asked] == [b"/two/v2/models/m/infer"]


async def test_a_stream_goes_through_a_step_that_has_a_fallback(
    town: Town, client: httpx.AsyncClient
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        await reader.read()

    town.services.answers = {"spare": (200, OK)}
    step = await url_of(town, talk)
    spare = {"serviceUrl": f"{town.base}/spare"}
    url = await town.graph(root(step, attempts=2, fallback=spare))
    async with client.stream("GET", url) as answer:
        assert await anext(answer.aiter_bytes()) == b"data: 1\n\n"
    assert town.services.asked == []


async def test_a_busy_stream_is_asked_again(town: Town, client: httpx.AsyncClient) -> None:
    busy = (
        b"HTTP/1.1 503 Busy\r\ncontent-type: text/event-stream\r\ncontent-length: 9\r\n\r\n"
        b"data: no\n"
    )
    peer = Peer(busy)
    url = await town.graph(root(await url_of(town, peer.serve), attempts=2))
    assert (await client.get(url)).json() == {}
    assert peer.asked == 2
