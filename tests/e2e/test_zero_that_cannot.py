"""`minReplicas: 0` where it cannot be had: who applies it is told, and what it says goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SERVER = '''
"""Answers 200 to any request; with "raw", bytes that are no HTTP."""
import asyncio
import os
import sys

ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\nconnection: close\\r\\n\\r\\n{}"


async def serve(reader, writer):
    await reader.read(65536)
    writer.write(b"\\x00no protocol of yours\\n" if "raw" in sys.argv else ANSWER)
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


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
    minReplicas: 0
    {fields}
    containers:
      - name: kserve-container
        image: example/answering
        command: [{python}, {server}, "{how}"]
        resources: {{requests: {{cpu: 50m, memory: 32Mi}}}}
"""

NODES = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: spread}
spec:
  predictor:
    minReplicas: 0
    workerSpec: {pipelineParallelSize: 2}
    model:
      modelFormat: {name: huggingface}
      storageUri: pvc://models/llm
"""

KNATIVE = {"serving.kserve.io/deploymentMode": "Knative"}
BY_HPA = {**KNATIVE, "autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev"}
KEPT = "one replica is kept where its use of CPU or memory decides; to scale to zero"

TOLD: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "the use of CPU cannot be read of nothing": (
        {"maxReplicas": 3, "scaleMetric": "cpu"}, {},
        f'{KEPT} set "spec.predictor.scaleMetric" to "concurrency"',
    ),
    "nor can the use of memory": (
        {"maxReplicas": 3, "scaleMetric": "memory", "scaleTarget": 50}, {},
        f'{KEPT} set "spec.predictor.scaleMetric" to "concurrency"',
    ),
    "Knative's class hpa knows no zero": (
        {"maxReplicas": 3}, BY_HPA,
        f'{KEPT} take away the annotation "autoscaling.knative.dev/class"',
    ),
}  # fmt: skip


@pytest.fixture
def yaml(tmp_path: Path) -> Any:
    server = tmp_path / "answering.py"
    server.write_text(SERVER)

    def make(name: str, fields: dict[str, Any], annotations: dict[str, str], how: str = "") -> str:
        return ISVC.format(
            name=name,
            annotations=json.dumps(annotations),
            fields="\n    ".join(f"{k}: {json.dumps(v)}" for k, v in fields.items()),
            python=sys.executable,
            server=server,
            how=how,
        )

    return make


def replicas(sampan: Any, name: str) -> str:
    """Return what `kubectl get` shows: those that are ready and those that are wanted."""
    path = f"/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/{name}"
    return str(sampan.api(path)["status"]["annotations"]["serving.sampan.dev/replicas"])


def events(sampan: Any, name: str) -> list[str]:
    found = sampan.api("/api/v1/namespaces/default/events")["items"]
    return [e["message"] for e in found if e["involvedObject"]["name"] == name]


def test_a_model_over_several_nodes_is_refused_in_upstreams_words(sampan: Any) -> None:
    told = sampan.run("apply", "-f", "-", stdin=NODES)
    assert told.returncode == 1
    assert "Multinode only supports 'none' autoscaler()" in told.stderr


@pytest.mark.parametrize("row", TOLD)
def test_one_replica_is_kept_and_said(sampan: Any, yaml: Any, row: str) -> None:
    fields, annotations, words = TOLD[row]
    name = f"kept-{list(TOLD).index(row)}"
    told = sampan.run("apply", "-f", "-", stdin=yaml(name, fields, annotations))
    assert told.returncode == 0, told.stderr
    assert words in told.stderr
    sampan.wait_ready(name)
    assert replicas(sampan, name) == "1/1"
    assert any(words in text for text in events(sampan, name))
    assert sampan.predict(name, {})[0] == 200
    sampan.cli("delete", "isvc", name)


def test_where_nobody_would_wake_it_that_is_why_it_is_not_ready(sampan: Any, yaml: Any) -> None:
    sampan.apply(yaml("unscaled", {}, {"serving.kserve.io/autoscalerClass": "none"}))
    sampan.wait_for("unscaled", lambda told: told.get("reason") == "NoReplicas", 60)
    said = sampan.cli("why", "unscaled", check=False)
    assert "NoReplicas: spec.predictor.minReplicas is 0, so no replica runs" in said
    assert "set spec.predictor.minReplicas to 1 or more" in said
    assert sampan.predict("unscaled", {})[0] == 503
    sampan.cli("delete", "isvc", "unscaled")


def test_a_container_that_speaks_no_http_never_sleeps_and_says_why(sampan: Any, yaml: Any) -> None:
    sampan.apply(yaml("raw", {}, {}, "raw"))
    sampan.wait_for("raw", lambda told: not told["ready"] and replicas(sampan, "raw") == "1/1", 60)
    status, _ = sampan.predict("raw", {})
    assert status in (502, 503)
    assert not sampan.why("raw")["ready"]
    sampan.cli("delete", "isvc", "raw")
