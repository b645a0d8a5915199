# ruff: noqa: ARG002  # models have the parameters of KServe's signatures, used or not
"""How many are answered at once, who waits, for how long, and what becomes of who leaves."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from sampan.server.admission import Admission
from sampan.server.model import Model


class Held(Model):
    """Answers when it is told to, and remembers what began."""

    def __init__(self, name: str = "m") -> None:
        super().__init__(name)
        self.ready = True
        self.go = threading.Event()
        self.begun: list[Any] = []
        self.most = 0
        self._now = 0

    def predict(self, payload: Any, headers: Any = None) -> Any:
        self.begun.append(payload["n"])
        self._now += 1
        self.most = max(self.most, self._now)
        self.go.wait(5)
        self._now -= 1
        return payload


class Batched(Held):
    """The same, one row for each row."""

    row_wise = True

    def predict(self, payload: Any, headers: Any = None) -> Any:
        self.begun += payload["instances"]
        self.go.wait(5)
        return {"predictions": payload["instances"]}


@pytest.fixture
async def held(serve):
    async def starter(model: Model, **limits: Any) -> Any:
        server = await serve(model)
        server.dataplane.admission = Admission(server.dataplane.reply, **limits)
        return server

    return starter


def ask(server: Any, number: int) -> asyncio.Future[Any]:
    body = json.dumps({"n": number})
    return asyncio.ensure_future(server.ask("POST", "/v1/models/m:predict", body))


async def test_beyond_the_concurrency_they_wait_and_beyond_the_queue_they_are_sent_away(held):
    model = Held()
    server = await held(model, limit=2, queue=1)
    waiting = []
    for number in range(3):
        waiting.append(ask(server, number))
        await asyncio.sleep(0.03)
    refused = await ask(server, 3)
    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert "2 requests are being answered and 1 wait" in refused.json["error"]
    assert (await server.ask("GET", "/v2/health/ready")).status == 200
    assert model.begun == [0, 1]
    model.go.set()
    assert [answer.json["n"] for answer in await asyncio.gather(*waiting)] == [0, 1, 2]
    assert model.most == 2
    assert (await ask(server, 4)).status == 200


async def test_unless_told_ten_times_the_concurrency_may_wait_as_with_knative(held):
    model = Held()
    server = await held(model, limit=1)
    waiting = [ask(server, number) for number in range(12)]
    await asyncio.sleep(0.2)
    model.go.set()
    statuses = sorted(answer.status for answer in await asyncio.gather(*waiting))
    assert statuses == [200] * 11 + [503]


@pytest.mark.parametrize("model", [Held(), Batched()], ids=["alone", "batched"])
async def test_an_answer_that_takes_too_long_is_a_504_and_the_place_is_kept_until_it_ends(
    held, model
):
    server = await held(model, limit=1, timeout=0.15)
    body = '{"instances":[1]}' if isinstance(model, Batched) else '{"n":1}'
    late = await server.ask("POST", "/v1/models/m:predict", body)
    assert (late.status, late.json["error"].startswith("no answer within 0.15 s")) == (504, True)
    queued = await server.ask("POST", "/v1/models/m:predict", body.replace("1", "2"))
    assert queued.status == 504
    assert model.begun == [1], "it never began: the model still works on the first"
    model.go.set()
    await asyncio.sleep(0.05)
    assert (await server.ask("POST", "/v1/models/m:predict", body)).status == 200
    assert 2 not in model.begun, "what was answered with 504 is not worked on later"


@pytest.mark.parametrize("limits", [{"limit": 1}, None], ids=["queue", "batch queue"])
async def test_who_leaves_while_waiting_is_not_worked_for(serve, held, limits):
    model: Held = Held() if limits else Batched()
    server = await (held(model, **limits) if limits else serve(model))
    body = (lambda n: f'{{"n":{n}}}') if limits else (lambda n: f'{{"instances":[{n}]}}')

    async def send(number: int) -> asyncio.StreamWriter:
        text = body(number)
        _, writer = await asyncio.open_connection(*server.listener.address)
        writer.write(
            b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
            % (len(text), text.encode())
        )
        await asyncio.sleep(0.05)
        return writer

    writers = [await send(number) for number in (1, 2, 3)]
    writers[1].close()
    await asyncio.sleep(0.05)
    model.go.set()
    await asyncio.sleep(0.1)
    assert model.begun == [1, 3]
    for writer in writers:
        writer.close()
