"""The agent as a real process between a client, a component and a sink of events."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.agent.agent_process import PATIENCE, wait_for

QUEUE = {"K-Network-Probe": "queue"}


def post(url: str, instances: list[Any], **headers: str) -> httpx.Response:
    return httpx.post(url, json={"instances": instances}, headers=headers, timeout=PATIENCE)


# -- passing on ------------------------------------------------------------------------------------


def test_a_request_and_its_answer_pass_as_they_are(peer, agent):
    _, port = peer()
    running = agent("--component-port", str(port))
    answer = httpx.put(
        f"{running.url}/a/b?c=d", content=b"x", headers={"X-Mine": "1", "TE": "trailers"}
    )
    told = answer.json()
    assert (answer.status_code, answer.headers["x-own"]) == (200, "kept")
    assert (told["method"], told["path"]) == ("PUT", "/a/b?c=d")
    assert told["headers"]["x-mine"] == "1"
    assert "te" not in told["headers"]


def test_head_has_an_answer_without_a_body(peer, agent):
    _, port = peer()
    running = agent("--component-port", str(port))
    assert httpx.head(f"{running.url}/x").content == b""


def test_a_component_that_is_not_there_is_a_502(agent):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        free = sock.getsockname()[1]
    running = agent("--component-port", str(free))
    answer = httpx.get(f"{running.url}/x")
    assert answer.status_code == 502
    assert f"127.0.0.1:{free}" in answer.text


# -- health ----------------------------------------------------------------------------------------


def test_a_probe_is_answered_for_the_component(peer, agent):
    up = {"status": 200}
    _, port = peer(lambda _: (up["status"], {}, b""))
    probe = {"httpGet": {"path": "/ready", "port": port}, "timeoutSeconds": 10}
    running = agent("--component-port", str(port), probe=json.dumps(probe))
    ready = httpx.get(running.url, headers=QUEUE)
    assert (ready.status_code, ready.text) == (200, "queue")
    up["status"] = 503
    assert httpx.get(running.url, headers=QUEUE).status_code == 503
    assert httpx.get(running.url, headers={"K-Network-Probe": "x"}).status_code == 400


def test_the_recorded_probe_of_a_port_is_asked_there(peer, agent):
    _, port = peer()
    probe = f'{{"tcpSocket":{{"port":{port}}},"timeoutSeconds":10,"successThreshold":1}}'
    running = agent("--component-port", str(port), probe=probe)
    assert httpx.get(running.url, headers={"User-Agent": "kube-probe/1.31"}).status_code == 200


def test_a_pod_whose_probe_is_a_command_is_asked_at_its_port(peer, agent):
    component, port = peer()
    running = agent("--component-port", str(port), probe=None)
    assert httpx.get(running.url, headers=QUEUE).status_code == 200
    component.stop()
    assert httpx.get(running.url, headers=QUEUE).status_code == 503


def test_it_is_not_ready_while_it_stops_and_ends_with_0(peer, agent):
    _, port = peer()
    running = agent("--component-port", str(port), "--shutdown-delay", "3")
    running.process.terminate()
    wait_for(lambda: httpx.get(running.url, headers=QUEUE).status_code == 503)
    assert httpx.get(f"{running.url}/x").status_code == 200
    assert running.process.wait(PATIENCE) == 0


# -- batches ---------------------------------------------------------------------------------------


def test_requests_of_one_path_are_one_batch_and_each_gets_its_own(peer, agent):
    component, port = peer()
    running = agent(
        "--component-port", str(port), "--enable-batcher", "--max-batchsize", "4",
        "--max-latency", "20000",
    )  # fmt: skip
    url = f"{running.url}/v1/models/m:predict"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: post(url, [i]).json(), range(4)))
    assert [a["predictions"] for a in answers] == [[0], [2], [4], [6]]
    assert len({a["batchId"] for a in answers}) == 1
    assert {a["message"] for a in answers} == {""}
    asked = component.next()
    assert sorted(json.loads(asked.body)["instances"]) == [0, 1, 2, 3]
    assert component.asked.empty()


def test_two_models_share_no_batch(peer, agent):
    component, port = peer()
    running = agent("--component-port", str(port), "--enable-batcher", "--max-latency", "200")
    paths = [f"{running.url}/v1/models/{name}:predict" for name in "ab"]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda url: post(url, [1]), paths))
    asked = sorted(component.next().path for _ in paths)
    assert asked == ["/v1/models/a:predict", "/v1/models/b:predict"]


def test_what_the_model_refuses_is_a_message_as_kserve_s_is(peer, agent):
    _, port = peer()
    running = agent("--component-port", str(port), "--enable-batcher", "--max-batchsize", "1")
    answer = post(f"{running.url}/v1/models/m:predict", ["bad"])
    assert answer.status_code == 200
    assert answer.json() == {"message": "no number", "batchId": "", "predictions": None}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(b"{", "can't Unmarshal body", id="no JSON"),
        pytest.param(b'{"instances": []}', "no instances in the request", id="no instances"),
        pytest.param(b"[]", "no instances in the request", id="no object"),
    ],
)
def test_a_body_without_instances_is_refused_in_kserve_s_words(peer, agent, body, told):
    _, port = peer()
    running = agent("--component-port", str(port), "--enable-batcher")
    answer = httpx.post(f"{running.url}/v1/models/m:predict", content=body)
    assert (answer.status_code, answer.text) == (400, f"{told}\n")


def test_only_v1_predictions_wait(peer, agent):
    _, port = peer()
    running = agent("--component-port", str(port), "--enable-batcher", "--max-latency", "60000")
    assert httpx.post(f"{running.url}/v2/models/m/infer", content=b"{}").status_code == 200
