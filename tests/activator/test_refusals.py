"""Requests for what cannot be started now: an early 503 that says why, and when to try again."""

from __future__ import annotations

import asyncio

from sampan.activator.activator import Refusal

from .conftest import PATH, WORKLOAD, Bench, Server

FULL = Refusal("InsufficientMemory: 100 MiB are free; free memory", 9.2)
ERROR = {"error": f'no replica of "{WORKLOAD}" can be started now: {FULL.message}'}


async def test_all_who_wait_get_503_as_soon_as_the_replica_is_refused(bench: Bench) -> None:
    await bench.hold()
    asking = [asyncio.create_task(bench.post()) for _ in range(20)]
    await bench.until_waiting(20)
    bench.refusals[WORKLOAD] = FULL
    bench.activator.refuse(WORKLOAD)
    answers = [await one for one in asking]
    assert [(a.status_code, a.headers["retry-after"]) for a in answers] == [(503, "10")] * 20
    assert all(a.json() == ERROR for a in answers)
    assert bench.activator.waiting(WORKLOAD) == 0


async def test_who_comes_while_it_is_refused_waits_for_nothing(bench: Bench) -> None:
    bench.refusals[WORKLOAD] = FULL
    await bench.hold()
    answer = await bench.post()
    assert (answer.status_code, answer.json()) == (503, ERROR)
    assert bench.woken == []


async def test_who_comes_after_it_was_refused_waits_and_is_answered(
    bench: Bench, server: Server
) -> None:
    bench.refusals[WORKLOAD] = FULL
    await bench.hold()
    assert (await bench.post()).status_code == 503
    del bench.refusals[WORKLOAD]
    asking = asyncio.create_task(bench.post(b"later"))
    await bench.until_waiting(1)
    assert bench.woken == [WORKLOAD]
    await bench.open(server)
    assert ((await asking).status_code, server.seen) == (200, [b"later"])


async def test_word_of_a_refusal_that_is_over_sends_nobody_away(
    bench: Bench, server: Server
) -> None:
    await bench.hold()
    asking = asyncio.create_task(bench.post())
    await bench.until_waiting(1)
    bench.activator.refuse(WORKLOAD)
    bench.activator.refuse("default/another")
    await bench.open(server)
    assert (await asking).status_code == 200


async def test_what_can_be_reached_answers_whatever_is_refused_beside_it(
    bench: Bench, server: Server
) -> None:
    bench.refusals[WORKLOAD] = FULL
    await bench.open(server, held=WORKLOAD)
    assert (await bench.post()).status_code == 200


async def test_a_grpc_call_is_refused_in_its_own_form(bench: Bench) -> None:
    bench.refusals[WORKLOAD] = FULL
    await bench.hold()
    headers = {"content-type": "application/grpc"}
    path = f"{PATH}/inference.GRPCInferenceService/ModelInfer"
    answer = await bench.post(b"", path, headers=headers)
    assert (answer.status_code, answer.headers["grpc-status"]) == (200, "14")
    assert "InsufficientMemory" in answer.headers["grpc-message"]
