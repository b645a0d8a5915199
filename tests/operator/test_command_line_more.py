"""More verbs on a cluster: what a kubelet, metrics-server and a gateway would answer is played."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.operator.played_cluster import PlayedCluster, is_ready, until
from tests.operator.test_command_line import sampan
from tests.operator.test_standard import SERVICES

from sampan.apiserver.messages import Reply, Request
from sampan.cli.rollout_deployment import derive_deployed

METRICS = "/apis/metrics.k8s.io/v1beta1/namespaces/ml/pods"


@dataclass
class Answering:
    """An API server before which kubelets and others answer what is theirs, by path."""

    server: Any
    answers: dict[str, Reply]

    async def handle(self, request: Request) -> Reply:
        return self.answers.get(request.path) or await self.server.handle(request)


def answer(cluster: PlayedCluster, path: str, reply: Reply) -> None:
    cluster.door.server = Answering(cluster.door.server, {path: reply})


@pytest.fixture
async def serving(cluster: PlayedCluster, make_service: Any) -> PlayedCluster:
    """A cluster whose service `iris` of `ml` is ready."""
    await cluster.start_operator()
    await cluster.create(make_service())

    async def ready() -> bool:
        return is_ready(await cluster.get(SERVICES, "ml", "iris"))

    await until(ready, 60)
    return cluster


async def test_diff_shows_what_an_apply_would_change(serving, make_service, tmp_path: Path):
    changed = make_service()
    changed["spec"]["predictor"]["model"]["storageUri"] = "gs://models/iris-2"
    (tmp_path / "iris.yaml").write_text(json.dumps(changed))
    code, told = await sampan(serving, "diff", "-f", str(tmp_path / "iris.yaml"))
    assert code == 1
    assert "+      storageUri: gs://models/iris-2" in told


async def test_logs_are_those_of_the_model_s_container(serving):
    path = "/api/v1/namespaces/ml/pods/iris-predictor-0/log"
    answer(serving, path, Reply(200, b"model loaded\n", "text/plain"))
    assert await sampan(serving, "logs", "iris", "-n", "ml") == (0, "model loaded\n")


async def test_top_shows_what_each_pod_uses(serving):
    labels = {"serving.kserve.io/inferenceservice": "iris"}
    usage = {"cpu": "250m", "memory": "64Mi"}
    pod = {
        "metadata": {"name": "iris-predictor-0", "namespace": "ml", "labels": labels},
        "containers": [{"name": "kserve-container", "usage": usage}],
    }
    answer(serving, METRICS, Reply(200, json.dumps({"items": [pod]}).encode()))
    code, told = await sampan(serving, "top", "iris", "-n", "ml")
    assert code == 0, told
    assert told.splitlines()[-1].split() == ["iris", "iris-predictor-0", "250m", "64Mi"]


async def test_top_names_what_is_missing(serving):
    code, told = await sampan(serving, "top", "-n", "ml")
    assert code == 1
    assert "install metrics-server" in told


async def test_a_rollout_is_done_with_its_deployment(serving):
    code, told = await sampan(serving, "rollout", "status", "iris", "-n", "ml")
    assert (code, told) == (0, "iris-predictor successfully rolled out: 1 replicas\n")


async def test_of_standard_mode_there_are_no_revisions(serving):
    code, told = await sampan(serving, "rollout", "undo", "iris", "-n", "ml")
    assert code == 1
    assert "kubectl rollout history deployment/iris-predictor" in told


async def test_a_prediction_is_asked_for_at_the_address_of_the_status(serving):
    await serving.stop_operators()  # nobody else writes the status now
    async with gateway() as url:
        service = await serving.get(SERVICES, "ml", "iris")
        service["metadata"].pop("resourceVersion")
        service["status"]["url"] = url
        await serving.store.update_status(SERVICES.id, service)
        asked = ("predict", "iris", "-n", "ml", "-d", '{"instances": [[1, 2, 3, 4]]}')
        code, told = await sampan(serving, *asked)
    assert code == 0, told
    assert json.loads(told) == {"predictions": [1]}


@asynccontextmanager
async def gateway() -> AsyncIterator[str]:
    """A gateway of a cluster, and what stands behind it: knows one path."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = head.startswith(b"POST /v1/models/iris:predict ")
        body = b'{"predictions": [1]}' if found else b'{"error": "no such path"}'
        start = b"HTTP/1.1 200 OK" if found else b"HTTP/1.1 404 Not Found"
        writer.write(start + b"\r\ncontent-type: application/json\r\nconnection: close\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


READY = {"conditions": [{"type": "Ready", "status": "True"}], "observedGeneration": 3}
WHOLE = {"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2, "observedGeneration": 5}
LATE = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "10 minutes"}
NOT_READY = {"type": "Ready", "status": "False", "message": "no route"}


@pytest.mark.parametrize(
    ("service", "deployment", "told"),
    [
        pytest.param({"observedGeneration": 2}, {}, "waiting for m to be looked at", id="new"),
        pytest.param(
            {}, {"observedGeneration": 4}, "waiting for Deployment d to be looked at", id="rendered"
        ),
        pytest.param(
            {}, {"conditions": [LATE]}, "d exceeded its progress deadline: 10 minutes", id="late"
        ),
        pytest.param({}, {"updatedReplicas": 1}, "1 of 2 replicas of d are new", id="begun"),
        pytest.param({}, {"replicas": 3}, "1 old replicas of d are to end", id="old ones left"),
        pytest.param(
            {},
            {"availableReplicas": 0},
            "0 of 2 new replicas of d are available",
            id="not available",
        ),
        pytest.param(
            {"conditions": [NOT_READY]}, {}, "waiting for m to be Ready: no route", id="no route"
        ),
        pytest.param({}, {}, "d successfully rolled out: 2 replicas", id="done"),
    ],
)
def test_how_far_a_deployment_is(service, deployment, told):
    isvc = {"metadata": {"name": "m", "generation": 3}, "status": {**READY, **service}}
    metadata = {"name": "d", "generation": 5}
    live = {
        "metadata": metadata, "spec": {"replicas": 2}, "status": {**WHOLE, **deployment},
    }  # fmt: skip
    progress = derive_deployed(isvc, live)
    assert progress.text == told
    assert progress.done == told.startswith("d successfully")
    assert progress.failed == ("exceeded" in told)
