"""The operator as people run it: a process with a kubeconfig, its doors, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.operator import played_cluster as played
from tests.operator.admitting import Admitting, make_plain_registry
from tests.operator.conftest import CONFIG, RUNTIME, config_map
from tests.operator.played_cluster import PlayedCluster, is_ready, rested, until
from tests.operator.test_standard import SERVICES

from sampan.api.scheme import REGISTRY
from sampan.machinery.store import Key
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, LEASES
from sampan.webhooks.configurations import MUTATING, VALIDATING, Place, make_configurations


@dataclass
class Process:
    """A running operator: its doors, as its log tells them."""

    process: asyncio.subprocess.Process
    lines: list[str]

    async def door(self, what: str) -> str:
        async def told() -> str:
            found = re.search(rf"{what} on (\S+)", "\n".join(self.lines))
            return found[1] if found else ""

        return str(await until(told, 60, lambda: "\n".join(self.lines)))

    async def stop(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 60)


@contextlib.asynccontextmanager
async def started(cluster: PlayedCluster, *more: str) -> AsyncIterator[Process]:
    await cluster.ensure_namespace("kserve")
    command = (sys.executable, "-m", "sampan.app.operator", "--kubeconfig")
    process = await asyncio.create_subprocess_exec(
        *(*command, str(cluster.kubeconfig), "--health-port=0", *more),
        stderr=asyncio.subprocess.PIPE,
    )
    running = Process(process, [])
    reading = asyncio.ensure_future(read(running))
    try:
        yield running
    finally:
        await running.stop()
        await reading


async def read(running: Process) -> None:
    assert running.process.stderr is not None
    async for line in running.process.stderr:
        running.lines.append(line.decode().rstrip())


async def test_it_makes_a_service_ready_tells_of_itself_and_gives_its_lease_back(
    cluster: PlayedCluster, make_service: Any
) -> None:
    async with started(cluster, "--webhook-port=0") as operator:
        await cluster.create(make_service())
        await until(lambda: is_served(cluster), 60, lambda: "\n".join(operator.lines))
        url = await operator.door("health and metrics")
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
            metrics = (await client.get("/metrics")).text
        assert 'sampan_operator_objects{kind="inferenceservices"} 1.0' in metrics
        assert re.search(r'api_calls_total\{verb="PATCH",resource="deployments"\} \d', metrics)
        assert await operator.stop() == 0
    lease = await cluster.store.get(Key(LEASES.id, "kserve", "sampan-operator"))
    assert lease["spec"]["holderIdentity"] == ""


async def is_served(cluster: PlayedCluster) -> bool:
    return is_ready(await cluster.get(SERVICES, "ml", "iris"))


@pytest.fixture
async def plain_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PlayedCluster]:
    """A cluster whose API server knows nothing of KServe's rules but what webhooks tell it."""
    monkeypatch.setattr(played, "make_registry", make_plain_registry)
    async with played.played_cluster(tmp_path) as cluster:
        await cluster.create(config_map(CONFIG), RUNTIME)
        yield cluster


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_cluster_s_api_server_asks_its_webhooks_and_obeys(
    plain_cluster: PlayedCluster,
) -> None:
    cluster, port = plain_cluster, free_port()
    for configuration in make_configurations(REGISTRY, Place(url=f"https://127.0.0.1:{port}")):
        resource = MUTATING if configuration["kind"] == MUTATING.kind else VALIDATING
        await cluster.store.create(resource.id, configuration)
    container = {"metadata": {"name": "default"}, **STORAGE_CONTAINER}
    await cluster.store.create("clusterstoragecontainers.serving.kserve.io", container)
    await cluster.ensure_namespace("ml")
    admitting = Admitting(cluster)
    async with started(cluster, f"--webhook-port={port}", "--webhook-name=127.0.0.1") as operator:
        await operator.door("webhooks")
        legacy = service(sklearn={"storageUri": "gs://models/iris"})
        reply = await admitting.send(legacy, plural="inferenceservices")
        assert reply.code == 201, reply.body
        stored = await cluster.get(SERVICES, "ml", "iris")
        assert stored["spec"]["predictor"]["model"]["modelFormat"] == {"name": "sklearn"}
        wrong = service(sklearn={"storageUri": "gs://models/iris"}, minReplicas=3, maxReplicas=2)
        refused = await admitting.send(wrong, plural="inferenceservices")
        assert refused.code == 403
        assert b"'MinReplicas' cannot be greater than MaxReplicas" in refused.body
        await until(lambda: is_served(cluster), 60, lambda: "\n".join(operator.lines))
        pod = await pod_of(cluster)
        created = await admitting.send(pod, plural="pods")
        assert created.code == 201, created.body
        [download] = json.loads(created.body)["spec"]["initContainers"]
        assert download["args"] == ["gs://models/iris", "/mnt/models"]


STORAGE_CONTAINER = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ClusterStorageContainer",
    "spec": {
        "container": {"name": "storage-initializer", "image": "i"},
        "supportedUriFormats": [{"prefix": "gs://"}],
    },
}


def service(**predictor: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris", "namespace": "ml"},
        "spec": {"predictor": predictor},
    }


async def pod_of(cluster: PlayedCluster) -> dict[str, Any]:
    """A pod as the Deployment's controller makes it of the template."""
    deployment = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "iris-predictor-x", "namespace": "ml"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [1, 3, 5, 6, 7])
async def test_killed_at_a_call_the_next_process_goes_on(
    number: int, cluster: PlayedCluster, make_service: Any
) -> None:
    """The process itself; every call, and every story, is tried in virtual time.

    A service that is new takes eight: its finalizer, five objects, a status and an event.
    """
    calls = 0
    async with started(cluster, "--webhook-port=0", "--identity=one") as first:

        async def kill(request: Any) -> None:
            nonlocal calls
            if "/ml/" not in request.path:
                return
            calls += 1
            if calls == number:
                first.process.kill()

        await first.door("health and metrics")
        await until(lambda: leads(cluster), 60)
        cluster.door.fault = kill
        await cluster.create(make_service())
        assert await asyncio.wait_for(first.process.wait(), 120) == -signal.SIGKILL
    cluster.door.fault = None
    async with started(cluster, "--webhook-port=0", "--identity=one") as second:
        await until(lambda: is_served(cluster), 120, lambda: "\n".join(second.lines))
        await rested(cluster)
        children = await cluster.children("ml")
        names = [(o["kind"], o["metadata"]["name"]) for o in children]
        assert len(names) == len(set(names)) == 5
        deployment = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
        assert deployment["metadata"]["generation"] == 1


async def leads(cluster: PlayedCluster) -> bool:
    lease = await cluster.store.get(Key(LEASES.id, "kserve", "sampan-operator"))
    return bool(lease["spec"].get("holderIdentity"))


async def test_without_a_cluster_it_says_so(tmp_path: Any) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sampan.app.operator", "--kubeconfig", str(tmp_path / "none")),
        *("--webhook-port=0", "--health-port=0"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 3
    assert "cannot be used" in told.decode()
    assert "Traceback" not in told.decode()
