"""Both clients ask a real server; every row is asked by the blocking and the async one."""

from __future__ import annotations

import asyncio
import collections
import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sampan.client import AsyncClient, Client, NoAnswer, RequestFailed, RetryPolicy
from sampan.client.calls import infer
from sampan.client.events import EventReader
from sampan.protocol import v2
from sampan.protocol.errors import InferenceError
from sampan.protocol.tensors import InferInput, InferRequest, InferResponse

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: %d\r\n"
    b'content-length: 16\r\n\r\n{"error":"busy"}'
)
PIECES = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    b'data: {"a":1}\n\ndata: {"a":2}\n\ndata: [DONE]\n\n'
)


@pytest.fixture(params=[Client, AsyncClient], ids=["blocking", "async"])
def ask(request) -> Any:
    """`ask(url, method, *arguments, options...)` makes a client, asks once and closes it."""

    def asked(url: str, method: str, *arguments: Any, options: Any = None, **named: Any) -> Any:
        if request.param is Client:
            with Client(url, **(options or {})) as client:
                found = getattr(client, method)(*arguments, **named)
                return list(found) if inspect.isgenerator(found) else found

        async def run() -> Any:
            async with AsyncClient(url, **(options or {})) as client:
                found = getattr(client, method)(*arguments, **named)
                if inspect.isasyncgen(found):
                    return [item async for item in found]
                return await found

        return asyncio.run(run())

    return asked


@pytest.mark.parametrize(
    ("method", "arguments", "answer"),
    [
        ("predict", ("echo", {"instances": [[1, 2]]}), {"predictions": [[1, 2]]}),
        ("predict", ("echo", {"instances": np.eye(2)}), {"predictions": [[1.0, 0.0], [0.0, 1.0]]}),
        ("models", (), ["echo", "later"]),
        ("is_server_live", (), True),
        ("is_server_ready", (), False),
        ("is_model_ready", ("echo",), True),
        ("is_model_ready", ("later",), False),
        ("index", (True,), [{"name": "echo", "state": "Ready", "reason": ""}]),
    ],
)
def test_a_question_gets_the_servers_answer(ask, server_url, method, arguments, answer):
    assert ask(server_url, method, *arguments) == answer


def test_metadata_tells_server_and_model(ask, server_url):
    assert ask(server_url, "server_metadata")["name"]
    assert ask(server_url, "model_metadata", "echo")["name"] == "echo"


@pytest.mark.parametrize("binary", [True, False])
def test_arrays_go_and_come_unchanged(ask, server_url, binary):
    sent = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y": np.array([True, False])}
    found = ask(server_url, "infer", "echo", sent, binary=binary)
    assert isinstance(found, InferResponse)
    for name, array in sent.items():
        output = found.get_output_by_name(name)
        np.testing.assert_array_equal(output.as_numpy(), array)
        assert output.as_numpy().dtype == array.dtype


def test_only_the_outputs_asked_for_come(ask, server_url):
    sent = {"x": np.zeros(1), "y": np.zeros(2)}
    found = ask(server_url, "infer", "echo", sent, outputs=("y",))
    assert [output.name for output in found.outputs] == ["y"]


def test_a_token_and_headers_are_sent(ask, server_url):
    found = ask(server_url, "explain", "echo", {"instances": []}, options={"token": "secret"})
    assert found == {"explanations": "Bearer secret"}


@pytest.mark.parametrize(
    ("method", "arguments", "status", "text"),
    [
        ("predict", ("none", {"instances": []}), 404, "Model with name none does not exist."),
        ("predict", ("echo", {"instances": ["refuse"]}), 400, "refused as asked"),
        ("is_model_ready", ("none",), 404, "Model with name none does not exist."),
        ("unload", ("none",), 404, "Model with name none does not exist."),
    ],
)
def test_a_refusal_has_the_status_and_the_servers_words(
    ask, server_url, method, arguments, status, text
):
    with pytest.raises(RequestFailed) as caught:
        ask(server_url, method, *arguments)
    assert (caught.value.status, caught.value.error) == (status, text)
    assert server_url in str(caught.value)


def test_a_busy_server_is_asked_again_after_the_time_it_says(ask, remote):
    busy = remote(BUSY % 0, BUSY % 0, OK)
    assert ask(busy.url, "predict", "m", {}) == {}
    assert len(busy.requests) == 3


@pytest.mark.parametrize(
    ("retries", "after", "asked"), [(0, 0, 1), (2, 0, 3), (RetryPolicy(5, max_retry_after=1), 9, 1)]
)
def test_the_policy_ends_the_tries(ask, remote, retries, after, asked):
    busy = remote(BUSY % after)
    with pytest.raises(RequestFailed, match="busy"):
        ask(busy.url, "predict", "m", {}, options={"retries": retries})
    assert len(busy.requests) == asked


def test_a_model_that_broke_is_not_asked_again(ask, remote):
    broken = remote(OK.replace(b"200 OK", b"500 Internal Server Error"))
    with pytest.raises(RequestFailed):
        ask(broken.url, "predict", "m", {})
    assert len(broken.requests) == 1


def test_nobody_there_is_told_with_the_url(ask):
    with pytest.raises(NoAnswer, match=r"http://127\.0\.0\.1:9/v1/.*check the URL") as caught:
        ask("http://127.0.0.1:9", "predict", "m", {}, options={"retries": 1})
    assert not caught.value.sent


def test_an_answer_that_takes_too_long_is_not_asked_for_again(ask, remote):
    slow = remote(b"HTTP/1.1 100 Continue\r\n\r\n")
    with pytest.raises(NoAnswer, match="raise the timeout"):
        ask(slow.url, "predict", "m", {}, options={"timeout": 0.2})
    assert len(slow.requests) == 1


def test_a_kept_connection_that_was_closed_is_opened_again(remote):
    closing = remote(OK, b"", OK)
    with Client(closing.url) as client:
        assert [client.predict("m", {}), client.predict("m", {})] == [{}, {}]


def test_events_come_one_by_one_until_done(ask, remote):
    assert ask(remote(PIECES).url, "events", "/v1/x", {}) == ['{"a":1}', '{"a":2}']


def test_a_stream_that_is_refused_has_the_servers_words(ask, server_url):
    with pytest.raises(RequestFailed) as caught:
        ask(server_url, "stream", "/v1/models/none:predict", {"instances": []})
    assert caught.value.error == "Model with name none does not exist."


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8080", "is no base URL"),
        ("ftp://a", "is no base URL"),
        ("http://", "is no base URL"),
        ("http://a:b@c", "holds a password"),
        ("http://a:99999", "no valid port"),
    ],
)
def test_a_wrong_base_url_is_told_at_once(url, said):
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=said):
            kind(url)


def test_a_base_url_may_have_a_path(remote):
    gateway = remote(OK)
    with Client(f"{gateway.url}/serving/default/iris/") as client:
        client.predict("iris", {})
    assert gateway.requests[0].startswith(b"POST /serving/default/iris/v1/models/iris:predict ")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"outputs":[3]}', b'{"outputs":[{"name":1}]}']
)
def test_an_answer_that_is_no_response_is_told(body):
    from sampan.protocol.v2_client import decode_response

    with pytest.raises(InferenceError, match="answer is no"):
        decode_response(body, None)


@given(
    arrays.arrays(
        st.sampled_from(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]),
        arrays.array_shapes(max_dims=3, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    ),
    st.booleans(),
)
def test_what_is_sent_is_what_the_server_reads(array, binary):
    call = infer("m", {"x": array}, binary=binary)
    length = call.headers.get(v2.HEADER_LENGTH)
    kind = call.headers["content-type"].encode()
    read = v2.decode(call.body, kind, length and length.encode(), "m")
    found = read.inputs[0].as_numpy()
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=5), st.booleans())
def test_bytes_are_sent_as_the_server_reads_them(elements, binary):
    tensor = InferInput("x", [len(elements)], "BYTES")
    array = np.array([*elements, None], dtype=object)[:-1]
    tensor.set_data_from_numpy(array, binary_data=True)
    call = infer("m", InferRequest("m", [tensor]), binary=binary)
    length = call.headers[v2.HEADER_LENGTH].encode()
    read = v2.decode(call.body, b"application/octet-stream", length, "m")
    assert list(read.inputs[0].as_numpy()) == elements


@given(
    st.lists(st.text("abc: é", min_size=1, max_size=6), max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.data(),
)
def test_events_are_the_same_however_the_bytes_are_cut(events, end, data):
    text = "".join(f"data: {event}{end}: comment{end}{end}" for event in events).encode()
    reader, found, at = EventReader(), [], 0
    while at < len(text):
        step = data.draw(st.integers(1, len(text) - at))
        found += reader.feed(text[at : at + step])
        at += step
    assert found == events


@pytest.mark.parametrize("line", [b"data: ", b"data: 1234567\n"], ids=["one line", "many lines"])
def test_an_event_that_never_ends_is_refused(line):
    reader = EventReader(max_bytes=1000)
    with pytest.raises(InferenceError, match="larger than 1000 bytes"):
        collections.deque(map(reader.feed, [line] * 1000), maxlen=0)


def test_events_that_end_may_be_any_number():
    reader = EventReader(max_bytes=100)
    assert sum(len(reader.feed(b"data: 1234567\n\n")) for _ in range(1000)) == 1000


def test_the_client_imports_nothing_of_the_server_and_nothing_heavy():
    code = (
        "import sys, sampan.client\n"
        "heavy = {'httpx', 'numpy', 'grpc', 'sampan.server', 'sampan.wire', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
