"""How a model asks its predictor over HTTP: what is sent, what is read, what is raised."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import numpy as np
import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.sdk.predictor import Predictor
from sampan.sdk.predictor_config import PredictorConfig

Asked = tuple[bytes, bytes]
JSON = b"content-type: application/json\r\n"


def answer(body: bytes, status: bytes = b"200 OK", fields: bytes = JSON) -> bytes:
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, fields, len(body), body)


class Peer:
    """Somebody else's predictor: it keeps what it is sent, and answers what it is told."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self.says: bytes | None = answer(b'{"predictions": [1]}')
        self.closes = False
        self.came = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r")[0])
                self.asked.append((head, await reader.readexactly(size)))
                self.came.set()
                writer.write(self.says or b"")
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        except asyncio.CancelledError:  # the test is over
            pass
        writer.close()


Ask = Callable[..., Awaitable[object]]


@pytest.fixture
async def peer() -> AsyncIterator[tuple[Peer, Callable[..., Predictor]]]:
    made = Peer()
    server = await asyncio.start_server(made, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def predictor(path: str = "", protocol: str = "v1", **more: int) -> Predictor:
        return Predictor(PredictorConfig(f"127.0.0.1:{port}{path}", protocol, **more))

    yield made, predictor
    server.close()


async def ask(predictor: Predictor, payload: object = None, **more: object) -> object:
    told = {"headers": None, "response_headers": None, **more}
    return await predictor.predict("iris", payload or {"instances": [[1]]}, *told.values())


async def test_v1_goes_out_as_json_with_the_headers_that_follow_a_request(peer):
    server, make = peer
    headers = {"x-request-id": "seven", "cookie": "mine", "authorization": "Bearer ä"}
    assert await ask(make(), {"instances": [[1.5]]}, headers=headers) == {"predictions": [1]}
    head, body = server.asked[0]
    assert head.startswith(b"POST /v1/models/iris:predict HTTP/1.1\r\nhost: 127.0.0.1:")
    assert b"content-type: application/json\r\n" in head
    assert b"x-request-id: seven\r\n" in head
    assert b"authorization: Bearer \xe4\r\n" in head
    assert b"cookie" not in head
    assert json.loads(body) == {"instances": [[1.5]]}


async def test_a_host_may_have_a_path_and_a_name_may_need_quotes(peer):
    server, make = peer
    await make("/serving/default/iris/").predict("a b/c", {}, None, None)
    assert server.asked[0][0].startswith(b"POST /serving/default/iris/v1/models/a%20b%2Fc:predict ")


async def test_calls_one_after_the_other_share_a_connection_and_calls_at_once_do_not_wait(peer):
    server, make = peer
    predictor = make()
    for _ in range(3):
        await ask(predictor)
    assert server.connections == 1
    await asyncio.gather(*(ask(predictor) for _ in range(8)))
    assert 1 < server.connections <= 8
    assert len(server.asked) == 11


async def test_tensors_go_and_come_raw(peer):
    server, make = peer
    head = json.dumps(
        {
            "model_name": "iris",
            "outputs": [
                {"name": "y", "shape": [2], "datatype": "FP32",
                 "parameters": {"binary_data_size": 8}}
            ],
        }
    ).encode()  # fmt: skip
    raw = np.array([1.5, -2], dtype="<f4").tobytes()
    fields = b"inference-header-content-length: %d\r\n" % len(head)
    server.says = answer(head + raw, fields=fields)
    tensor = InferInput("x", [3], "FP32")
    tensor.set_data_from_numpy(np.arange(3, dtype="f4"), binary_data=True)
    told = await ask(make(protocol="v2"), InferRequest("iris", [tensor]))
    assert told.outputs[0].as_numpy().tolist() == [1.5, -2]
    sent, body = server.asked[0]
    assert sent.startswith(b"POST /v2/models/iris/infer ")
    assert b"content-type: application/octet-stream\r\n" in sent
    assert body.endswith(np.arange(3, dtype="<f4").tobytes())


async def test_a_model_that_wants_the_answer_s_headers_gets_them(peer):
    server, make = peer
    fields = JSON + b"X-Version: 7\r\nset-cookie: a\r\nset-cookie: b\r\n"
    server.says = answer(b"{}", fields=fields)
    for _ in range(2):  # the second is a head that is known again
        told: dict[str, str] = {}
        await ask(make(), response_headers=told)
        assert told["x-version"] == "7"
        assert told["set-cookie"] == "a, b"


async def test_what_python_writes_is_read(peer):
    """`json.dumps` writes NaN, which is not JSON; KServe's SDK reads it."""
    server, make = peer
    server.says = answer(b'{"predictions": [NaN]}', fields=b"content-type: text/plain\r\n")
    (number,) = (await ask(make()))["predictions"]
    assert math.isnan(number)


REFUSALS = {
    "a refusal is told in the predictor's words": (
        answer(b'{"error": "four numbers are needed"}', b"400 Bad Request"),
        400, "four numbers are needed, '400 Bad Request' for url 'http://127",
    ),
    "one that is not ready too": (
        answer(b'{"detail": "loading"}', b"503 Service Unavailable"), 503, "loading, '503",
    ),
    "of a page only the status is told": (
        answer(b"<html>", b"502 Bad Gateway", b"content-type: text/html\r\n"), 502, "^, '502",
    ),
    "a redirect is not followed": (
        answer(b"", b"302 Found", b"location: http://example.com/\r\n"), 302, "'302 Found'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
async def test_an_error_status_is_httpx_s(peer, case):
    server, make = peer
    server.says, status, words = case
    with pytest.raises(httpx.HTTPStatusError, match=words) as raised:
        await ask(make())
    assert raised.value.response.status_code == status
    assert raised.value.response.content == server.says.partition(b"\r\n\r\n")[2]


FAULTS: dict[str, tuple[bytes | None, type[Exception], str]] = {
    "closes before it answers": (b"", httpx.RemoteProtocolError, "before it answered"),
    "closes in the middle": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", httpx.RemoteProtocolError, "middle",
    ),
    "does not speak HTTP": (b"SSH-2.0\r\n", httpx.RemoteProtocolError, "HTTP"),
    "answers no JSON": (answer(b"no"), json.JSONDecodeError, "Expecting"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS.keys())
async def test_a_predictor_that_breaks_off_is_told_by_what_it_did(peer, case):
    server, make = peer
    server.says, kind, words = case
    server.closes = True
    with pytest.raises(kind, match=words):
        await ask(make())


async def test_one_that_does_not_answer_in_time_is_given_up(peer):
    server, make = peer
    server.says = None
    with pytest.raises(httpx.ReadTimeout, match="within 1 seconds"):
        await ask(make(predictor_request_timeout_seconds=1))
    await asyncio.wait_for(server.left.wait(), 10)


async def test_a_client_that_leaves_takes_the_call_with_it(peer):
    server, make = peer
    server.says = None
    call = asyncio.create_task(ask(make()))
    await asyncio.wait_for(server.came.wait(), 10)
    call.cancel()
    await asyncio.wait_for(server.left.wait(), 10)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_nobody_there_is_tried_again_as_often_as_the_arguments_say():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    predictor = Predictor(PredictorConfig(f"127.0.0.1:{port}", predictor_request_retries=100))
    call = asyncio.create_task(ask(predictor))
    await asyncio.sleep(0.3)  # some tries in vain
    server = await asyncio.start_server(Peer(), "127.0.0.1", port)
    assert await asyncio.wait_for(call, 20) == {"predictions": [1]}
    server.close()


async def test_nobody_there_is_told_by_the_address():
    with pytest.raises(httpx.ConnectError, match=r"127\.0\.0\.1:1"):
        await ask(Predictor(PredictorConfig("127.0.0.1:1")))


async def test_an_address_that_holds_what_a_machine_tells_nobody_is_not_called():
    with pytest.raises(ValueError, match="metadata"):
        await ask(Predictor(PredictorConfig("169.254.169.254")))


async def test_a_header_that_would_begin_another_is_refused(peer):
    server, make = peer
    with pytest.raises(InvalidInput, match="x-request-id"):
        await ask(make(), headers={"x-request-id": "a\r\nhost: b"})
    assert server.asked == []


def test_each_loop_has_connections_of_its_own():
    """A model file may be asked by `asyncio.run`, several times."""

    async def once(predictor: list[Predictor], port: list[int]) -> object:
        server = await asyncio.start_server(Peer(), "127.0.0.1", *(port or [0]))
        if not predictor:
            port.append(server.sockets[0].getsockname()[1])
            predictor.append(Predictor(PredictorConfig(f"127.0.0.1:{port[0]}")))
        told = await ask(predictor[0])
        server.close()
        return told

    kept: tuple[list[Predictor], list[int]] = ([], [])
    for _ in range(2):
        assert asyncio.run(once(*kept)) == {"predictions": [1]}
