"""The wait of a cold start as spans: what a real OTLP receiver gets of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from tests.server.test_tracing import CALLER, TRACE, Receiver

from sampan.activator.phases import PHASES, Start
from sampan.app.cold_starts import ColdStarts
from sampan.server.tracing import Tracing

from .conftest import WORKLOAD, Bench, Server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def starts(receiver: Receiver) -> Iterator[ColdStarts]:
    """Cold starts whose spans go to the receiver at once."""
    provider = TracerProvider()
    url = f"http://127.0.0.1:{receiver.server_port}/v1/traces"
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(url)))
    yield ColdStarts(Tracing(provider))
    provider.shutdown()


async def start_cold(bench: Bench, server: Server, **headers: str) -> None:
    """One request that finds nobody; its workload comes up in steps of 0.1 s."""
    await bench.hold()
    asked = asyncio.create_task(bench.post(headers=headers))
    await bench.until_waiting(1)
    now = time.time()
    bench.starts[WORKLOAD] = Start(now + 0.1, now + 0.2, now + 0.3, now + 0.4)
    await asyncio.sleep(0.5)
    await bench.open(server)
    assert (await asked).status_code == 200


def attributes(span: Any) -> dict[str, str]:
    return {a.key: a.value.string_value for a in span.attributes}


async def test_a_cold_start_is_in_the_trace_of_who_waited_with_a_span_for_each_phase(
    bench: Bench, server: Server, receiver: Receiver, starts: ColdStarts
) -> None:
    bench.note = starts.note
    await start_cold(bench, server, traceparent=f"00-{TRACE}-{CALLER}-01")
    spans = {span.name: span for span in receiver.wait(lambda found: len(found) == 6)}
    whole = spans.pop("cold start")
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, CALLER)
    namespace, _, name = WORKLOAD.partition("/")
    assert attributes(whole) == {"k8s.namespace.name": namespace, "sampan.workload": name}
    assert {span.parent_span_id for span in spans.values()} == {whole.span_id}
    phases = [spans[name] for name in PHASES]
    assert all(a.end_time_unix_nano == b.start_time_unix_nano for a, b in pairwise(phases))
    ends = (phases[0].start_time_unix_nano, phases[-1].end_time_unix_nano)
    assert ends == (whole.start_time_unix_nano, whole.end_time_unix_nano)
    took = [span.end_time_unix_nano - span.start_time_unix_nano for span in phases[1:4]]
    assert took == pytest.approx([1e8] * 3, abs=1e5)


async def test_without_a_callers_trace_it_is_one_of_its_own(
    bench: Bench, server: Server, receiver: Receiver, starts: ColdStarts
) -> None:
    bench.note = starts.note
    await start_cold(bench, server)
    [root] = [
        span for span in receiver.wait(lambda found: len(found) == 6) if not span.parent_span_id
    ]
    assert root.name == "cold start"
    assert len({span.trace_id for span in receiver.spans}) == 1
