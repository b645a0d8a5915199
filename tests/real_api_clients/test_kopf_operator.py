"""An operator written with kopf, unmodified: handlers, finalizers, daemons, patches, events."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import HERE, Sampan

pytestmark = pytest.mark.slow
FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"

SERVICE = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: operated}}
spec: {{predictor: {{minReplicas: {replicas}, model: {{modelFormat: {{name: sklearn}}, storageUri: {uri}}}}}}}
"""  # noqa: E501  # YAML in one line is read more easily


class Operator:
    """A running operator and what it has told so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: queue.Queue[str] = queue.Queue()
        self.told: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # closed in the end
            for line in self.process.stdout:
                self.lines.put(line.strip())

    def await_line(self, wanted: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while wanted not in self.told:
            with contextlib.suppress(queue.Empty):
                self.told.append(self.lines.get(timeout=0.2))
            assert time.monotonic() < until, f'"{wanted}" was never told:\n' + "\n".join(self.told)


@pytest.fixture(scope="module")
def operator_process(clients_python: str, sampan: Sampan) -> Iterator[Operator]:
    """Run the operator; in the end it stops by itself at a SIGTERM."""
    kopf = Path(clients_python).with_name("kopf")
    command = [str(kopf), "run", "--standalone", "-n", "default", str(HERE / "operator_kopf.py")]
    process = subprocess.Popen(
        command,
        env=sampan.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield Operator(process)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()


def read(sampan: Sampan) -> dict:
    path = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/operated"
    return sampan.api(path)


def test_an_operator_runs_a_service_through_its_life(
    operator_process: Operator, sampan: Sampan, iris: Path
):
    operator = operator_process
    sampan.apply(SERVICE.format(replicas=1, uri=iris))
    operator.await_line("made operated")
    operator.await_line("companion-of operated")
    sampan.wait_ready("operated")
    found = read(sampan)
    assert found["metadata"]["labels"]["operated"] == "true"
    assert FINALIZER in found["metadata"]["finalizers"]
    assert "kopf.zalando.org/last-handled-configuration" in found["metadata"]["annotations"]

    sampan.apply(SERVICE.format(replicas=2, uri=iris))
    operator.await_line("changed operated 1 2")

    sampan.cli("delete", "isvc", "operated")
    operator.await_line("companion-left operated")
    operator.await_line("deleted operated")
    assert [line for line in operator.told if "Traceback" in line or "ERROR" in line] == []
    events = sampan.api(
        "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=operated"
    )
    assert "Logging" in {e["reason"] for e in events["items"]}, json.dumps(events)
