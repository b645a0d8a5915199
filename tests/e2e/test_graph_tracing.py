"""A daemon that is told where traces go: replicas and routers of the laptop send theirs there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_graph import IRIS, graph, wait_ready
from tests.server.test_tracing import CALLER, TRACE, Receiver, named, post

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_one_trace_goes_through_a_graph_whose_daemon_alone_knows_where_to(
    make_sampan: Callable[..., Any], iris: Path, isvc: Callable[..., str]
) -> None:
    with Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever).start()
        endpoint = f"http://127.0.0.1:{receiver.server_port}"
        sampan = make_sampan(
            extra_env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        )
        try:
            sampan.up()
            sampan.apply(isvc("traced", iris))
            sampan.apply(graph("pipe", "Sequence", "serviceName: traced\n        name: first"))
            wait_ready(sampan, "pipe")
            front = f"http://127.0.0.1:{sampan.port}/serving/default/pipe/"
            told = post(front, json.dumps(IRIS).encode(), traceparent=f"00-{TRACE}-{CALLER}-01")
            assert told == (200, b'{"predictions":[1,1]}')
            names = {"POST graph", "root/first", "POST predict", "predict"}
            spans = named(receiver.wait(lambda found: names <= set(named(found))))
            assert {spans[name].trace_id.hex() for name in names} == {TRACE}
            assert spans["root/first"].parent_span_id == spans["POST graph"].span_id
            assert spans["POST predict"].parent_span_id == spans["root/first"].span_id
            assert {name.split("-")[0] for name in receiver.services} == {"pipe", "traced"}
        finally:
            receiver.shutdown()
