"""A canary that fails over gRPC, where every HTTP status is 200: taken back, and `why` says so."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sampan.client.grpc import InferenceGRPCClient
from sampan.protocol.tensors import InferInput, InferRequest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MODEL = '''
"""Answers with the number that it is asked, or fails each time."""
import os

from sampan.sdk import InferOutput, InferResponse, Model


class Failing(Model):
    def predict(self, payload, headers=None):
        if os.environ["FAILS"] == "yes":
            raise RuntimeError("out of luck")
        return InferResponse("1", self.name, [InferOutput("n", [1], "INT64", payload.inputs[0].data)])
'''  # noqa: E501  # a file of its own

ISVC = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: called
  annotations: {{"serving.sampan.dev/rollback-error-percent": "10"}}
spec:
  predictor:
    {share}
    containers:
      - name: kserve-container
        image: example/failing
        command: [{sampan}, serve, "{model}:Failing"]
        args: [--model_name=called, --http_port=8080, --grpc_port=0]
        env: [{{name: FAILS, value: "{fails}"}}]
        ports: [{{name: h2c, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /v2/health/ready, port: 8080}}}}
"""


async def ask(port: int) -> str:
    """Ask over gRPC, and return how the call ended."""
    authority = ("grpc.default_authority", "called.default.localhost")
    given = InferInput("n", [1], "INT64", [7])
    async with InferenceGRPCClient(
        f"127.0.0.1:{port}", channel_args=[authority], retries=0
    ) as client:
        try:
            answer = await client.infer(InferRequest("called", [given]))
        except Exception as error:  # noqa: BLE001  # which status it was is what is told
            return f"{error}"
        return str(answer.outputs[0].as_numpy()[0])


def shares(sampan: Any) -> list[int]:
    status = json.loads(sampan.kubectl("get", "isvc", "called", "-o", "json"))["status"]
    told = (status.get("components") or {}).get("predictor") or {}
    return [int(t["percent"]) for t in told.get("traffic") or ()]


async def test_a_canary_whose_calls_fail_is_taken_back_and_why_names_it(
    sampan: Any, tmp_path: Path
) -> None:
    model = tmp_path / "failing.py"
    model.write_text(MODEL)
    command = Path(sys.executable).parent / "sampan"
    given = {"sampan": command, "model": model}
    sampan.apply(ISVC.format(share="minReplicas: 1", fails="no", **given))
    sampan.wait_ready("called")
    sampan.apply(ISVC.format(share="canaryTrafficPercent: 50", fails="yes", **given))
    deadline = time.monotonic() + 120
    while shares(sampan) != [50, 50]:
        assert time.monotonic() < deadline, shares(sampan)
        await asyncio.sleep(0.3)
    failed = 0
    while shares(sampan) != [0, 100]:
        failed += sum([await ask(sampan.port) != "7" for _ in range(20)])
        assert time.monotonic() < deadline, f"{failed} calls failed, and the canary stays"
    assert failed >= 2
    assert [await ask(sampan.port) for _ in range(20)] == ["7"] * 20
    told = sampan.cli("why", "called")
    assert "called is Ready" in told
    words = "called-predictor-00002 was rolled back: CanaryErrorRateExceeded: "
    assert words in told
    assert "requests to called-predictor-00002 failed in" in told
    assert "sampan rollout undo called" in told
    (one,) = json.loads(sampan.cli("why", "called", "-o", "json"))["rolledBack"]
    assert (one["component"], one["revision"]) == ("predictor", "called-predictor-00002")
    sampan.cli("delete", "isvc", "called")
