"""Autoscaling as its user meets it: a slow model, clients, and the number of replicas."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SERVER = '''
"""Answers POST after a while, counting what it answers; stops as a model server does."""
import asyncio
import json
import os
import signal

DELAY, SPIN = float(os.environ.get("DELAY", "0.3")), float(os.environ.get("SPIN", "0"))


def spin(seconds):
    end = __import__("time").process_time() + seconds
    while __import__("time").process_time() < end:
        pass


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().lower()
            _, _, rest = head.partition("content-length:")
            await reader.readexactly(int(rest.split()[0]) if rest else 0)
            if head.startswith("post"):
                spin(SPIN)
                await asyncio.sleep(DELAY)
            body = json.dumps({"pid": os.getpid()}).encode()
            if head.startswith("get /metrics"):
                queued = open(os.environ["QUEUED"]).read()
                body = f"# TYPE queued gauge\\nqueued {queued}\\n".encode()
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]))
    await stopping.wait()
    server.close()
    await asyncio.sleep(DELAY + 0.5)


asyncio.run(main())
'''

ISVC = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
  annotations: {annotations}
spec:
  predictor:
    {fields}
    containers:
      - name: kserve-container
        image: example/slow
        command: [{python}, {server}]
        env: {env}
        resources: {{requests: {{cpu: 100m, memory: 32Mi}}}}
"""
WINDOW = {"autoscaling.knative.dev/window": "6s"}
BY_REQUESTS = {"scaleMetric": "concurrency", "scaleTarget": 2, "maxReplicas": 4}


@dataclass
class Service:
    """A service of a slow model, and clients of it."""

    sampan: Any
    name: str
    failures: list[str] = field(default_factory=list)
    answers: int = 0

    def replicas(self) -> str:
        """Return what `kubectl get` shows: those that are ready and those that are wanted."""
        path = f"/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/{self.name}"
        status = self.sampan.api(path).get("status") or {}
        return str((status.get("annotations") or {}).get("serving.sampan.dev/replicas"))

    def wait_for(self, *wanted: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while (found := self.replicas()) not in wanted:
            assert time.monotonic() < deadline, f"{found} after {seconds} s, not {wanted}"
            time.sleep(0.2)

    def ask(self) -> None:
        status, answer = self.sampan.predict(self.name, {})
        if status == 200 and "pid" in answer:
            self.answers += 1
        else:
            self.failures.append(f"{status}: {answer}")

    @contextmanager
    def load(self, clients: int) -> Iterator[None]:
        """Have so many clients, each with one request under way at any time."""
        done = threading.Event()

        def client() -> None:
            while not done.is_set():
                try:
                    self.ask()
                except OSError as error:
                    self.failures.append(repr(error))

        with ThreadPoolExecutor(clients) as pool:
            for _ in range(clients):
                pool.submit(client)
            try:
                yield
            finally:
                done.set()

    def events(self) -> list[str]:
        found = self.sampan.api("/api/v1/namespaces/default/events")["items"]
        mine = [e for e in found if e["involvedObject"]["name"] == self.name]
        return [f"{e['reason']}: {e['message']}" for e in mine]


@pytest.fixture(scope="module")
def make_slow(sampan: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Service]:
    server = tmp_path_factory.mktemp("server") / "slow.py"
    server.write_text(SERVER)

    def make(
        name: str, fields: dict[str, Any], annotations: dict[str, str] = WINDOW, **env: str
    ) -> Service:
        given = [{"name": key, "value": value} for key, value in env.items()]
        told = sampan.run(
            "apply", "-f", "-",
            stdin=ISVC.format(
                name=name,
                annotations=json.dumps(annotations),
                fields="\n    ".join(f"{k}: {json.dumps(v)}" for k, v in fields.items()),
                python=sys.executable,
                server=server,
                env=json.dumps(given),
            ),
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        sampan.wait_ready(name)
        service = Service(sampan, name)
        service.said = told.stderr  # type: ignore[attr-defined]
        return service

    return make


def test_load_raises_the_number_of_replicas_and_its_end_lowers_it(
    make_slow: Callable[..., Service],
) -> None:
    slow = make_slow("slow", BY_REQUESTS)
    slow.wait_for("1/1")
    with slow.load(clients=6):
        slow.wait_for("4/4")
        told = slow.sampan.cli("why", "slow")
        assert "slow is Ready" in told
        assert "slow-predictor 4/4, 4 replicas: " in told
        assert "at 1.4 a replica" in told
        rows = [line.split() for line in slow.sampan.cli("top", "slow").splitlines()[1:]]
        assert [row[:2] for row in rows] == [["slow", "4/4"]] * 4
        assert all(row[3].endswith("m") and row[4].endswith("Mi") for row in rows), rows
    slow.wait_for("1/1")
    assert slow.failures == []
    assert slow.answers > 20
    said = [text for text in slow.events() if text.startswith("SuccessfulRescale")]
    assert any('New size of "slow-predictor": 4; reason: 4 replicas' in text for text in said)
    # While replicas were added and taken away the service never ceased to be Ready.
    assert not any("NotReady" in text for text in slow.events())
    table = slow.sampan.cli("get", "isvc", "slow")
    header, row = (line.split() for line in table.strip().splitlines())
    assert row[header.index("REPLICAS")] == "1/1"


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(3, id="a few times"),
        # Three replicas go each time.
        pytest.param(34, id="a hundred", marks=[pytest.mark.soak, pytest.mark.timeout(1500)]),
    ],
)
def test_no_request_is_lost_while_replicas_go(
    make_slow: Callable[..., Service], times: int
) -> None:
    slow = make_slow(f"drain-{times}", BY_REQUESTS)
    for _ in range(times):
        with slow.load(clients=6):
            slow.wait_for("4/4")
        with slow.load(clients=1):  # one goes on asking while the others are taken away
            slow.wait_for("1/1")
    assert slow.failures == []
    assert slow.answers > 20 * times


def test_a_daemon_that_is_killed_keeps_what_it_had_scaled(
    make_slow: Callable[..., Service], sampan: Any
) -> None:
    slow = make_slow("kept", BY_REQUESTS, {"autoscaling.knative.dev/window": "20s"})
    with slow.load(clients=6):
        slow.wait_for("4/4")
        os.kill(int(sampan.daemon["pid"]), signal.SIGKILL)
        time.sleep(0.5)
    sampan.up()
    pods = sampan.api("/api/v1/namespaces/default/pods")["items"]
    assert sum(p["metadata"]["name"].startswith("kept-predictor") for p in pods) == 4
    assert slow.failures == []
    slow.wait_for("1/1", seconds=90)


def test_use_of_the_cpu_decides_in_standard_mode(make_slow: Callable[..., Service]) -> None:
    slow = make_slow("busy", {"maxReplicas": 2, "scaleTarget": 20}, {}, DELAY="0.05", SPIN="0.05")
    slow.wait_for("1/1")
    with slow.load(clients=2):
        slow.wait_for("2/2", seconds=90)
    assert any(": cpu at " in text for text in slow.events())


def keda(query: str, target: int) -> dict[str, Any]:
    """Return fields that have replicas follow a metric of their own, down without a delay."""
    metric = {"backend": "opentelemetry", "query": query}
    return {
        "maxReplicas": 3,
        "autoScaling": {
            "metrics": [
                {
                    "type": "PodMetric",
                    "podmetric": {
                        "metric": metric,
                        "target": {"type": "Value", "value": str(target)},
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


KEDA = {
    "serving.kserve.io/deploymentMode": "Standard",
    "serving.kserve.io/autoscalerClass": "keda",
}


def test_what_replicas_tell_of_themselves_decides_with_the_class_keda(
    make_slow: Callable[..., Service], tmp_path: Path
) -> None:
    queued = tmp_path / "queued"
    queued.write_text("5")
    slow = make_slow("told", keda("queued", 5), KEDA, QUEUED=str(queued))
    slow.wait_for("1/1")
    queued.write_text("13")
    slow.wait_for("3/3", seconds=120)
    assert "queued at 13 of 5" in "".join(slow.events())
    queued.write_text("1")
    slow.wait_for("1/1", seconds=120)
    slow.sampan.cli("delete", "isvc", "told")


def test_knative_s_class_hpa_follows_a_metric_by_its_name(
    make_slow: Callable[..., Service], tmp_path: Path
) -> None:
    queued = tmp_path / "queued"
    queued.write_text("8")
    annotations = {
        "serving.kserve.io/deploymentMode": "Knative",
        "autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev",
        "autoscaling.knative.dev/metric": "queued",
        "autoscaling.knative.dev/target": "5",
    }
    slow = make_slow("named", {"maxReplicas": 2}, annotations, QUEUED=str(queued))
    assert "autoscaling.knative.dev/metric" not in slow.said  # type: ignore[attr-defined]
    slow.wait_for("2/2", seconds=120)
    assert "queued at 8 of 5" in "".join(slow.events())
    slow.sampan.cli("delete", "isvc", "named")


def test_a_metric_that_nobody_tells_is_a_condition(
    make_slow: Callable[..., Service], tmp_path: Path
) -> None:
    (tmp_path / "queued").write_text("5")
    fields = keda("queud", 5)
    slow = make_slow("untold", fields, KEDA, QUEUED=str(tmp_path / "queued"))
    slow.sampan.kubectl(
        "wait", "--for=condition=ScalingActive=False", "isvc/untold", "--timeout=120s"
    )
    slow.sampan.wait_ready("untold")
    told = json.loads(slow.sampan.kubectl("get", "isvc", "untold", "-o", "json"))
    conditions = {c["type"]: c for c in told["status"]["conditions"]}
    assert conditions["ScalingActive"]["reason"] == "FailedGetPodsMetric"
    words = 'no replica tells "queud" yet; did you mean "queued"'
    assert words in conditions["ScalingActive"]["message"]
    assert words in slow.sampan.cli("why", "untold")
    slow.sampan.cli("delete", "isvc", "untold")


CONFIG = """
apiVersion: v1
kind: Namespace
metadata:
  name: knative-serving
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: config-autoscaler
  namespace: knative-serving
data:
  container-concurrency-target-default: "2"
  stable-window: {window}
"""


def test_the_cluster_s_settings_count_at_once(
    make_slow: Callable[..., Service], sampan: Any
) -> None:
    told = sampan.run("apply", "-f", "-", stdin=CONFIG.format(window="3s"))
    assert told.returncode == 0, told.stderr
    assert '"stable-window" is "3s"; it must be at least 6' in told.stderr
    knative = {"serving.kserve.io/deploymentMode": "Knative"}
    slow = make_slow("whole", {"maxReplicas": 3}, knative)
    sampan.cli("apply", "-f", "-", stdin=CONFIG.format(window="6s"))
    with slow.load(clients=6):
        slow.wait_for("3/3")
    slow.wait_for("1/1")
    sampan.cli("delete", "configmap", "config-autoscaler", "-n", "knative-serving")


def test_an_annotation_that_cannot_be_meant_is_told_to_who_applies_it(
    make_slow: Callable[..., Service],
) -> None:
    slow = make_slow("bad", BY_REQUESTS, {"autoscaling.knative.dev/window": "3s"})
    words = '"autoscaling.knative.dev/window" is "3s"; it must be at least 6 and at most 3600'
    assert words in slow.said  # type: ignore[attr-defined]
    assert any(words in text for text in slow.events())
