"""How calls over gRPC end, as a real Envoy counts it in front of a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from sampan.gateway.grpc_counts import read_grpc_errors
from sampan.gateway.listener import Gateway
from sampan.gateway.outcomes import OutcomeReader, Outcomes, make_outcomes
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute

NAME = "default/iris-predictor-00002/grpc"
INFER = "/inference.GRPCInferenceService/ModelInfer"
OWN = "/my.own.Service/Call"


class Model(grpc.GenericRpcHandler):
    """Answers any method; what is asked of it is how the call shall end."""

    def service(self, _: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self.answer)

    async def answer(self, asked: bytes, context: grpc.aio.ServicerContext) -> bytes:
        code = grpc.StatusCode[asked.decode()]
        if code is not grpc.StatusCode.OK:
            await context.abort(code, "as asked")
        return b"fine"


@pytest.fixture
async def model() -> AsyncIterator[tuple[grpc.aio.Server, int]]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Model(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield server, port
    await server.stop(0)


async def call(gateway: Gateway, ends: str, method: str = INFER) -> str:
    options = [("grpc.default_authority", "iris.default.localhost"), ("grpc.enable_retries", 0)]
    address = f"127.0.0.1:{gateway.settings.port}"
    async with grpc.aio.insecure_channel(address, options) as channel:
        try:
            await channel.unary_unary(method)(ends.encode(), timeout=30)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


async def test_a_call_that_ends_in_a_status_of_the_server_s_is_an_error(
    gateway: Gateway,
    model: tuple[grpc.aio.Server, int],
    make_iris: Callable[..., TableRoute],
    tmp_path: Path,
) -> None:
    server, port = model
    cluster = Cluster(NAME, (Endpoint("127.0.0.1", port),), "", http2=True)
    route = make_iris(grpc_shares=(Share(NAME),))
    await gateway.apply(RouteTable((route,), (cluster,)))
    reader = OutcomeReader(tmp_path / "gateway")

    async def told() -> tuple[int, int]:
        found = (await reader.read([NAME])).get(NAME, Outcomes())
        return found.total, found.errors

    deadline = time.monotonic() + 30
    while await call(gateway, "OK") != "OK":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    total, errors = await told()
    for ends in ("OK", "INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED"):
        assert await call(gateway, ends) == ends
    assert await told() == (total + 5, errors + 4)
    # What the client did wrong is no fault of the model.
    for ends in ("INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED"):
        assert await call(gateway, ends) == ends
    assert await told() == (total + 9, errors + 4)
    # Of a method that nobody listed Envoy tells only that it failed.
    assert await call(gateway, "INTERNAL", OWN) == "INTERNAL"
    assert await call(gateway, "OK", OWN) == "OK"
    assert await told() == (total + 11, errors + 5)
    # And what Envoy answers itself is one error, though it is counted twice.
    await server.stop(0)
    assert await call(gateway, "OK") == "UNAVAILABLE"
    total, errors = await told()
    assert errors <= total
    assert errors >= 5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{NAME}.grpc.inference.GRPCInferenceService.ModelInfer.13", (NAME, 3)),
        (f"{NAME}.grpc.inference.GRPCInferenceService.ModelInfer.3", (NAME, 0)),
        (f"{NAME}.grpc.inference.GRPCInferenceService.ModelInfer.failure", (NAME, 0)),
        (f"{NAME}.grpc.failure", (NAME, 3)),
        (f"{NAME}.upstream_rq_total", None),
        ("default/iris-predictor/grpc.upstream_rq_5xx", None),
    ],
)
def test_a_statistic_is_read_once(name: str, expected: tuple[str, int] | None) -> None:
    assert read_grpc_errors(name, 3) == expected


def test_rest_and_grpc_of_one_cluster_are_both_errors() -> None:
    name = "default/iris-predictor-00002"
    stats = {
        "upstream_rq_total": 9, "upstream_rq_5xx": 2, "grpc.failure": 1,
        "grpc.inference.GRPCInferenceService.ModelInfer.14": 3,
    }  # fmt: skip
    told = [{"name": f"cluster.{name}.{key}", "value": value} for key, value in stats.items()]
    assert make_outcomes({"stats": told}) == {name: Outcomes(9, 6)}
