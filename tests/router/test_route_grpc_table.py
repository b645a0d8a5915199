"""The whole table of graphs by gRPC: at the front, with grpcio's client, and behind, its server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from fnmatch import fnmatch
from typing import Any

import grpc
import httpx
import orjson
import pytest
from tests.router.conftest import Town
from tests.router.graph_cases import CASES, DOWN, Case
from tests.router.grpc_cases import GRPC_CASES, LEFT_OUT, names, tensors
from tests.router.test_graph_semantics import decode
from tests.router.test_route_http import closed_port, with_real_addresses
from tritonclient.grpc import service_pb2

from sampan.protocol.grpc.status import from_http
from sampan.server.graph_rpc import _HTTP as HTTP_STATUSES  # the table that is tested

METHOD = "/inference.GRPCInferenceService/ModelInfer"


def test_nothing_is_left_out_that_is_not_in_the_table() -> None:
    assert set(LEFT_OUT) <= set(CASES)


def fill(message: Any, told: list[dict[str, Any]], repeated: str) -> Any:
    """Put tensors into a message."""
    for tensor in told:
        made = getattr(message, repeated).add(
            name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"]
        )
        if tensor["datatype"] == "FP64":
            made.contents.fp64_contents.extend(tensor["data"])
        else:
            made.contents.bytes_contents.extend(text.encode() for text in tensor["data"])
    return message


def as_v2(status: int, body: Any) -> Any:
    """What a case's service answers, in V2's form where it has one."""
    speaks = 200 <= status < 300 and isinstance(body, dict)
    return {"outputs": tensors(body)} if speaks else body


def served(case: Case) -> dict[str, tuple[int, Any]]:
    up = {name: told for name, told in case.services.items() if told != DOWN}
    return {name: (status, as_v2(status, body)) for name, (status, body) in up.items()}


@pytest.mark.parametrize("case", GRPC_CASES.values(), ids=GRPC_CASES.keys())
async def test_graph_asked_by_grpc(town: Town, case: Case) -> None:
    town.services.answers = served(case)
    url = await town.graph(with_real_addresses(case.nodes, case), draw=case.draw)
    request = fill(service_pb2.ModelInferRequest(), tensors(case.request), "inputs")
    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        ask = channel.unary_unary(
            METHOD,
            service_pb2.ModelInferRequest.SerializeToString,
            service_pb2.ModelInferResponse.FromString,
        )
        try:
            answer = await ask(request, timeout=30)
        except grpc.RpcError as error:
            assert_failed(case, error)
        else:
            assert 200 <= case.status < 300
            assert [tensor.name for tensor in answer.outputs] == names(case.answer)
    assert_asked(case, [r.target.decode()[1:] for r in town.services.asked])


def assert_failed(case: Case, error: Any) -> None:
    if 200 <= case.status < 300:  # an answer that is no tensor
        assert names(case.answer) is None
        assert error.code() is grpc.StatusCode.INTERNAL
        return
    assert error.code().value[0] == from_http(case.status)
    told = case.answer if isinstance(case.answer, dict) else {}
    text = told.get("cause") or told.get("error") or "*"
    assert fnmatch(error.details(), text.replace("[", "[[]"))


def assert_asked(case: Case, asked: list[str]) -> None:
    if case.asked is not None:
        assert asked == [name for name, _ in case.asked if case.services[name] != DOWN]


class Models(grpc.GenericRpcHandler):
    """The services of a case, as models of one server by their names."""

    def __init__(self) -> None:
        self.services: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []

    def service(self, details: Any) -> Any:
        if details.method != METHOD:
            return None
        read, write = service_pb2.ModelInferRequest, service_pb2.ModelInferResponse
        return grpc.unary_unary_rpc_method_handler(
            self.infer, read.FromString, write.SerializeToString
        )

    async def infer(self, request: Any, context: Any) -> Any:
        self.asked.append(request.model_name)
        status, body = self.services[request.model_name]
        if status != 200:
            code = next(code for code in grpc.StatusCode if code.value[0] == rpc_status(status))
            await context.abort(code, body.get("error", ""))
        return fill(service_pb2.ModelInferResponse(), tensors(body), "outputs")


def rpc_status(status: int) -> int:
    """Return the gRPC status that a step's HTTP status stands for."""
    return next((int(rpc) for rpc, http in HTTP_STATUSES.items() if http == status), 13)


def is_spoken(case: Case) -> bool:
    """Whether gRPC has words for what the services answer: tensors, or a failure of its own."""
    statuses = {200, 500, *HTTP_STATUSES.values()}
    told = [answer for answer in case.services.values() if answer != DOWN]
    return all(status in statuses and isinstance(body, dict) for status, body in told)


SPOKEN = {name: case for name, case in GRPC_CASES.items() if is_spoken(case)}


@pytest.fixture
async def models() -> AsyncIterator[tuple[Models, str]]:
    handler = Models()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, f"grpc://127.0.0.1:{port}"
    await server.stop(0)


@pytest.mark.parametrize("case", SPOKEN.values(), ids=SPOKEN.keys())
async def test_graph_whose_steps_are_asked_by_grpc(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str], case: Case
) -> None:
    handler, base = models
    handler.services = case.services
    text = orjson.dumps(case.nodes)
    for name, told in case.services.items():
        place = f"grpc://127.0.0.1:{closed_port()}" if told == DOWN else base
        text = text.replace(f'"svc://{name}"'.encode(), f'"{place}/{name}"'.encode())
    url = await town.graph(orjson.loads(text), draw=case.draw)
    answer = await client.post(url, json={"inputs": tensors(case.request)})
    assert answer.status_code == case.status
    body = decode(answer.content)
    assert_asked(case, handler.asked)
    if "cause" in case.answer:
        assert fnmatch(body["cause"], case.answer["cause"].replace("[", "[[]"))
    elif case.status == 200 and names(case.answer) is not None:
        assert tensor_names(body) == names(case.answer)
    elif "error" in case.answer:
        assert body == {"error": case.answer["error"]}


def tensor_names(body: dict[str, Any]) -> list[str]:
    """Return the names of an answer's tensors, those of an Ensemble with their steps'."""
    if "outputs" in body:
        return [tensor["name"] for tensor in body["outputs"]]
    return [f"{step}.{name}" for step, inner in body.items() for name in tensor_names(inner)]
