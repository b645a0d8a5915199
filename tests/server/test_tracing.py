"""Traces: what a real OTLP receiver gets of real requests, and where each phase lies."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sampan.client.grpc import InferenceGRPCClient
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.server.model import InferenceVerb
from sampan.server.steps import Ran
from sampan.server.traced_exchange import Phase, Times, make_timeline

MODELS = """
import time

from opentelemetry import trace
from sampan.sdk import Model, get_predict_input, get_predict_response

tracer = trace.get_tracer("mine")


class Sums(Model):
    row_wise = True

    def predict(self, payload, headers=None):
        with tracer.start_as_current_span("my lookup"):
            rows = get_predict_input(payload)
        time.sleep(0.05)
        return get_predict_response(payload, rows.sum(axis=1), self.name)


class Fails(Model):
    def predict(self, payload, headers=None):
        raise KeyError("boom")


class Words(Model):
    def predict(self, payload, headers=None):
        for word in "ab":
            time.sleep(0.02)
            yield {"text_output": word}
"""
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
ROWS = b'{"instances": [[1, 2]]}'
OK, ERROR = 0, 2  # UNSET and ERROR of OTLP's Status.StatusCode


class Receiver(ThreadingHTTPServer):
    """An OTLP/HTTP receiver: takes protobuf at /v1/traces and keeps the spans."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.services: set[str] = set()

    def wait(self, complete: Callable[[list[Any]], bool]) -> list[Any]:
        """Return the spans once they are complete."""
        end = time.monotonic() + 30
        while not complete(self.spans):
            assert time.monotonic() < end, [span.name for span in self.spans]
            time.sleep(0.05)
        return self.spans


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        good = self.path == "/v1/traces" and self.headers["content-type"].endswith("x-protobuf")
        if good:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                named = {a.key: a.value.string_value for a in resource.resource.attributes}
                self.server.services.add(named["service.name"])
                for scope in resource.scope_spans:
                    self.server.spans.extend(scope.spans)
        self.send_response(200 if good else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def served(receiver: Receiver, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """`served("--workers=2")` starts a server that sends its traces; returns its URL."""
    (tmp_path / "m.py").write_text(MODELS)
    log = tmp_path / "log"
    running: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> str:
        code = "import sys; from sampan.cli.main import main; main(sys.argv[1:])"
        names = [f"{name.lower()}=m.py:{name}" for name in ("Sums", "Fails", "Words")]
        ports = ["--http_port=0", "--grpc_port=0"]
        env = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
            "OTEL_SERVICE_NAME": "tested",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with log.open("w") as output:
            command = [sys.executable, "-c", code, "serve", *names, *ports, *words]
            running.append(
                subprocess.Popen(command, cwd=tmp_path, env=env, stdout=output, stderr=output)
            )
        end = time.monotonic() + 60
        while not (found := re.search(r"listening on (http://\S+)", log.read_text())):
            assert running[-1].poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        while get(f"{found[1]}/v2/health/ready") != 200:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        return found[1]

    start.running = running  # type: ignore[attr-defined]  # for a test that ends one
    yield start
    for process in running:
        process.terminate()
        process.wait(30)


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def post(url: str, body: bytes = ROWS, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def named(spans: list[Any]) -> dict[str, Any]:
    return {span.name: span for span in spans}


def test_a_receiver_gets_a_span_for_the_request_and_one_for_each_phase(receiver, served):
    url = served()
    parent = f"00-{TRACE}-{CALLER}-01"
    assert post(f"{url}/v1/models/sums:predict", traceparent=parent)[0] == 200
    spans = named(receiver.wait(lambda spans: "POST predict" in named(spans)))
    root = spans["POST predict"]
    assert "GET ready_v2" not in spans, "probes have no spans"
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, CALLER)
    assert receiver.services == {"tested"}
    names = ["queue", "decode", "preprocess", "predict", "postprocess", "encode"]
    assert sorted(names) == sorted(spans.keys() - {"POST predict", "batch", "my lookup"})
    assert spans["my lookup"].parent_span_id == root.span_id
    for before, after in pairwise(names):
        assert spans[before].end_time_unix_nano <= spans[after].start_time_unix_nano + 1000
    for name in names:
        assert spans[name].parent_span_id == root.span_id
        assert spans[name].start_time_unix_nano >= root.start_time_unix_nano - 1_000_000
        assert spans[name].status.code == OK
    predict = spans["predict"]
    assert predict.end_time_unix_nano - predict.start_time_unix_nano >= 50_000_000


def test_of_a_failure_the_phase_that_raised_is_an_error_and_so_is_the_request(receiver, served):
    url = served()
    assert post(f"{url}/v1/models/fails:predict")[0] == 500
    assert post(f"{url}/v1/models/sums:predict", b"{")[0] == 400
    spans = receiver.wait(lambda spans: sum(s.name == "POST predict" for s in spans) == 2)
    assert [s.name for s in spans if s.status.code == ERROR] == [
        "predict",
        "POST predict",
        "decode",
    ]


def test_a_stream_has_a_phase_that_lasts_until_its_last_part(receiver, served):
    url = served()
    assert post(f"{url}/v2/models/words/generate_stream", b'{"text_input": "x"}')[0] == 200
    spans = named(receiver.wait(lambda spans: "POST generate_stream" in named(spans)))
    stream = spans["stream"]
    assert stream.end_time_unix_nano - stream.start_time_unix_nano >= 40_000_000


def test_grpc_is_traced_as_rest_is(receiver, served):
    url = served()
    tensor = InferInput("x", [1, 2], "INT64", [1, 2])

    async def ask() -> Any:
        async with InferenceGRPCClient(url.removeprefix("http://")) as client:
            metadata = [("traceparent", f"00-{TRACE}-{CALLER}-01")]
            return await client.infer(InferRequest("sums", [tensor]), headers=metadata)

    assert asyncio.run(ask()).outputs[0].as_numpy().tolist() == [3]
    root = "inference.GRPCInferenceService/ModelInfer"
    spans = named(receiver.wait(lambda spans: root in named(spans)))
    assert spans[root].trace_id.hex() == TRACE
    assert {"queue", "decode", "predict", "encode"} <= spans.keys()


def test_workers_send_what_is_left_when_they_end(receiver, served):
    url = served("--workers=2")
    for _ in range(4):
        assert post(f"{url}/v1/models/sums:predict")[0] == 200
    served.running[0].terminate()
    assert served.running[0].wait(30) == 0
    assert sum(span.name == "POST predict" for span in receiver.spans) == 4


def times(**given: Any) -> Times:
    whole: dict[str, Any] = {"asked": 0.0, "decode": None, "encode": None, "end": 10.0}
    return Times(**whole | given)


DECODE, ENCODE = Phase("decode", 1.0, 2.0), Phase("encode", 8.0, 9.0)


@pytest.mark.parametrize(
    ("given_times", "ran", "phases"),
    [
        pytest.param(times(), Ran(), ["queue"], id="never had its turn"),
        pytest.param(
            times(decode=DECODE._replace(failed=True)), Ran(), ["queue", "decode!"], id="no decode"
        ),
        pytest.param(
            times(decode=DECODE),
            Ran(preprocess=1.0),
            ["queue", "decode", "preprocess", "predict!"],
            id="predict raises, or takes too long",
        ),
        pytest.param(
            times(decode=DECODE, encode=ENCODE),
            Ran(preprocess=1.0, predict=4.0, postprocess=1.0),
            ["queue", "decode", "preprocess", "predict", "postprocess", "encode"],
            id="no time is left between the steps",
        ),
        pytest.param(
            times(decode=DECODE, encode=ENCODE, streamed=True),
            Ran(preprocess=0.0, predict=1.0, postprocess=0.0),
            [
                "queue",
                "decode",
                "preprocess",
                "batch",
                "predict",
                "postprocess",
                "encode",
                "stream",
            ],
            id="what is left is the wait for a batch",
        ),
    ],
)
def test_the_phases_of_an_inference(given_times, ran, phases):
    made = make_timeline(given_times, ran, InferenceVerb.PREDICT)
    assert [phase.name + "!" * phase.failed for phase in made] == phases


SECONDS = st.floats(0, 1, allow_nan=False)


@given(st.lists(SECONDS, min_size=8, max_size=8), st.integers(0, 3))
def test_phases_follow_one_another_without_a_gap(seconds, steps):
    asked, decoding, encoding, waited, *rest = seconds
    took = dict(zip(("preprocess", "predict", "postprocess")[:steps], rest, strict=False))
    decode = Phase("decode", asked, asked + decoding)
    begin = decode.end + sum(took.values()) + waited
    encode = Phase("encode", begin, begin + encoding) if steps == 3 else None
    end = begin + encoding
    made = make_timeline(Times(0.0, decode, encode, end), Ran(**took), InferenceVerb.PREDICT)
    assert made[0].begin == 0.0
    for before, after in pairwise(made):
        assert after.begin == pytest.approx(before.end, abs=2e-4)
    assert made[-1].end == pytest.approx(end, abs=2e-4)


def test_spans_hold_no_body_and_no_secret(receiver, served):
    url = served()
    post(f"{url}/v1/models/sums:predict?key=hidden", ROWS, authorization="Bearer hidden")
    spans = receiver.wait(lambda spans: "POST predict" in named(spans))
    assert "hidden" not in json.dumps([str(span) for span in spans])
