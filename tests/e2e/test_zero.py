"""Scale to zero and back as its user meets it: nothing runs, and no request notices."""

from __future__ import annotations

import asyncio
import functools
import http.client
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.counting_model import MODEL
from tests.server.test_tracing import CALLER, TRACE, Receiver

from sampan.client.grpc import InferenceGRPCClient
from sampan.protocol.tensors import InferInput, InferRequest

pytestmark = pytest.mark.slow

COUNTING = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
  annotations: {{"autoscaling.knative.dev/window": "6s"}}
spec:
  predictor:
    minReplicas: 0
    containers:
      - name: kserve-container
        image: example/counting
        command: [{sampan}, serve, "{model}:Counting"]
        args: [--model_name=counting, --http_port=8080, --grpc_port=0]
        env: [{{name: COUNT_FILE, value: {counted}}}]
        ports: [{{name: h2c, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /v2/health/ready, port: 8080}}}}
"""

SLEEPER = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
  annotations: {{"autoscaling.knative.dev/window": "6s"}}
spec:
  predictor:
    minReplicas: 0
    {fields}
    model:
      modelFormat: {{name: sklearn}}
      storageUri: {uri}
"""

ISVCS = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
PHASES = ("queue", "fork", "load", "ready", "route", "all")
BODY = {"instances": [[6.8, 2.8, 4.8, 1.4]]}


def replicas(sampan: Any, name: str) -> str:
    status = sampan.api(f"{ISVCS}/{name}").get("status") or {}
    return str((status.get("annotations") or {}).get("serving.sampan.dev/replicas"))


def conditions(sampan: Any, name: str) -> dict[str, dict[str, Any]]:
    status = sampan.api(f"{ISVCS}/{name}")["status"]
    return {c["type"]: c for c in status["conditions"]}


def processes(sampan: Any, name: str) -> list[str]:
    pods = sampan.api("/api/v1/namespaces/default/pods")["items"]
    label = "serving.kserve.io/inferenceservice"
    return [p["metadata"]["name"] for p in pods if p["metadata"]["labels"][label] == name]


def wait_asleep(sampan: Any, *names: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    for name in names:
        while replicas(sampan, name) != "0 (idle)" or processes(sampan, name):
            assert time.monotonic() < deadline, f'"{name}" does not sleep in {seconds} s'
            time.sleep(0.2)


@pytest.fixture(scope="module")
def sleeper(sampan: Any, iris: Path) -> Any:
    """A Sampan whose service "sleeper" has served and sleeps."""
    sampan.apply(SLEEPER.format(name="sleeper", uri=iris, fields=""))
    sampan.wait_ready("sleeper")
    wait_asleep(sampan, "sleeper")
    return sampan


def test_a_service_that_sleeps_is_ready_and_says_that_it_is_idle(sleeper: Any) -> None:
    assert "0 (idle)" in sleeper.cli("get", "isvc", "sleeper")
    assert processes(sleeper, "sleeper") == []
    found = conditions(sleeper, "sleeper")
    assert found["Ready"]["status"] == "True"
    assert found["PredictorReady"]["reason"] == "NoTraffic"
    told = sleeper.run("why", "sleeper")
    assert told.returncode == 0
    assert "sleeper is Ready" in told.stdout
    assert "0 replicas" in told.stdout


def test_a_hundred_requests_at_one_that_sleeps_start_it_once(sleeper: Any) -> None:
    wait_asleep(sleeper, "sleeper")
    before = conditions(sleeper, "sleeper")["Ready"]["lastTransitionTime"]
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: sleeper.predict("sleeper", BODY), range(100)))
    assert Counter(status for status, _ in answers) == {200: 100}
    assert all(answer == {"predictions": [1]} for _, answer in answers)
    assert len(processes(sleeper, "sleeper")) == 1
    found = conditions(sleeper, "sleeper")
    ready = found["Ready"]["status"], found["Ready"]["lastTransitionTime"]
    assert ready == ("True", before), found


def test_an_answer_from_zero_tells_where_its_time_went_and_metrics_count_it(sleeper: Any) -> None:
    wait_asleep(sleeper, "sleeper")
    before = counted_starts(sleeper)
    connection = http.client.HTTPConnection("127.0.0.1", sleeper.port, timeout=60)
    target = "/serving/default/sleeper/v1/models/sleeper:predict"
    began = time.monotonic()
    connection.request("POST", target, json.dumps(BODY), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    took = (time.monotonic() - began) * 1000
    connection.close()
    told = {
        name.strip(): float(value)
        for name, value in re.findall(r"([a-z ]+);dur=([0-9.]+)", answer.headers["server-timing"])
    }
    phases = [told[name] for name in ("queue", "fork", "load", "ready", "route")]
    assert min(phases) >= 0
    assert told["load"] > 0
    assert sum(phases) == pytest.approx(told["activator"], abs=20)
    assert told["activator"] <= took
    assert counted_starts(sleeper) == {name: before.get(name, 0) + 1 for name in (*before, *PHASES)}


def test_a_cold_start_is_a_span_of_its_callers_trace(
    make_sampan: Callable[..., Any], iris: Path
) -> None:
    with Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever).start()
        endpoint = f"http://127.0.0.1:{receiver.server_port}"
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        sampan = make_sampan(extra_env=told)
        sampan.up()
        sampan.apply(SLEEPER.format(name="traced", uri=iris, fields=""))
        sampan.wait_ready("traced")
        wait_asleep(sampan, "traced")
        connection = http.client.HTTPConnection("127.0.0.1", sampan.port, timeout=60)
        target = "/serving/default/traced/v1/models/traced:predict"
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        connection.request("POST", target, json.dumps(BODY), headers)
        assert connection.getresponse().status == 200
        connection.close()
        spans = receiver.wait(lambda found: any(s.name == "cold start" for s in found))
        [start] = [span for span in spans if span.name == "cold start"]
        assert (start.trace_id.hex(), start.parent_span_id.hex()) == (TRACE, CALLER)
        receiver.shutdown()


def ask_metrics(sampan: Any, headers: dict[str, str]) -> tuple[int, str]:
    daemon = sampan.daemon
    connection = http.client.HTTPConnection(daemon["host"], daemon["port"], timeout=30)
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def counted_starts(sampan: Any) -> dict[str, int]:
    """Return how many cold starts the daemon counts, by phase."""
    _, text = ask_metrics(sampan, {"Authorization": f"Bearer {sampan.daemon['token']}"})
    found = re.findall(r'^sampan_cold_start_seconds_count{phase="(\w+)"} (\d+)', text, re.MULTILINE)
    return {phase: int(count) for phase, count in found}


def test_the_daemons_metrics_are_for_who_may_read_them(sleeper: Any) -> None:
    assert ask_metrics(sleeper, {})[0] in {401, 403}


def test_a_new_daemon_lets_it_sleep_on_and_wakes_it(sleeper: Any) -> None:
    wait_asleep(sleeper, "sleeper")
    os.kill(sleeper.daemon["pid"], signal.SIGKILL)
    status, told = sleeper.predict("sleeper", BODY)
    assert status == 503
    assert "who would wake it does not answer" in told["error"]
    sleeper.up()
    assert replicas(sleeper, "sleeper") == "0 (idle)"
    assert processes(sleeper, "sleeper") == []
    assert sleeper.predict("sleeper", BODY) == (200, {"predictions": [1]})


def test_who_waits_for_what_cannot_come_up_gets_504_and_the_reason(
    sampan: Any, iris: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(iris, model)
    sampan.apply(SLEEPER.format(name="broken", uri=model, fields="timeout: 5"))
    sampan.wait_ready("broken")
    wait_asleep(sampan, "broken")
    (model / "model.joblib").write_bytes(b"this is no model")
    status, told = sampan.predict("broken", BODY)
    assert status == 504
    assert told["error"].startswith('"default/broken-predictor" was not up within 5 s: load: ')
    assert conditions(sampan, "broken")["PredictorReady"]["status"] == "False"


def test_a_template_that_has_never_served_is_tried_before_anybody_asks(
    sleeper: Any, iris: Path
) -> None:
    sleeper.apply(SLEEPER.format(name="changed", uri=iris, fields=""))
    sleeper.wait_ready("changed")
    wait_asleep(sleeper, "changed")
    sleeper.apply(SLEEPER.format(name="changed", uri=iris / "nowhere", fields=""))
    sleeper.wait_for("changed", lambda told: not told["ready"], 30)


@dataclass
class Clients:
    """Clients of three kinds. `sent` is every number that was asked, `answers` what came back."""

    port: int
    sent: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def ask(self, name: str, number: int) -> None:
        """Ask for a number as its kind does: over HTTP/1.1, gRPC, or with events for an answer."""
        ask = (self._http, self._grpc, self._events)[number % 3]
        self.sent.append(number)
        try:
            found = ask(name, number)
        except Exception as error:  # noqa: BLE001  # whatever was lost is told of at the end
            found = f"{type(error).__name__}: {error}"
        if found != str(number):
            self.wrong.append(f"{ask.__name__} {number} of {name}: {found}")

    def _http(self, name: str, number: int) -> str:
        body = self._post(name, "/v1/models/counting:predict", {"instances": [number]})
        return str(json.loads(body)["predictions"][0])

    def _events(self, name: str, number: int) -> str:
        body = self._post(name, "/v2/models/counting/generate_stream", {"parts": number})
        events = [json.loads(e[6:]) for e in body.decode().split("\n\n") if e.startswith("data: ")]
        parts = [part for event in events for part in event.values() if "/" in str(part)]
        numbers = {str(part).partition("/")[0] for part in parts}
        return numbers.pop() if len(parts) == 3 and len(numbers) == 1 else repr(body)

    def _grpc(self, name: str, number: int) -> str:
        given = InferInput("number", [1], "INT64", [number])
        authority = ("grpc.default_authority", f"{name}.default.localhost")

        async def call() -> int:
            address = f"127.0.0.1:{self.port}"
            async with InferenceGRPCClient(address, channel_args=[authority], retries=0) as client:
                answer = await client.infer(InferRequest("counting", [given]))
                return int(answer.outputs[0].as_numpy()[0])

        return str(asyncio.run(call()))

    def _post(self, name: str, path: str, body: dict[str, Any]) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            target = f"/serving/default/{name}{path}"
            connection.request(
                "POST", target, json.dumps(body), {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, f"{answer.status}: {text[:300]!r}"
            return text
        finally:
            connection.close()


def wake_in_a_loop(sampan: Any, folder: Path, services: int, rounds: int) -> None:
    """Wake so many services so many times, by clients of all kinds; none is lost or doubled."""
    counted, model = folder / "counted", folder / "counting.py"
    counted.touch()
    model.write_text(MODEL)
    names = [f"counting-{number}" for number in range(services)]
    command = Path(sys.executable).parent / "sampan"
    for name in names:
        sampan.apply(COUNTING.format(name=name, sampan=command, model=model, counted=counted))
    for name in names:
        sampan.wait_ready(name)
    clients = Clients(sampan.port)
    for turn in range(rounds):
        wait_asleep(sampan, *names)
        with ThreadPoolExecutor(services) as pool:
            numbers = range(turn * services, (turn + 1) * services)
            list(pool.map(clients.ask, names, numbers))
    assert clients.wrong == []
    found = Counter(int(line) for line in counted.read_text().split())
    assert found == Counter(clients.sent)
    assert len(clients.sent) == services * rounds


def test_fifty_cold_starts_by_clients_of_all_kinds_lose_and_double_nothing(
    sampan: Any, tmp_path: Path
) -> None:
    wake_in_a_loop(sampan, tmp_path, services=10, rounds=5)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_cold_starts_lose_and_double_nothing(
    make_sampan: Callable[..., Any], tmp_path: Path
) -> None:
    installation = make_sampan()
    installation.up()
    wake_in_a_loop(installation, tmp_path, services=20, rounds=50)


@pytest.fixture
def source(iris: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server with the model: its address, and what it was asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    serve = functools.partial(Handler, directory=str(iris))
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/model.joblib", asked
    server.shutdown()
    server.server_close()


@pytest.mark.timeout(300)
def test_with_prefetch_a_cold_start_downloads_nothing_even_after_the_cache_was_emptied(
    make_sampan: Callable[..., Any], source: tuple[str, list[str]]
) -> None:
    uri, asked = source
    sampan = make_sampan(extra_env={"SAMPAN_ALLOW_PRIVATE_SOURCES": "127.0.0.1"})
    sampan.up()
    text = SLEEPER.format(name="fetched", uri=uri, fields="")
    prefetch = '"serving.sampan.dev/prefetch": "true", "autoscaling'
    sampan.apply(text.replace('"autoscaling', prefetch))
    sampan.wait_ready("fetched")
    wait_asleep(sampan, "fetched")
    at_hand = lambda told: "in memory" in told["replicas"][0]["atHand"]  # noqa: E731  # used twice
    sampan.wait_for("fetched", at_hand, 60)
    assert "; its model is in memory" in sampan.cli("why", "fetched")
    before = len(asked)
    assert before
    (record,) = sampan.home.rglob("prepared/default/*/fetched-predictor.json")
    (folder,) = json.loads(record.read_text())["models"].values()
    path = Path(folder)
    shutil.rmtree(path.parent)  # its whole entry in the cache
    deadline = time.monotonic() + 90
    while len(asked) == before or not path.exists():
        assert time.monotonic() < deadline, "the model was not fetched while its service slept"
        time.sleep(0.2)
    sampan.wait_for("fetched", at_hand, 60)
    assert processes(sampan, "fetched") == []
    fetched = len(asked)
    assert sampan.predict("fetched", BODY) == (200, {"predictions": [1]})
    assert len(asked) == fetched
