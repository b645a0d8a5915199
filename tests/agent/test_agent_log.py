"""The agent's log as a real process between a client, a component and a sink of events."""

from __future__ import annotations

import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.agent.agent_process import PATIENCE, wait_for

from sampan.machinery.authority import make_pair

pytestmark = pytest.mark.slow


def post(url: str, instances: list[Any], **headers: str) -> httpx.Response:
    return httpx.post(url, json={"instances": instances}, headers=headers, timeout=PATIENCE)


LOGGED = (
    "--source-uri", "m-predictor", "--inference-service", "m", "--namespace", "golden",
    "--endpoint", "", "--component", "predictor", "--logger-tls-skip-verify", "false",
)  # fmt: skip
"""The arguments of a pod whose requests are logged, as KServe's webhook writes them."""


def taken(_asked: Any) -> tuple[int, dict[str, str], bytes]:
    return 202, {}, b""


def test_a_request_and_its_answer_are_events(peer, agent):
    _, port = peer()
    sink, sink_port = peer(taken)
    running = agent(
        "--log-url", f"http://127.0.0.1:{sink_port}/in", *LOGGED, "--component-port", str(port),
        "--metadata-headers", "X-Tenant", "--metadata-annotations", "team=a",
    )  # fmt: skip
    post(f"{running.url}/v1/models/m:predict", [1], **{"Ce-Id": "7", "X-Tenant": "t"})
    events = sorted((sink.next() for _ in range(2)), key=lambda e: e.headers["ce-type"])
    assert [e.headers["ce-type"].rpartition(".")[2] for e in events] == ["request", "response"]
    assert [json.loads(e.body) for e in events] == [{"instances": [1]}, {"predictions": [2]}]
    for event in events:
        told = {name: event.headers[f"ce-{name}"] for name in ("id", "source", "component")}
        assert told == {"id": "7", "source": "m-predictor", "component": "predictor"}
        assert event.headers["ce-inferenceservicename"] == "m"
        assert json.loads(event.headers["ce-metadata"]) == {"X-Tenant": ["t"]}
        assert json.loads(event.headers["ce-annotations"]) == {"team": "a"}
        assert event.headers["content-type"] == "application/json"
        assert event.path == "/in"


def test_only_answers_are_logged_where_that_is_asked_for_and_only_good_ones(peer, agent):
    _, port = peer()
    sink, sink_port = peer(taken)
    running = agent(
        "--log-url", f"http://127.0.0.1:{sink_port}", "--log-mode", "response",
        "--component-port", str(port),
    )  # fmt: skip
    post(f"{running.url}/v1/models/m:predict", ["bad"])
    post(f"{running.url}/v1/models/m:predict", [4])
    assert json.loads(sink.next().body) == {"predictions": [8]}
    assert running.stop() == 0
    assert sink.asked.empty()


def test_the_log_sees_each_client_s_own_of_a_batch(peer, agent):
    _, port = peer()
    sink, sink_port = peer(taken)
    running = agent(
        "--log-url", f"http://127.0.0.1:{sink_port}", "--component-port", str(port),
        "--enable-batcher", "--max-batchsize", "2", "--max-latency", "20000",
    )  # fmt: skip
    url = f"{running.url}/v1/models/m:predict"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda i: post(url, [i]), (1, 2)))
    bodies = [json.loads(sink.next().body) for _ in range(4)]
    assert sorted(b["instances"] for b in bodies if "instances" in b) == [[1], [2]]
    assert sorted(b["predictions"] for b in bodies if "predictions" in b) == [[2], [4]]


def test_a_sink_that_is_not_there_costs_no_request_and_is_told(peer, agent):
    _, port = peer()
    running = agent("--log-url", "http://127.0.0.1:1", "--component-port", str(port))
    assert post(f"{running.url}/v1/models/m:predict", [1]).json() == {"predictions": [2]}
    wait_for(lambda: "events of the log were dropped" in running.told())


def test_events_that_wait_are_sent_before_the_end(peer, agent):
    _, port = peer()

    def slow(_asked: Any) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.3)
        return 200, {}, b""

    sink, sink_port = peer(slow)
    running = agent(
        "--log-url", f"http://127.0.0.1:{sink_port}", "--workers", "1", "--log-mode", "request",
        "--component-port", str(port),
    )  # fmt: skip
    for number in range(5):
        post(f"{running.url}/v1/models/m:predict", [number])
    assert running.stop() == 0
    assert [json.loads(sink.next().body)["instances"] for _ in range(5)] == [[i] for i in range(5)]


def test_a_sink_over_tls_needs_a_certificate_that_is_trusted(peer, agent, tmp_path, monkeypatch):
    made = make_pair("authority", ("127.0.0.1", "localhost"), time.time(), 1)
    (tmp_path / "tls.pem").write_bytes(made.key + made.certificate)
    (tmp_path / "ca.crt").write_bytes(made.authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    _, port = peer()
    sink, sink_port = peer(taken, context)
    url = f"https://localhost:{sink_port}/"
    given = ("--log-url", url, "--log-mode", "request", "--component-port", str(port))
    blind = agent(*given)
    post(f"{blind.url}/v1/models/m:predict", [1])
    wait_for(lambda: "is not trusted" in blind.told() and "were dropped" in blind.told())
    ca = str(tmp_path / "ca.crt")
    seeing = agent(*given, "--logger-ca-cert-file", ca)
    post(f"{seeing.url}/v1/models/m:predict", [1])
    assert json.loads(sink.next().body) == {"instances": [1]}
