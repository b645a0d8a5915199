"""Models in the router's own process: the same answers as from servers of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import joblib
import orjson
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from tests.router.conftest import Town
from tests.router.graph_cases import node

from sampan.app.route import make_caller
from sampan.app.route_fused import FusedModels, load_models
from sampan.router.graph import make_graph
from sampan.server.graph_front import GraphFront
from sampan.server.graph_local import LocalTarget
from sampan.server.load_failure import LoadFailure
from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response
from sampan.wire.upstream import Upstreams
from sampan.wire.upstream_answer import Answer, CallFailed

ROW = [6.8, 2.8, 4.8, 1.4]
V2 = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROW}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    data, target = load_iris(return_X_y=True)
    for name, model in (("svm", SVC()), ("line", LogisticRegression(max_iter=1000))):
        (root / name).mkdir()
        joblib.dump(model.fit(data, target), root / name / "model.joblib")
    return root


@pytest.fixture
async def models(folder: Path) -> FusedModels:
    folders = {name: str(folder / name) for name in ("svm", "line")}
    return await load_models(folders, "sklearn")


@pytest.fixture
async def both(town: Town, models: FusedModels) -> AsyncIterator[tuple[str, str]]:
    """A graph of two models: fused, and the same with the models behind a server."""
    server = Listener(models.submit)
    await server.listen("127.0.0.1", 0)
    base = "http://{}:{}".format(*server.address)
    urls = []
    for prefix in ("local:", base):
        steps = [
            {"serviceUrl": f"{prefix}/v1/models/svm:predict", "name": "svm"},
            {"serviceUrl": f"{prefix}/v1/models/line:predict", "name": "line"},
            {"serviceUrl": f"{prefix}/v2/models/svm/infer", "name": "v2"},
        ]
        root = {**node("Ensemble", *steps[:2]), "steps": steps}
        graph = make_graph({"nodes": {"root": root}})
        upstreams = Upstreams(asyncio.get_running_loop())
        front = GraphFront(graph, make_caller(graph, upstreams, models), (), lambda: 0)
        listener = Listener(front.submit)
        await listener.listen("127.0.0.1", 0)
        town.upstreams.append(upstreams)
        town.listeners.append(listener)
        urls.append("http://{}:{}".format(*listener.address))
    yield urls[0], urls[1]
    await server.drain(0.0)


BODIES = {
    "a row": {"instances": [ROW]},
    "rows": {"instances": [ROW] * 50},
    "tensors": V2,
    "both forms": {"instances": [ROW], **V2},
    "too few features": {"instances": [[1, 2]]},
    "no instances": {},
    "an array": [],
    "no JSON": None,
}


async def test_a_fused_graph_answers_as_one_whose_models_have_servers(
    both: tuple[str, str], client: httpx.AsyncClient
) -> None:
    for name, body in BODIES.items():
        sent = b"{" if body is None else orjson.dumps(body)
        fused, apart = [await client.post(url, content=sent) for url in both]
        assert fused.status_code == apart.status_code, name
        told, expected = fused.json(), apart.json()
        for answers in (told, expected):
            answers.get("v2", {}).pop("id", None)  # each answer has one of its own
        assert told == expected, name
    counts = [
        [line for line in (await client.get(f"{url}/metrics")).text.splitlines()
         if line.startswith("sampan_graph_step_requests_total")]
        for url in both
    ]  # fmt: skip
    assert counts[0] == counts[1]


async def test_a_model_that_does_not_load_keeps_the_router_from_serving(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"no model")
    with pytest.raises(LoadFailure):
        await load_models({"broken": str(tmp_path)}, "sklearn")


class Held:
    """An application that keeps the replies it is given."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[Request] = []

    def submit(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        self.replies.append(reply)


def target(held: Held) -> LocalTarget:
    return LocalTarget(held.submit, b"/v1/models/m:predict", asyncio.get_running_loop())


async def test_a_local_call_has_a_time_limit_and_its_model_is_told_that_nobody_waits() -> None:
    held, told = Held(), asyncio.get_running_loop().create_future()
    target(held).call((), b"{}", 0.05, told.set_result)
    failure = await asyncio.wait_for(told, 20)
    assert isinstance(failure, CallFailed)
    assert failure.reason == "Timeout"
    assert held.replies[0].gone()  # type: ignore[attr-defined]  # as the wire's replies have
    held.replies[0](Response(200, b"{}"))  # late: it goes nowhere


async def test_a_local_call_that_is_called_off_tells_nothing() -> None:
    held, told = Held(), list[Answer | CallFailed]()
    cancel = target(held).call((), b"{}", 60, told.append)
    cancel()
    held.replies[0](Response(200, b"{}"))
    assert told == []
    assert held.replies[0].gone()  # type: ignore[attr-defined]  # as the wire's replies have


async def _pieces() -> AsyncIterator[bytes]:
    for piece in (b"data: 1\n\n", b"data: 2\n\n"):
        yield piece
        await asyncio.sleep(0)


async def test_an_answer_in_pieces_is_gathered_unless_it_ends_the_graph() -> None:
    held, told = Held(), asyncio.get_running_loop().create_future()
    target(held).call((), b"{}", None, told.set_result)
    held.replies[0](Response(200, b"", b"text/event-stream", chunks=_pieces()))
    answer = await asyncio.wait_for(told, 20)
    assert (answer.body, answer.chunks) == (b"data: 1\n\ndata: 2\n\n", None)
    passed: list[Answer | CallFailed] = []
    target(held).call((), b"{}", None, passed.append, streams=True)
    held.replies[1](Response(200, b"", b"text/event-stream", chunks=_pieces()))
    [answer] = passed
    assert isinstance(answer, Answer)
    assert answer.chunks is not None
    assert [piece async for piece in answer.chunks] == [b"data: 1\n\n", b"data: 2\n\n"]


async def test_headers_that_go_on_reach_a_local_model() -> None:
    held = Held()
    target(held).call(((b"x-tenant", b"a"),), b"{}", None, lambda _: None)
    assert held.requests[0].headers == [
        (b"x-tenant", b"a"),
        (b"content-type", b"application/json"),
    ]
