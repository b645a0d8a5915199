"""Triton's decoupled models: a request is answered any number of times, asked by tritonclient."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as threads
import tritonclient.grpc.aio as triton
from tests.runtimes.triton_served import Served, serve
from tritonclient.utils import InferenceServerException

from sampan.runtimes.triton.decoupled import Responses, ResponseSender, Sent

CONFIG = """
backend: "python"
max_batch_size: 0
input [{ name: "IN" data_type: TYPE_INT64 dims: [ 1 ] }]
output [{ name: "OUT" data_type: TYPE_INT64 dims: [ 1 ] }]
model_transaction_policy { decoupled: true }
"""
MODEL = '''
import threading

import numpy as np
import triton_python_backend_utils as pb_utils

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """Answers n, n - 1, ... 1: while it runs, or from a thread after it has returned."""

    def execute(self, requests):
        for request in requests:
            wanted = int(pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()[0])
            if wanted == 13:
                raise ValueError("no thirteen")
            if wanted == 14:
                return [pb_utils.InferenceResponse([])]
            sender = request.get_response_sender()
            if wanted % 2:
                self.answer(sender, wanted)
            else:
                threading.Thread(target=self.answer, args=(sender, wanted)).start()
        return None

    def answer(self, sender, wanted):
        forgets = wanted >= 100
        for number in range(wanted % 100, 0, -1):
            out = pb_utils.Tensor("OUT", np.array([number], dtype=np.int64))
            last = number == 1 and wanted == 3
            sender.send(pb_utils.InferenceResponse([out]), flags=FINAL if last else 0)
        if wanted != 3 and not forgets:
            sender.send(flags=FINAL)
'''


def write(root: Path, name: str = "count", code: str = MODEL) -> Path:
    (root / name / "1").mkdir(parents=True)
    (root / name / "config.pbtxt").write_text(CONFIG)
    (root / name / "1" / "model.py").write_text(code)
    return root


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(write(tmp_path), trust=True) as made:
        yield made


async def ask(served: Served, *numbers: int) -> list[Any]:
    """Ask by one stream; return what each answer holds, an error in its place as text."""

    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number in numbers:
            given = triton.InferInput("IN", [1], "INT64")
            given.set_data_from_numpy(np.array([number], dtype=np.int64))
            yield {"model_name": "count", "inputs": [given], "request_id": str(number)}

    told = []
    async with triton.InferenceServerClient(served.address) as client:
        async for answer, error in client.stream_infer(requests(), stream_timeout=60):
            if error is not None:
                told.append(str(error))
                continue
            told.append(read(answer))
    return told


def read(answer: Any) -> tuple[str, int | None, bool]:
    """Return the id of an answer, its number, and whether it is told to be the last."""
    response, values = answer.get_response(), answer.as_numpy("OUT")
    final = response.parameters["triton_final_response"].bool_param
    return response.id, None if values is None else int(values[0]), final


async def ask_for_the_end(served: Served, number: int) -> list[Any]:
    """Ask by the client of threads, which alone can ask for the end; return each answer."""

    def ask_all() -> list[Any]:
        given = threads.InferInput("IN", [1], "INT64")
        given.set_data_from_numpy(np.array([number], dtype=np.int64))
        got: SimpleQueue[Any] = SimpleQueue()
        with threads.InferenceServerClient(served.address) as client:
            client.start_stream(lambda result, error: got.put(error or read(result)))
            client.async_stream_infer(
                "count", [given], request_id=str(number), enable_empty_final_response=True
            )
            told = [got.get(timeout=30)]
            while not told[-1][2]:
                told.append(got.get(timeout=30))
            client.stop_stream()
        return told

    return await asyncio.to_thread(ask_all)


async def test_a_model_answers_as_often_as_it_will(served):
    assert await ask(served, 3) == [("3", 3, False), ("3", 2, False), ("3", 1, True)]
    assert await ask(served, 2) == [("2", 2, False), ("2", 1, False)]


async def test_the_end_is_told_by_itself_where_that_is_asked_for(served):
    assert (await ask_for_the_end(served, 2))[-2:] == [("2", 1, False), ("2", None, True)]
    assert (await ask_for_the_end(served, 3))[-1] == ("3", 1, True)


async def test_a_request_may_be_answered_with_nothing_but_its_end(served):
    assert await ask(served, 0) == []
    assert await ask_for_the_end(served, 0) == [("0", None, True)]


async def test_a_sender_that_nobody_holds_any_more_has_ended(served):
    assert [number for _, number, _ in await ask(served, 102)] == [2, 1]


async def test_requests_of_one_stream_are_answered_in_their_order(served):
    told = await ask(served, 2, 3, 2)
    assert [(name, number) for name, number, _ in told] == [
        ("2", 2), ("2", 1), ("3", 3), ("3", 2), ("3", 1), ("2", 2), ("2", 1),
    ]  # fmt: skip


async def test_an_error_is_told_in_its_place_and_the_stream_goes_on(served):
    told = await ask(served, 13, 3)
    assert "no thirteen" in told[0]
    assert "model.py:17" in told[0]
    assert [answer[1] for answer in told[1:]] == [3, 2, 1]


async def test_a_response_that_is_returned_is_told_where_it_belongs(served):
    (told,) = await ask(served, 14)
    assert "send them by get_response_sender" in told


async def test_answers_come_one_by_one_over_rest_too(served):
    body = {"IN": [3]}
    async with httpx.AsyncClient(base_url=f"http://{served.address}", timeout=60) as client:
        answer = await client.post("/v2/models/count/generate_stream", json=body)
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
        assert [json.loads(event)["OUT"] for event in events] in ([[3], [2], [1]], [3, 2, 1])
        once = await client.post("/v2/models/count/generate", json=body)
        assert (once.status_code, "generate_stream" in once.text) == (400, True)


async def test_a_call_with_one_answer_says_which_has_many(served):
    given = triton.InferInput("IN", [1], "INT64")
    given.set_data_from_numpy(np.array([3], dtype=np.int64))
    async with triton.InferenceServerClient(served.address) as client:
        with pytest.raises(InferenceServerException, match="ModelStreamInfer"):
            await client.infer("count", [given])


async def test_inference_over_rest_is_refused_in_tritons_words(served):
    body = {"inputs": [{"name": "IN", "datatype": "INT64", "shape": [1], "data": [3]}]}
    async with httpx.AsyncClient(base_url=f"http://{served.address}", timeout=60) as client:
        for path in ("/v2/models/count/infer", "/v2/models/count/versions/1/infer"):
            answer = await client.post(path, json=body)
            assert answer.status_code == 501
            words = "HTTP end point doesn't support models with decoupled transaction policy"
            assert words in answer.json()["error"]


LONG = MODEL.replace(
    """        forgets =""",
    """        while not sender.is_cancelled():
            out = pb_utils.Tensor("OUT", np.array([7], dtype=np.int64))
            sender.send(pb_utils.InferenceResponse([out]))
            threading.Event().wait(0.01)
        open(LEFT, "w").close()
        forgets =""",
)


async def test_a_model_can_tell_that_its_client_has_left(tmp_path):
    left = tmp_path / "left"
    root = tmp_path / "models"
    root.mkdir()
    write(root, code=f"LEFT = {str(left)!r}\n{LONG}")

    async def requests() -> AsyncIterator[dict[str, Any]]:
        given = triton.InferInput("IN", [1], "INT64")
        given.set_data_from_numpy(np.array([2], dtype=np.int64))
        yield {"model_name": "count", "inputs": [given]}
        await asyncio.Event().wait()

    async with serve(root, trust=True) as served:
        async with triton.InferenceServerClient(served.address) as client:
            stream = client.stream_infer(requests())
            answer, _ = await anext(aiter(stream))
            assert answer.as_numpy("OUT").tolist() == [7]
            stream.cancel()
        async with asyncio.timeout(30):
            while not left.exists():  # noqa: ASYNC110  # a file is no event
                await asyncio.sleep(0.02)


class CollectingLoop(asyncio.SelectorEventLoop):
    """A loop on which rubbish is collected at the worst moment."""

    def create_future(self) -> asyncio.Future[Any]:
        gc.collect()
        return super().create_future()


def test_a_sender_may_be_collected_in_the_middle_of_the_wait_for_its_responses() -> None:
    async def take() -> list[Sent]:
        responses = Responses()
        sender = ResponseSender(responses)
        sender.kept = sender  # type: ignore[attr-defined]  # a cycle, as a traceback makes one
        del sender
        return [sent async for sent in responses]

    told: list[Sent] = []
    asking = threading.Thread(
        target=lambda: told.extend(asyncio.Runner(loop_factory=CollectingLoop).run(take())),
        daemon=True,
    )
    asking.start()
    asking.join(20)
    assert not asking.is_alive()
    assert told == [Sent(final=True)]
