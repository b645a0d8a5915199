"""Traces of a graph: one trace from the caller through the router to the steps, in any form."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from tests.router.conftest import Town
from tests.router.graph_cases import IRIS, OK, ask, enter, node
from tests.router.test_route_http import closed_port
from tests.server.test_tracing import CALLER, ERROR, TRACE, Receiver, get, named, post

from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute
from sampan.server.graph_tracing import GraphTracing
from sampan.server.tracing import Tracing

PARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}


@pytest.fixture
def spans(town: Town) -> InMemorySpanExporter:
    """The spans of the town's graphs."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    town.tracing = GraphTracing(Tracing(provider))
    return kept


def told(spans: InMemorySpanExporter) -> dict[str, Any]:
    return {span.name: span for span in spans.get_finished_spans()}


async def test_each_call_of_a_step_is_a_span_that_the_step_goes_on_with(
    town: Town, client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    town.services.answers = {"one": (200, OK), "two": (503, {"error": "busy"})}
    graph = {"root": node("Sequence", ask("one", name="a"), enter("more")),
             "more": node("Ensemble", ask("two/x?key=secret"))}  # fmt: skip
    url = await town.graph(graph)
    await client.post(url, json=IRIS, headers=PARENT)
    made = told(spans)
    assert sorted(made) == ["POST graph", "more/0", "root/a"]
    request = made["POST graph"]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == CALLER
    assert request.attributes["http.response.status_code"] == 200
    for name, service in (("root/a", 0), ("more/0", 1)):
        span = made[name]
        assert span.parent.span_id == request.context.span_id
        sent = town.services.asked[service].texts()["traceparent"]
        assert sent == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert made["root/a"].attributes["sampan.graph.step"] == "a"
    assert made["more/0"].attributes["http.response.status_code"] == 503
    assert made["more/0"].status.status_code.value == ERROR
    assert "secret" not in str(made["more/0"].attributes)


async def test_a_request_without_a_trace_begins_one(
    town: Town, client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    town.services.answers = {"one": (200, OK)}
    url = await town.graph({"root": node("Sequence", ask("one"))})
    await client.post(url, json=IRIS)
    made = told(spans)
    assert made["POST graph"].parent is None
    assert made["root/0"].context.trace_id == made["POST graph"].context.trace_id


async def test_a_step_that_is_down_is_told_by_its_span(
    town: Town, client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    gone = {"serviceUrl": f"http://127.0.0.1:{closed_port()}/"}
    await client.post(await town.graph({"root": node("Sequence", gone)}), json=IRIS)
    made = told(spans)
    for span in made.values():
        assert span.status.status_code.value == ERROR
        assert "takes no connection" in span.attributes["error.message"]


async def test_a_client_that_leaves_ends_the_spans(town: Town, spans: InMemorySpanExporter) -> None:
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    url = await town.graph({"root": node("Sequence", {"serviceUrl": await town.peer(hang)})})
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
    await asyncio.wait_for(asked.wait(), 20)
    writer.close()
    async with asyncio.timeout(20):
        while len(told(spans)) < 2:  # noqa: ASYNC110  # an exporter that keeps tells nobody
            await asyncio.sleep(0.01)
    assert {span.attributes["sampan.called_off"] for span in told(spans).values()} == {True}


async def test_the_router_s_own_paths_have_no_spans(
    town: Town, client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    url = await town.graph({"root": node("Sequence", ask("one"))})
    await client.get(f"{url}/readyz")
    await client.get(f"{url}/metrics")
    assert told(spans) == {}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def start(receiver: Receiver, *command: str) -> tuple[asyncio.subprocess.Process, str]:
    """Start a server that sends its traces; return it with its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        },
    )
    assert process.stderr is not None
    async with asyncio.timeout(90):
        while b"listening on http" not in (line := await process.stderr.readline()):
            assert line, "it ended before it listened"
    return process, line.split()[-1].decode()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A real Envoy."""
    made = Gateway(tmp_path / "gateway", GatewaySettings(port=closed_port(), workers=1))
    await made.start()
    yield made
    await made.close()


async def serve_at(gateway: Gateway, url: str) -> str:
    """Have a graph behind the gateway, as a platform has it; return its address there."""
    host, port = url.removeprefix("http://").split(":")
    cluster = Cluster("default/graph/v1-a", (Endpoint(host, int(port)),), "/readyz")
    hosts, path = ("graph.default.localhost",), "/serving/default/graph"
    route = TableRoute("default/graph", hosts, path, (Share(cluster.name),))
    assert await gateway.apply(RouteTable((route,), (cluster,))) == ()
    return f"http://127.0.0.1:{gateway.settings.port}{path}/"


@pytest.mark.slow
@pytest.mark.parametrize("fused", [False, True], ids=["in servers of their own", "fused"])
async def test_one_trace_goes_through_the_gateway_the_router_and_its_models(
    receiver: Receiver, gateway: Gateway, tmp_path: Path, fused: bool
) -> None:
    joblib.dump(SVC().fit(*load_iris(return_X_y=True)), tmp_path / "model.joblib")
    path, running = "/v1/models/m:predict", []
    if fused:
        base, words = "local:", [f"--model=m={tmp_path}", "--runtime=sklearn"]
    else:
        serve = "from sampan.cli.main import main; import sys; main(sys.argv[1:])"
        options = ("--model_name=m", f"--model_dir={tmp_path}", "--runtime=sklearn")
        ports = ("--http_port=0", "--enable_grpc=false")
        server, base = await start(receiver, "-c", serve, "serve", *options, *ports)
        words = []
        running.append(server)
        while await asyncio.to_thread(get, f"{base}/v2/health/ready") != 200:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)
    graph = json.dumps({"nodes": {"root": node("Sequence", {"serviceUrl": f"{base}{path}"})}})
    router, url = await start(
        receiver, "-m", "sampan.app.route", f"--graph-json={graph}", "--port=0", *words
    )
    running.append(router)
    front = await serve_at(gateway, url)
    body = b'{"instances": [[6.8, 2.8, 4.8, 1.4]]}'
    status, answer = await asyncio.to_thread(lambda: post(front, body, **PARENT))
    assert (status, answer) == (200, b'{"predictions":[1]}')
    names = {"POST graph", "root/0", "POST predict", "predict"}
    spans = named(await asyncio.to_thread(receiver.wait, lambda all_: names <= set(named(all_))))
    for process in running:
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert spans["POST graph"].parent_span_id.hex() == CALLER
    for child, parent in (("root/0", "POST graph"), ("POST predict", "root/0"),
                          ("predict", "POST predict")):  # fmt: skip
        assert spans[child].parent_span_id == spans[parent].span_id
