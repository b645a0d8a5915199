# ruff: noqa: ARG002  # models have the parameters of KServe's signatures, used or not
"""Models that return iterators, over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferOutput, InferResponse
from sampan.server.model import Model

EVENTS = {"Accept": "text/event-stream", "Content-Type": "application/json"}


class Streams(Model):
    """Answers with what `make` makes; remembers that it was closed."""

    def __init__(self, name, make):
        super().__init__(name)
        self.make = make
        self.closed = threading.Event()

    def predict(self, payload, headers=None):
        return self.make(self)


def words(model):
    try:
        yield "one "
        yield b"two "
        yield {"three": 3}
    finally:
        model.closed.set()


async def async_words(model):
    try:
        yield "one "
        yield b"two "
        await asyncio.sleep(0)
        yield {"three": 3}
    finally:
        model.closed.set()


def loaded(make):
    model = Streams("s", make)
    model.load()
    return model


@pytest.mark.parametrize("make", [words, async_words], ids=["sync", "async"])
async def test_v1_streams_go_out_chunk_by_chunk_as_kserves(serve, make):
    model = loaded(make)
    answer = await (await serve(model)).ask("POST", "/v1/models/s:predict", "{}")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-type" not in answer.headers
    assert answer.body == b'4\r\none \r\n4\r\ntwo \r\nc\r\n{"three":3}\n\r\n0\r\n\r\n'
    assert model.closed.wait(2)


@pytest.mark.parametrize("make", [words, async_words], ids=["sync", "async"])
async def test_v1_streams_are_events_for_who_accepts_events(serve, make):
    answer = await (await serve(loaded(make))).ask("POST", "/v1/models/s:predict", "{}", EVENTS)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert b"data: one \n\n\r\n" in answer.body
    assert b'data: {"three":3}\n\n' in answer.body


@pytest.mark.parametrize("broken", [InvalidInput("too long"), KeyError("boom")])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_fails_at_the_first_item_gets_its_status(serve, broken, asynchronous):
    def sync(model):
        raise broken
        yield

    async def later(model):
        raise broken
        yield

    server = await serve(loaded(later if asynchronous else sync))
    answer = await server.ask("POST", "/v1/models/s:predict", "{}")
    assert answer.status == (400 if isinstance(broken, InvalidInput) else 500)


async def test_an_error_later_on_is_an_event(serve):
    def make(model):
        yield "one"
        raise ValueError("broke")

    answer = await (await serve(loaded(make))).ask("POST", "/v1/models/s:predict", "{}", EVENTS)
    assert b'data: {"error":"ValueError : broke"}\n\n' in answer.body
    assert answer.body.endswith(b"0\r\n\r\n")


async def test_an_empty_stream_is_an_empty_answer(serve):
    answer = await (await serve(loaded(lambda _: iter(())))).ask(
        "POST", "/v1/models/s:predict", "{}"
    )
    assert (answer.status, answer.body) == (200, b"0\r\n\r\n")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_client_that_leaves_ends_the_work(serve, asynchronous):
    go = threading.Event()

    def sync(model):
        try:
            while not go.wait(0.01):
                yield "x"
        finally:
            model.closed.set()

    async def later(model):
        try:
            yield "x"
            await asyncio.sleep(30)
        finally:
            model.closed.set()

    model = loaded(later if asynchronous else sync)
    server = await serve(model)
    reader, writer = await asyncio.open_connection(*server.listener.address)
    writer.write(b"POST /v1/models/s:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    await reader.readuntil(b"x\r\n")
    writer.close()
    assert await asyncio.to_thread(model.closed.wait, 3)
    go.set()


def tensors(model):
    for number in range(2):
        output = InferOutput("text_output", [1], "BYTES", [f"w{number}"])
        yield InferResponse("r", "s", [output])


async def test_v2_streams_are_events_of_responses(serve):
    body = '{"inputs":[{"name":"i","shape":[1],"datatype":"INT32","data":[1]}]}'
    answer = await (await serve(loaded(tensors))).ask(
        "POST", "/v2/models/s/infer", body, {"Content-Type": "application/json"}
    )
    events = [line[6:] for line in answer.body.split(b"\n") if line.startswith(b"data: ")]
    assert [json.loads(e)["outputs"][0]["data"] for e in events] == [["w0"], ["w1"]]


async def test_generate_stream_sends_fields(serve):
    server = await serve(loaded(tensors))
    answer = await server.ask("POST", "/v2/models/s/generate_stream", '{"text_input":"hello"}')
    assert b'data: {"model_name":"s","model_version":null,"id":"r","text_output":"w0"}' in (
        answer.body
    )
    answer = await server.ask("POST", "/v2/models/s/generate", '{"text_input":"hello"}')
    assert answer.status == 400
    assert "generate_stream" in answer.json["error"]


class Upper(Model):
    def predict(self, payload, headers=None):
        text = payload.inputs[0].as_string()[0]
        return InferResponse(
            payload.id, self.name, [InferOutput("text_output", [1], "BYTES", [text.upper()])]
        )


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ('{"text_input":"hé","id":"7","parameters":{"n":1}}', 200, '"id":"7","text_output":"HÉ"'),
        ("[]", 400, "Expected a JSON object"),
        ("{}", 400, "Expected a JSON object"),
        ("{", 400, "Unrecognized request format"),
        ('{"text_input":{}}', 400, "text_input"),
        ('{"text_input":"a","id":1}', 400, "'id' is 1"),
        ('{"text_input":"a","parameters":[]}', 400, "'parameters'"),
        ('{"text_input":"a","parameters":{"a":[]}}', 400, "parameter 'a'"),
    ],
)
async def test_generate_takes_fields_and_answers_fields(serve, body, status, told):
    model = Upper("u")
    model.load()
    answer = await (await serve(model)).ask("POST", "/v2/models/u/generate", body)
    assert answer.status == status
    assert told in answer.body.decode()
