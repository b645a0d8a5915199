"""A router process by gRPC, front and steps: clients leave, deadlines pass, windows are outgrown.

No call whose steps were up is lost, and each is answered with what it sent.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Any

import grpc
import pytest
from tests.router.test_route_rpc_steps import METHOD, Answer, Models
from tests.router.test_route_soak import discard, resources, start
from tritonclient.grpc import service_pb2

CLIENTS = 12
SIZES = (0, 1, 100, 20_000, 400_000)  # bytes: in one frame, in several, in more than a window
_BIG = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Clients:
    """Ask at random, by a channel each, as `echo` of what is sent."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def run(self, address: str) -> None:
        async with grpc.aio.insecure_channel(address, options=_BIG) as channel:
            ask = channel.unary_unary(
                METHOD, service_pb2.ModelInferRequest.SerializeToString, Answer.FromString
            )
            while time.monotonic() < self.until:
                await self._ask(ask)

    async def _ask(self, ask: Any) -> None:
        sent = random.randbytes(random.choice(SIZES))
        request = service_pb2.ModelInferRequest(model_name="graph")
        request.inputs.add(name="x", datatype="UINT8", shape=[len(sent)])
        request.raw_input_contents.append(sent)
        leaves = random.random() < 0.1
        call = ask(request, timeout=random.choice((0.002, 0.02)) if leaves else 90)
        try:
            if leaves and random.random() < 0.5:
                await asyncio.sleep(0.001)
                call.cancel()
            answer = await call
        except (grpc.RpcError, asyncio.CancelledError) as error:
            self.counts["left"] += 1
            if not leaves:
                self.wrong.append(str(error))
        else:
            self.counts["good"] += 1
            if answer.raw_output_contents[0] != sent:
                self.wrong.append(f"{len(sent)} bytes came back as others")


@pytest.mark.parametrize("looks", [False, True], ids=["passed on unread", "by way of JSON"])
@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(3, marks=pytest.mark.slow, id="3 s"),
        pytest.param(300, marks=[pytest.mark.soak, pytest.mark.timeout(600)], id="5 minutes"),
    ],
)
async def test_nothing_is_lost_and_no_connection_stays(seconds: int, looks: bool) -> None:
    server = grpc.aio.server(options=_BIG)
    server.add_generic_rpc_handlers((Models(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    step = {"serviceUrl": f"grpc://127.0.0.1:{port}/echo", "sampan": {"timeout": "60s"}}
    last = {**step, **({"condition": "outputs"} if looks else {})}
    process, url = await start({"root": {"routerType": "Sequence", "steps": [step, last]}})
    assert process.stderr is not None
    reading = asyncio.ensure_future(discard(process.stderr))
    try:
        clients = Clients(time.monotonic() + seconds)
        address = url.removeprefix("http://")
        await asyncio.gather(*(clients.run(address) for _ in range(CLIENTS)))
        assert clients.wrong == []
        assert clients.counts["good"] > 20
        async with asyncio.timeout(30):
            while resources(process.pid)[0] >= 40:  # noqa: ASYNC110  # another process's files
                await asyncio.sleep(0.1)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)
        await reading
        await server.stop(0)
