# ruff: noqa: ARG002  # models have the parameters of KServe's signatures, used or not
"""What is told of requests: ids, timings, lines, spans, pages."""

from __future__ import annotations

import contextvars
import json
import logging
import re

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sampan.protocol.tensors import InferOutput, InferResponse
from sampan.server.access_log import AccessLog, validate_format
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Observation
from sampan.server.model import Model
from sampan.server.repository import ModelRepository
from sampan.server.rest import Rest
from sampan.server.tracing import Tracing, is_asked_for
from sampan.server.workers import Workers
from sampan.wire.message import Request

PREDICT = "/v1/models/echo:predict"


async def ask(observation, model, *headers, target=PREDICT, body=b'{"instances":[1]}'):
    """Return the answer of a server that is observed so; no socket."""
    import asyncio

    repository = ModelRepository()
    model.load()
    repository.update(model)
    rest = Rest(DataPlane(repository, Workers(1)), observation)
    answered = asyncio.get_running_loop().create_future()
    request = Request(b"POST" if body else b"GET", target.encode(), list(headers), body)
    rest.submit(request, answered.set_result)
    return await answered


class Echo(Model):
    def predict(self, payload, headers=None):
        return {"predictions": payload["instances"], "id": headers["x-request-id"]}


class Raises(Model):
    def predict(self, payload, headers=None):
        raise KeyError("boom")


async def test_a_given_request_id_comes_back_and_reaches_the_model():
    answer = await ask(None, Echo("echo"), (b"x-request-id", b"abc-1"))
    assert dict(answer.headers)[b"x-request-id"] == b"abc-1"
    assert json.loads(answer.body)["id"] == "abc-1"


@pytest.mark.parametrize("given", [None, b"", b"a b", b"x" * 129, b"\xff"])
async def test_a_missing_or_malformed_request_id_is_made_anew(given):
    headers = () if given is None else ((b"x-request-id", given),)
    seen = [await ask(None, Echo("echo"), *headers) for _ in range(2)]
    ids = [dict(answer.headers)[b"x-request-id"] for answer in seen]
    assert ids[0] != ids[1]
    assert all(re.fullmatch(rb"[0-9a-f]{16}-[0-9a-f]+", one) for one in ids)


async def test_every_answer_has_a_request_id(serve, echo):
    server = await serve(echo)
    for method, path in (("GET", "/"), ("GET", "/none"), ("DELETE", "/"), ("POST", PREDICT)):
        assert "x-request-id" in (await server.ask(method, path)).headers


class Tensors(Model):
    """Answers V2 requests, with headers of its own where it is told to."""

    def predict(self, payload, headers=None, response_headers=None):
        if response_headers is not None:
            response_headers["x-own"] = "1"
        output = InferOutput("o", [1], "INT8", [1])
        return InferResponse("1", "echo", [output], use_binary_outputs=payload.use_binary_outputs)


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("own", [True, False], ids=["with headers of the model", "without"])
async def test_an_answer_carries_its_id_once_beside_any_other_header(binary, own):
    body = {"inputs": [{"name": "i", "shape": [1], "datatype": "INT8", "data": [1]}]}
    body["parameters"] = {"binary_data_output": binary}
    answer = await ask(
        None,
        Tensors("echo", return_response_headers=own),
        (b"content-type", b"application/json"),
        (b"x-request-id", b"abc-1"),
        target="/v2/models/echo/infer",
        body=json.dumps(body).encode(),
    )
    names = sorted(name for name, _ in answer.headers)
    extra = [b"inference-header-content-length"] * binary + [b"x-own"] * own
    assert names == sorted([b"x-request-id", *extra])


async def test_an_event_is_answered_with_its_id_once():
    event = {"ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-specversion": "1.0"}
    headers = [(name.encode(), value.encode()) for name, value in event.items()]
    answer = await ask(None, Echo("echo"), (b"content-type", b"application/json"), *headers)
    assert [name for name, _ in answer.headers].count(b"x-request-id") == 1
    assert dict(answer.headers)[b"ce-specversion"] == b"1.0"


async def test_user_code_that_raises_tells_type_text_and_id_and_nothing_of_the_stack(caplog):
    answer = await ask(None, Raises("echo"), (b"x-request-id", b"abc-1"))
    assert answer.status == 500
    assert answer.body == b'{"error":"KeyError : \'boom\'"}'
    assert dict(answer.headers)[b"x-request-id"] == b"abc-1"
    assert 'model "echo" raised on request abc-1' in caplog.text


async def test_the_stack_is_sent_where_debug_asks_for_it():
    answer = await ask(Observation(debug=True), Raises("echo"))
    told = json.loads(answer.body)
    assert told["error"] == "KeyError : 'boom'"
    assert "in predict" in told["traceback"]


async def test_server_timing_tells_the_phases():
    answer = await ask(Observation(server_timing=True), Echo("echo"))
    told = dict(answer.headers)[b"server-timing"].decode()
    assert re.fullmatch(
        r"preprocess;dur=[\d.]+, predict;dur=[\d.]+, postprocess;dur=[\d.]+, total;dur=[\d.]+", told
    )


@pytest.fixture
def lines():
    """Collect the lines of the access log."""
    kept = []

    class Keep(logging.Handler):
        def emit(self, record):
            kept.append(record.getMessage())

    def make(line_format):
        log = AccessLog(line_format)
        logging.getLogger("sampan.access").handlers = [Keep()]
        return Observation(access_log=log)

    make.kept = kept
    return make


async def test_the_access_log_follows_its_format(lines):
    observation = lines('%(m)s %(U)s?%(q)s %(s)s %(B)s %(model)s "%({X-Who}i)s" %(id)s')
    await ask(
        observation,
        Echo("echo"),
        (b"x-who", b"a\nb"),
        (b"x-request-id", b"r1"),
        target=PREDICT + "?a=1",
    )
    assert lines.kept == [f'POST {PREDICT}?a=1 200 29 echo "a\\nb" r1']


async def test_the_access_log_sees_the_headers_that_are_sent(lines):
    observation = lines("%({X-Request-Id}o)s %({Content-Type}o)s %({X-None}o)s")
    await ask(observation, Echo("echo"), (b"x-request-id", b"r1"))
    assert lines.kept == ["r1 application/json -"]


async def test_the_access_log_as_json_holds_id_model_and_phases(lines):
    await ask(lines("json"), Raises("echo"), (b"x-request-id", b"r1"))
    line = json.loads(lines.kept[0])
    assert (line["request_id"], line["status"], line["model"]) == ("r1", 500, "echo")
    assert "preprocess_seconds" in line
    assert "predict_seconds" not in line


@pytest.mark.parametrize(
    ("line_format", "named"), [("%(x)s", '"%(x)s"'), ("100% %(m)s", "percent sign"), ("%d", "%d")]
)
def test_a_format_that_is_not_known_is_refused(line_format, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        validate_format(line_format)


@pytest.fixture
def traced():
    """Return tracing into memory, and its spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Observation(tracing=Tracing(provider)), exporter


async def test_a_trace_goes_on_with_a_span_for_each_phase(traced):
    observation, exporter = traced

    class Inner(Model):
        def predict(self, payload, headers=None):
            seen.append(trace.get_current_span().get_span_context())
            return payload

    seen: list[trace.SpanContext] = []
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await ask(observation, Inner("echo"), (b"traceparent", parent))
    spans = {span.name: span for span in exporter.get_finished_spans()}
    root = spans["POST predict"]
    assert f"{root.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{root.parent.span_id:016x}" == "b7ad6b7169203331"
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["kserve.model_name"] == "echo"
    names = [name for name in spans if name not in {"batch", "POST predict"}]
    assert names == ["queue", "decode", "preprocess", "predict", "postprocess", "encode"]
    for name in names:
        assert spans[name].parent.span_id == root.context.span_id
        assert spans[name].start_time <= spans[name].end_time
    assert seen[0].span_id == root.context.span_id
    assert trace.get_current_span().get_span_context().span_id == 0


async def test_the_span_of_a_failure_is_an_error(traced):
    observation, exporter = traced
    await ask(observation, Raises("echo"))
    assert exporter.get_finished_spans()[-1].status.status_code is trace.StatusCode.ERROR


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_environment_switches_traces_on(environment, on):
    assert is_asked_for(environment) is on


def test_what_is_not_served_of_opentelemetry_is_named():
    with pytest.raises(ValueError, match='"zipkin"'):
        is_asked_for({"OTEL_TRACES_EXPORTER": "zipkin"})
    with pytest.raises(ValueError, match="OTEL_EXPORTER_OTLP_PROTOCOL"):
        is_asked_for({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


async def test_the_page_is_there_only_where_it_was_asked_for():
    answer = await ask(None, Echo("echo"), target="/docs", body=b"")
    assert answer.status == 404
    answer = await ask(Observation(docs=True), Echo("echo"), target="/docs", body=b"")
    assert answer.status == 200
    assert b"<!doctype html>" in answer.body
    assert b"http://" not in answer.body
    assert b"https://" not in answer.body


async def test_the_document_holds_each_model_with_an_example_of_its_shape():
    class Typed(Model):
        def get_input_types(self):
            return [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]

    answer = await ask(None, Typed("a/b"), target="/openapi.json", body=b"")
    document = json.loads(answer.body)
    infer = document["paths"]["/v2/models/a%2Fb/infer"]["post"]
    assert infer["requestBody"]["content"]["application/json"]["example"]["inputs"] == [
        {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[0.0, 0.0]]}
    ]


def test_contexts_do_not_leak():
    assert not [v for v in contextvars.copy_context().values() if isinstance(v, trace.Span)]
