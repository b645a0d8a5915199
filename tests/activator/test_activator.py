"""Requests held by a real Envoy: woken once, let go in order, refused with a reason."""

from __future__ import annotations

import asyncio

import pytest

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


async def test_without_an_activator_a_held_request_gets_503_and_when_to_try_again(
    bench: Bench,
) -> None:
    bench.gateway.activator_socket.unlink()
    await bench.hold()
    answer = await bench.post()
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
