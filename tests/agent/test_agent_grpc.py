"""gRPC through the agent: grpcio's own client and server, the agent as a real process between."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from tests.agent.agent_process import PATIENCE

MEGABYTES = 10 * 1024 * 1024
SIZES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Component(grpc.GenericRpcHandler):
    """A server whose methods are known to nobody else."""

    def __init__(self) -> None:
        self.called_off = threading.Event()

    def service(self, details: Any) -> Any:
        methods = {
            "/own.Service/Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "/own.Service/Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
            "/own.Service/Talk": grpc.stream_stream_rpc_method_handler(self.talk),
            "/own.Service/Wait": grpc.unary_stream_rpc_method_handler(self.wait),
        }
        return methods.get(details.method)

    def echo(self, message: bytes, context: Any) -> bytes:
        told = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-seen", told.get("x-mine", ""))])
        context.set_trailing_metadata([("x-end", "1")])
        return message

    def refuse(self, message: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, message.decode())

    def talk(self, messages: Iterator[bytes], _context: Any) -> Iterator[bytes]:
        for message in messages:
            yield message.upper()

    def wait(self, message: bytes, context: Any) -> Iterator[bytes]:
        context.add_callback(self.called_off.set)
        yield message
        self.called_off.wait(PATIENCE)


@pytest.fixture
def component() -> Iterator[tuple[Component, int]]:
    own = Component()
    server = grpc.server(futures.ThreadPoolExecutor(8), [own], options=SIZES)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield own, port
    server.stop(0).wait()


@pytest.fixture
def channel(component, agent) -> Iterator[grpc.Channel]:
    _, port = component
    with connect(agent("--component-port", str(port))) as opened:
        yield opened


def connect(running: Any) -> grpc.Channel:
    return grpc.insecure_channel(running.url.removeprefix("http://"), options=SIZES)


def test_a_call_passes_with_its_metadata_both_ways(channel):
    answer, call = channel.unary_unary("/own.Service/Echo").with_call(
        b"hello", metadata=[("x-mine", "7")], timeout=PATIENCE
    )
    assert answer == b"hello"
    assert dict(call.initial_metadata())["x-seen"] == "7"
    assert dict(call.trailing_metadata())["x-end"] == "1"


def test_large_messages_pass(channel):
    large = bytes(MEGABYTES)
    echo = channel.unary_unary("/own.Service/Echo")
    assert echo(large, timeout=PATIENCE) == large


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param("too warm: 40 °C", "too warm: 40 °C", id="beyond ASCII"),
        pytest.param(" too warm: ", "too warm:", id="blanks around them are no part of a header"),
    ],
)
def test_what_the_component_refuses_keeps_its_status_and_its_words(channel, words, told):
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/own.Service/Refuse")(words.encode(), timeout=PATIENCE)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == told


def test_both_sides_stream_in_turn(channel):
    asked: list[bytes] = [b"a", b"b", b"c"]
    heard = threading.Semaphore(1)

    def words() -> Iterator[bytes]:
        for word in asked:  # each waits for the answer to the one before
            assert heard.acquire(timeout=PATIENCE)
            yield word

    told = []
    for answer in channel.stream_stream("/own.Service/Talk")(words(), timeout=PATIENCE):
        told.append(answer)
        heard.release()
    assert told == [b"A", b"B", b"C"]


def test_a_stream_that_is_longer_than_any_window_comes_whole(channel):
    pieces = [bytes([65 + number % 26]) * 300_000 for number in range(20)]
    told = channel.stream_stream("/own.Service/Talk")(iter(pieces), timeout=PATIENCE)
    assert list(told) == pieces


def test_a_client_that_leaves_calls_the_component_off(component, channel):
    waiting = channel.unary_stream("/own.Service/Wait")(b"x", timeout=PATIENCE)
    assert next(waiting) == b"x"
    waiting.cancel()
    assert component[0].called_off.wait(PATIENCE)


def test_a_method_that_there_is_not_is_the_component_s_to_say(channel):
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/own.Service/Nothing")(b"", timeout=PATIENCE)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_component_that_is_not_there_is_unavailable_and_named(agent):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        free = sock.getsockname()[1]
    running = agent("--component-port", str(free))
    with connect(running) as opened, pytest.raises(grpc.RpcError) as refused:
        opened.unary_unary("/own.Service/Echo")(b"", timeout=PATIENCE)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert f"127.0.0.1:{free}" in refused.value.details()


def test_a_call_is_logged_as_it_was_framed(component, agent, peer):
    sink, port = peer(lambda _: (202, {}, b""))
    url = f"http://127.0.0.1:{port}"
    running = agent("--component-port", str(component[1]), "--log-url", url)
    with connect(running) as opened:
        opened.unary_unary("/own.Service/Echo")(
            b"hello", metadata=[("ce-id", "9")], timeout=PATIENCE
        )
    events = {e.headers["ce-type"].rpartition(".")[2]: e for e in (sink.next(), sink.next())}
    framed = b"\x00\x00\x00\x00\x05hello"
    assert {kind: e.body for kind, e in events.items()} == {"request": framed, "response": framed}
    assert {e.headers["content-type"] for e in events.values()} == {"application/grpc"}
    assert {e.headers["ce-id"] for e in events.values()} == {"9"}
