"""Calls that are gathered for one predict: answered and counted as requests to the model are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import joblib
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from tests.router.fused_sides import make_sides
from tests.router.graph_cases import node

from sampan.app.route_fused import load_models
from sampan.router.graph import Graph, make_graph
from sampan.server import batch_queue, dataplane, graph_agenda, graph_gathered
from sampan.server.graph_gathered import Gathered
from sampan.server.graph_models import LocalModels
from sampan.wire.message import Request, Response

ROW = [6.8, 2.8, 4.8, 1.4]
GRAPH = make_graph({"nodes": {
    "root": node("Sequence", {"serviceUrl": "local:/v1/models/svm:predict"},
                 {"nodeName": "all", "data": "$response", "condition": "predictions"}),
    "all": node("Ensemble", *[{"serviceUrl": "local:/v1/models/svm:predict"}] * 2),
}})  # fmt: skip
PIPE = make_graph({"nodes": {"root": node("Sequence", *GRAPH.nodes["all"].steps[:0], *[
    {"serviceUrl": "local:/v1/models/svm:predict", "dependency": "Hard"}] * 2)}})  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("svm")
    joblib.dump(SVC().fit(*load_iris(return_X_y=True)), folder / "model.joblib")
    return folder


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.booleans()
values = numbers | st.none() | st.text(max_size=3)
rows = st.lists(numbers, min_size=4, max_size=4) | st.lists(values, max_size=5)
bodies = st.one_of(
    st.lists(rows, max_size=3).map(lambda told: orjson.dumps({"instances": told}, default=str)),
    st.just(orjson.dumps({"instances": [ROW], "id": 1})),
    st.sampled_from([b"", b"{", b"[]", b"null", b'{"instances":{}}', b'{"inputs":[[1,2,3,4]]}',
                     b'{"instances":[[NaN,1,2,3]]}', b'{"instances":[["a"]]}',
                     orjson.dumps({"instances": [ROW] * 300})]),
)  # fmt: skip


@pytest.mark.parametrize("graph", [PIPE, GRAPH], ids=["a pipe", "nodes that look into answers"])
def test_gathered_calls_are_answered_and_counted_as_requests_are(
    graph: Graph, folder: Path, loop: asyncio.AbstractEventLoop
) -> None:
    assert_alike(graph, folder, loop, examples=60)


def test_they_are_on_a_machine_that_halts_now_and_then(
    folder: Path, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models lose the loop to a thread and earn it again: requests fall into other batches."""
    halts = Halts()
    for module in (batch_queue, dataplane, graph_agenda, graph_gathered):
        for name, read in (("perf_counter", perf_counter), ("thread_time", thread_time)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, partial(halts.read, read))
    assert_alike(GRAPH, folder, loop, examples=40)
    assert halts.seconds > 1


class Halts:
    """A clock that jumps by 20 ms at one look in twenty."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._draw = random.Random(7)  # no secret

    def read(self, clock: Callable[[], float]) -> float:
        if self._draw.random() < 0.05:
            self.seconds += 0.02
        return clock() + self.seconds


def assert_alike(
    graph: Graph, folder: Path, loop: asyncio.AbstractEventLoop, *, examples: int
) -> None:
    gathered, requests = loop.run_until_complete(make_sides(graph, folder))

    @settings(max_examples=examples)
    @given(st.lists(bodies, min_size=1, max_size=6))
    def law(asked: list[bytes]) -> None:
        told, expected = (loop.run_until_complete(s.ask(*asked)) for s in (gathered, requests))
        assert [shown(a) for a in told] == [shown(a) for a in expected]

    law()
    assert gathered.counts() == requests.counts()


def shown(answer: Response) -> tuple[int, bytes, bytes]:
    return answer.status, answer.content_type, answer.body


async def test_what_comes_at_once_is_predicted_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered, _ = await make_sides(PIPE, folder)
    model: Any = gathered.models.dataplane.repository.get("svm").model
    shapes, predict = [], model.predict

    def watched(payload: Any, headers: Any) -> Any:
        shapes.append(payload["instances"].shape)
        return predict(payload, headers)

    monkeypatch.setattr(model, "predict", watched)
    body = orjson.dumps({"instances": [ROW]})
    answers = await gathered.ask(*[body] * 16)
    assert {answer.body for answer in answers} == {b'{"predictions":[1]}'}
    assert shapes == [(16, 4), (16, 4)]


async def test_a_call_that_is_called_off_before_its_turn_is_not_made(folder: Path) -> None:
    gathered, _ = await make_sides(PIPE, folder)
    left: list[Response] = []

    class Leaving(list[Response]):
        def __call__(self, response: Response) -> None:
            left.append(response)

        def when_gone(self, gone: Any) -> None:
            gone()

    body = orjson.dumps({"instances": [ROW]})
    gathered.front.submit(Request(b"POST", b"/", [], body), Leaving())
    [answer] = await gathered.ask(body)
    assert answer.status == 200
    assert left == []
    assert (
        'sampan_graph_step_requests_total{node="root",step="0",code="200"} 1.0' in gathered.counts()
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"admission": object()}, id="who bounds requests"),
        pytest.param({"on_end": print}, id="who is told of each inference"),
        pytest.param({"batch_all": True}, id="an owner who batches"),
    ],
)
async def test_calls_are_requests_where_somebody_else_has_a_say(
    folder: Path, change: dict[str, Any]
) -> None:
    models = await load_models({"svm": str(folder)}, "sklearn")
    for name, value in change.items():
        setattr(models.dataplane, name, value)
    for _ in range(9):
        models.dataplane.repository.get("svm").pace.observe(0.0)
    local = LocalModels(models.dataplane, asyncio.get_running_loop())
    gathered: Any = local.gather("/v1/models/svm:predict", Any, Any)  # type: ignore[arg-type]
    assert isinstance(gathered, Gathered)
    assert gathered.call(b"{}", print) is None


@pytest.mark.parametrize("path", ["/v2/models/svm", "/v1/models/svm:explain", "/", ""])
async def test_only_predictions_are_gathered(folder: Path, path: str) -> None:
    models = await load_models({"svm": str(folder)}, "sklearn")
    local = LocalModels(models.dataplane, asyncio.get_running_loop())
    assert local.gather(path, Any, Any) is None  # type: ignore[arg-type]
    assert local.target(path) is None
