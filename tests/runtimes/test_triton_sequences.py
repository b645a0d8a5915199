"""Triton's sequences: requests that belong together reach one instance, in their order, with what
the model remembers. Asked by tritonclient and over REST.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from onnx import helper
from tests.runtimes import onnx_models as models
from tests.runtimes.triton_served import Served, serve

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.triton.sequence_config import SequenceBatching, make_sequence_batching
from sampan.runtimes.triton.sequences import NoSlot, Sequences, Step, read_step
from sampan.server.load_failure import LoadFailure

CONTROLS = """
  control_input [
    { name: "START" control [{ kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1] }] },
    { name: "READY" control [{ kind: CONTROL_SEQUENCE_READY int32_false_true: [0, 1] }] },
    { name: "END" control [{ kind: CONTROL_SEQUENCE_END fp32_false_true: [0, 1] }] },
    { name: "ID" control [{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 }] }
  ]
"""
PYTHON = f"""
backend: "python"
max_batch_size: 2
input [{{ name: "IN" data_type: TYPE_INT32 dims: [ 1 ] }}]
output [{{ name: "OUT" data_type: TYPE_INT32 dims: [ 5 ] }}]
sequence_batching {{ direct {{ }} max_sequence_idle_microseconds: 60000000 {CONTROLS} }}
instance_group [{{ count: 1 kind: KIND_CPU }}]
"""
MODEL = '''
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Sums a sequence's numbers, and tells its controls."""

    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        def value(name):
            return pb_utils.get_input_tensor_by_name(request, name).as_numpy()

        assert value("START").shape == (1, 1)
        key, start, end = int(value("ID")[0, 0]), int(value("START")[0, 0]), int(value("END")[0, 0])
        assert key == request.correlation_id()
        assert request.flags() == start + 2 * end
        if start:
            self.sums[key] = 0
        self.sums[key] += int(value("IN")[0, 0])
        told = [self.sums[key], start, int(value("READY")[0, 0]), end, key]
        out = pb_utils.Tensor("OUT", np.array([told], dtype=np.int32))
        return pb_utils.InferenceResponse([out])
'''


def write(root: Path, config: str = PYTHON) -> Path:
    (root / "sum" / "1").mkdir(parents=True)
    (root / "sum" / "config.pbtxt").write_text(config)
    (root / "sum" / "1" / "model.py").write_text(MODEL)
    return root


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(write(tmp_path), trust=True) as made:
        yield made


def given(number: int, kind: str = "INT32") -> Any:
    tensor = triton.InferInput("IN", [1, 1], kind)
    tensor.set_data_from_numpy(np.array([[number]], np.int32 if kind == "INT32" else np.float32))
    return tensor


async def test_requests_of_a_sequence_share_what_the_model_remembers(served):
    async with triton.InferenceServerClient(served.address) as client:

        async def ask(number: int, **said: Any) -> list[int]:
            answer = await client.infer("sum", [given(number)], **said)
            return list(answer.as_numpy("OUT")[0].tolist())

        assert await ask(3, sequence_id=7, sequence_start=True) == [3, 1, 1, 0, 7]
        assert await ask(10, sequence_id=8, sequence_start=True) == [10, 1, 1, 0, 8]
        assert await ask(4, sequence_id=7) == [7, 0, 1, 0, 7]
        assert await ask(5, sequence_id=7, sequence_end=True) == [12, 0, 1, 1, 7]
        assert await ask(1, sequence_id=8, sequence_end=True) == [11, 0, 1, 1, 8]


def body(number: int, rows: int = 1, **parameters: Any) -> dict[str, Any]:
    tensor = {"name": "IN", "datatype": "INT32", "shape": [rows, 1], "data": [number] * rows}
    return {"inputs": [tensor], "parameters": parameters}


@pytest.mark.parametrize(
    ("parameters", "status", "words"),
    [
        pytest.param({}, 400, "must specify a non-zero or non-empty correlation ID", id="no id"),
        pytest.param({"sequence_id": 5}, 400, "must specify the START flag", id="never begun"),
        pytest.param({"sequence_id": True}, 400, "sequence_id is True", id="an id that is none"),
        pytest.param({"sequence_id": "a", "sequence_start": True}, 400, "send a number", id="text"),
        pytest.param({"sequence_id": -1, "sequence_start": True}, 400, "cannot hold", id="below 0"),
        pytest.param({"sequence_id": 5, "sequence_start": 1}, 400, "send true", id="no flag"),
    ],
)
async def test_what_is_wrong_with_a_sequence_is_told(parameters, status, words, served):
    async with httpx.AsyncClient(base_url=f"http://{served.address}", timeout=60) as ask:
        answer = await ask.post("/v2/models/sum/infer", json=body(1, **parameters))
        assert (answer.status_code, words in answer.text) == (status, True), answer.text


async def test_a_batch_of_several_rows_is_no_request_of_a_sequence(served):
    async with httpx.AsyncClient(base_url=f"http://{served.address}", timeout=60) as ask:
        sent = body(1, 2, sequence_id=1, sequence_start=True)
        answer = await ask.post("/v2/models/sum/infer", json=sent)
        assert (answer.status_code, "a request of a sequence has one" in answer.text) == (400, True)


async def test_more_sequences_than_slots_are_told_to_come_again(served):
    async with httpx.AsyncClient(base_url=f"http://{served.address}", timeout=60) as ask:

        async def status(key: int, **said: Any) -> int:
            sent = body(1, sequence_id=key, **said)
            return (await ask.post("/v2/models/sum/infer", json=sent)).status_code

        assert [await status(key, sequence_start=True) for key in (1, 2, 3)] == [200, 200, 503]
        assert await status(1, sequence_end=True) == 200
        assert await status(3, sequence_start=True) == 200
        assert await status(1) == 400  # it has ended


IMPLICIT = """
backend: "onnxruntime"
max_batch_size: 4
input [{ name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }]
output [{ name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }]
sequence_batching {
  oldest { max_candidate_sequences: 4 }
  max_sequence_idle_microseconds: 60000000
  control_input [{
    name: "START" control [{ kind: CONTROL_SEQUENCE_START fp32_false_true: [0, 1] }]
  }]
  state [{ input_name: "SUM_IN" output_name: "SUM_OUT" data_type: TYPE_FP32 dims: [ 1 ] }]
}
"""


async def test_a_state_is_given_back_with_the_next_request(tmp_path):
    """Triton, "Implicit State Management": a graph without memory of its own sums."""
    names = ("IN", "START", "SUM_IN")
    graph = models.model(
        [
            helper.make_node("Add", ["IN", "SUM_IN"], ["SUM_OUT"]),
            helper.make_node("Mul", ["START", "SUM_OUT"], ["NONE"]),
            helper.make_node("Identity", ["SUM_OUT"], ["OUT"]),
        ],
        [models.value(name, models.FLOAT, "N", 1) for name in names],
        [models.value(name, models.FLOAT, "N", 1) for name in ("OUT", "SUM_OUT", "NONE")],
    )
    models.save(graph, tmp_path / "sum" / "1" / "model.onnx")
    (tmp_path / "sum" / "config.pbtxt").write_text(IMPLICIT)
    async with (
        serve(tmp_path) as served,
        triton.InferenceServerClient(served.address) as client,
    ):
        found = []
        for key, number, said in (
            ("a", 1, {"sequence_start": True}), ("b", 10, {"sequence_start": True}), ("a", 2, {}),
            ("b", 20, {}), ("a", 3, {"sequence_end": True}), ("a", 5, {"sequence_start": True}),
        ):  # fmt: skip
            answer = await client.infer("sum", [given(number, "FP32")], sequence_id=key, **said)
            found.append(float(answer.as_numpy("OUT")[0, 0]))
        assert found == [1, 10, 3, 30, 6, 5]


def of(config: dict[str, Any]) -> SequenceBatching | None:
    return make_sequence_batching({"sequence_batching": config}, 4, "m")


def test_slots_are_the_batch_or_the_candidates():
    direct, oldest = of({"direct": {}}), of({"oldest": {"max_candidate_sequences": 9}})
    assert direct is not None
    assert oldest is not None
    assert (direct.slots, oldest.slots, direct.idle) == (4, 9, 1.0)
    assert make_sequence_batching({}, 4, "m") is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"oldest": {}}, "oldest.max_candidate_sequences is 0"),
        ({"iterative_sequence": True}, "iterative_sequence is not served"),
        ({"control_input": [{"name": "C", "control": [{}]}]}, 'control_input "C" needs two values'),
        (
            {"control_input": [{"name": "C", "control": [
                {"kind": "CONTROL_SEQUENCE_CORRID", "data_type": "TYPE_FP32"}]}]},
            'control_input "C" has data_type TYPE_FP32',
        ),
        ({"state": [{"input_name": "S", "data_type": "TYPE_FP32", "dims": [-1]}]}, "give sizes"),
        (
            {"state": [{"input_name": "S", "data_type": "TYPE_FP32", "dims": [1],
                        "initial_state": [{"data_file": "f"}]}]},
            "begin with zero_data",
        ),
        ({"state": [{"input_name": "S", "data_type": "TYPE_STRING", "dims": [1]}]}, "a number's"),
    ],
)  # fmt: skip
def test_sequences_that_are_not_served_are_refused_by_name(config, words):
    with pytest.raises(LoadFailure) as caught:
        of(config)
    assert words in caught.value.message


def test_a_sequence_that_is_idle_makes_room():
    batching = SequenceBatching(1, 0.0)
    sequences = Sequences("m", batching, 1)
    for key in (1, 2):
        with sequences.enter(Step(key, start=True, end=False)):
            pass
    with pytest.raises(InvalidInput, match="START"), sequences.enter(Step(1, False, False)):
        pass


def test_sequences_are_spread_over_instances_and_stay_there():
    sequences = Sequences("m", SequenceBatching(1, 60.0), 2)
    with (
        sequences.enter(Step(1, start=True, end=False)) as one,
        sequences.enter(Step(2, start=True, end=False)) as two,
    ):
        assert {one.instance, two.instance} == {0, 1}
        third = sequences.enter(Step(3, start=True, end=False))
        with pytest.raises(NoSlot, match="in the middle of 2 sequences"), third:
            pass
    with sequences.enter(Step(2, start=False, end=True)) as again:
        assert again.instance == two.instance


async def test_requests_of_one_sequence_do_not_run_at_once():
    sequences = Sequences("m", SequenceBatching(1, 60.0), 1)
    inside: list[int] = []
    most: list[int] = []

    def ask(start: bool) -> None:
        with sequences.enter(Step(1, start, False)):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    ask(True)
    await asyncio.gather(*(asyncio.to_thread(ask, False) for _ in range(50)))
    assert most == [1] * 51


def test_what_a_request_says_of_its_sequence():
    tensor = InferInput("IN", [1], "INT32", [1])
    said = {"sequence_id": "s", "sequence_start": True, "sequence_end": True}
    step = read_step(InferRequest("m", [tensor], parameters=said), "m")
    assert (step, step.flags) == (Step("s", True, True), 3)
    with pytest.raises(InvalidInput, match="correlation ID"):
        read_step({"instances": [1]}, "m")
