"""Requests held by a real Envoy: woken once, let go in order, refused with a reason."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import pytest

from sampan.activator.activator import LAG_SECONDS

from .conftest import PATH, WORKLOAD, Bench, Server, make_table


async def test_a_held_request_wakes_its_workload_and_goes_on_with_its_body(
    bench: Bench, server: Server
) -> None:
    await bench.hold()
    asking = asyncio.create_task(bench.post(b"y" * 300_000))
    await bench.until_waiting(1)
    assert (bench.woken, server.seen) == ([WORKLOAD], [])
    await bench.open(server)
    answer = await asking
    assert (answer.status_code, answer.content) == (200, b"y" * 300_000)
    assert answer.headers["server-timing"].startswith("activator;dur=")


async def test_a_hundred_that_wait_wake_it_once_and_each_is_answered_once(
    bench: Bench, server: Server
) -> None:
    await bench.hold()
    asking = [asyncio.create_task(bench.post(b"%d" % number)) for number in range(100)]
    await bench.until_waiting(100)
    await bench.open(server)
    answers = [await one for one in asking]
    assert bench.woken == [WORKLOAD]
    assert [a.content for a in answers] == [b"%d" % number for number in range(100)]
    assert sorted(server.seen) == sorted(b"%d" % number for number in range(100))


async def test_a_warm_route_never_asks_the_activator(bench: Bench, server: Server) -> None:
    await bench.open(server)
    answer = await bench.post()
    assert answer.status_code == 200
    assert "server-timing" not in answer.headers
    assert bench.woken == []


async def test_what_can_be_reached_is_not_kept_though_its_route_is_still_held(
    bench: Bench, server: Server
) -> None:
    await bench.open(server, held=WORKLOAD)
    answer = await bench.post()
    assert (answer.status_code, bench.woken) == (200, [])


async def test_nobody_is_let_go_to_what_envoy_is_about_to_lose(
    bench: Bench, server: Server
) -> None:
    await bench.open(server, held=WORKLOAD)
    bench.activator.leaving(make_table(held=WORKLOAD))
    asking = asyncio.create_task(bench.post())
    await bench.until_waiting(1)
    assert bench.woken == [WORKLOAD]
    await bench.hold()
    assert not asking.done()
    await bench.open(server)
    assert (await asking).status_code == 200


async def test_who_was_just_let_go_finds_the_endpoint_though_it_is_on_its_way_out(
    bench: Bench, server: Server
) -> None:
    await bench.open(server, held=WORKLOAD)
    began = asyncio.get_running_loop().time()
    assert (await bench.post()).status_code == 200
    await bench.hold()
    assert asyncio.get_running_loop().time() >= began + LAG_SECONDS


async def test_an_endpoint_to_which_nobody_was_let_go_goes_at_once(
    bench: Bench, server: Server
) -> None:
    await bench.open(server)
    assert (await bench.post()).status_code == 200  # a warm route asks nobody
    assert bench.activator.leaving(make_table(held=WORKLOAD)) == 0


async def test_a_client_that_leaves_is_dropped_and_its_request_never_sent(
    bench: Bench, server: Server
) -> None:
    await bench.hold()
    leaving, staying = (asyncio.create_task(bench.post(b)) for b in (b"leaves", b"stays"))
    await bench.until_waiting(2)
    leaving.cancel()
    await bench.until_waiting(1)
    await bench.open(server)
    assert (await staying).content == b"stays"
    assert server.seen == [b"stays"]


async def test_who_waits_too_long_gets_504_and_the_reason(bench: Bench) -> None:
    await bench.hold(timeout_seconds=1)
    answer = await bench.post()
    assert answer.status_code == 504
    assert answer.json() == {"error": f'"{WORKLOAD}" was not up within 1 s: {WORKLOAD} will not'}
    assert bench.activator.waiting(WORKLOAD) == 0


@pytest.mark.parametrize("limit", [3])
async def test_who_finds_the_queue_full_gets_503_and_when_to_try_again(
    bench: Bench, server: Server
) -> None:
    await bench.hold()
    asking = [asyncio.create_task(bench.post()) for _ in range(3)]
    await bench.until_waiting(3)
    refused = await bench.post()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["error"].startswith("3 requests wait for")
    await bench.open(server)
    assert [(await one).status_code for one in asking] == [200, 200, 200]


async def test_container_concurrency_is_kept_at_release(bench: Bench, server: Server) -> None:
    server.delay = 0.03
    await bench.hold()
    asking = [asyncio.create_task(bench.post(b"%d" % number)) for number in range(12)]
    await bench.until_waiting(12)
    await bench.open(server, concurrency=2, held=WORKLOAD)
    assert [(await one).status_code for one in asking] == [200] * 12
    assert server.most <= 2
    assert sorted(map(int, server.seen)) == list(range(12))


async def test_a_websocket_is_held_and_then_opened(bench: Bench) -> None:
    await bench.hold()
    asking = asyncio.create_task(open_websocket(bench.gateway.settings.port))
    await bench.until_waiting(1)
    listening = await asyncio.start_server(echo_websocket, "127.0.0.1", 0)
    await bench.open(Server(port=listening.sockets[0].getsockname()[1]))
    head, reader, writer = await asking
    assert head.startswith(b"HTTP/1.1 101")
    writer.write(b"bytes of a websocket")
    async with asyncio.timeout(20):
        assert await reader.readexactly(20) == b"bytes of a websocket"
    writer.close()
    listening.close()


async def open_websocket(port: int) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for one; return the head of the answer, and the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {PATH}/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: c2FtcGFuIHdlYnNvY2tldA==\r\n\r\n".encode()
    )
    return await reader.readuntil(b"\r\n\r\n"), reader, writer


async def echo_websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take an upgrade and send back whatever comes; a check of health is answered too."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"upgrade: websocket" not in head.lower():
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            return
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        )
        while piece := await reader.read(1000):
            writer.write(piece)
    writer.close()


@pytest.mark.parametrize(
    ("http2", "accept"),
    [
        pytest.param(True, "*/*", id="over HTTP/2"),
        pytest.param(False, "text/event-stream", id="that wants a stream of events"),
        pytest.param(True, "text/event-stream", id="that wants a stream of events over HTTP/2"),
    ],
)
async def test_a_request_is_held(bench: Bench, server: Server, http2: bool, accept: str) -> None:
    await bench.hold()
    async with httpx.AsyncClient(
        base_url=bench.client.base_url, http1=not http2, http2=http2, timeout=30
    ) as client:
        asking = asyncio.create_task(
            client.post(PATH, content=b"y" * 100_000, headers={"accept": accept})
        )
        await bench.until_waiting(1)
        await bench.open(server)
        answer = await asking
    assert (answer.status_code, answer.content) == (200, b"y" * 100_000)
    assert server.seen == [b"y" * 100_000]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        pytest.param({"timeout_seconds": 1}, 504, "was not up within 1 s", id="the service's own"),
        pytest.param({}, 0, "", id="none of the service's: for minutes, longer than this test"),
        pytest.param({"timeout_seconds": 0}, 0, "", id="0: without an end"),
    ],
)
async def test_how_long_a_request_may_wait(
    bench: Bench, fields: dict[str, int], status: int, words: str
) -> None:
    await bench.hold(**fields)
    asking = asyncio.create_task(bench.post())
    await bench.until_waiting(1)
    done, _ = await asyncio.wait({asking}, timeout=20 if status else 1.5)
    if status:
        answer = asking.result()
        assert (answer.status_code, words in answer.json()["error"]) == (status, True)
    else:
        assert not done
        asking.cancel()


async def test_a_body_larger_than_what_envoy_keeps_arrives_whole(
    bench: Bench, server: Server
) -> None:
    await bench.hold()
    asking = asyncio.create_task(bench.post(b"z" * 5_000_000))
    await bench.until_waiting(1)
    await bench.open(server)
    answer = await asking
    assert (answer.status_code, len(answer.content)) == (200, 5_000_000)


async def test_grpc_calls_are_refused_in_their_own_form(bench: Bench) -> None:
    await bench.hold(timeout_seconds=1)
    headers = {"content-type": "application/grpc"}
    answer = await bench.post(b"", PATH + "/inference.GRPCInferenceService/ModelInfer",
                              headers=headers)  # fmt: skip
    assert (answer.status_code, answer.headers["grpc-status"]) == (200, "14")
    assert "was not up within 1 s" in answer.headers["grpc-message"]


async def test_whoever_waits_when_the_activator_dies_is_answered_through_the_next(
    bench: Bench, server: Server
) -> None:
    await bench.hold()
    asking = [asyncio.create_task(bench.post(b"%d" % number)) for number in range(5)]
    await bench.until_waiting(5)
    await bench.die()
    late = asyncio.create_task(bench.post(b"5"))
    await asyncio.sleep(0.3)  # nobody answers Envoy
    await bench.start()
    await bench.until_waiting(6)
    assert bench.woken == [WORKLOAD, WORKLOAD]
    await bench.open(server)
    answers = [await one for one in (*asking, late)]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert sorted(server.seen) == [b"%d" % number for number in range(6)]


@pytest.mark.slow  # Envoy asks for some twenty seconds
async def test_without_an_activator_a_held_request_gets_503_and_when_to_try_again(
    bench: Bench,
) -> None:
    bench.gateway.activator_socket.unlink()
    await bench.hold()
    answer = await bench.post(timeout=100)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "sleeps" in answer.json()["error"]


async def test_the_activators_end_answers_who_waits(bench: Bench) -> None:
    await bench.hold()
    asking = asyncio.create_task(bench.post())
    await bench.until_waiting(1)
    await bench.activator.close()
    answer = await asking
    assert answer.status_code == 503
    assert "is being stopped" in answer.json()["error"]


async def test_the_socket_is_the_users_own(bench: Bench) -> None:
    assert bench.gateway.activator_socket.stat().st_mode & 0o777 == 0o600
