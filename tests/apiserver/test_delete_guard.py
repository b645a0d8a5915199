"""A LocalModelCache stays while a service uses it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sampan.api.scheme import REGISTRY
from sampan.apiserver.server import ApiServer
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

ROOT = "/apis/serving.kserve.io"
CACHES = f"{ROOT}/v1alpha1/localmodelcaches"
LABEL = "internal.serving.kserve.io/localmodel"
PATHS = {
    "InferenceService": f"{ROOT}/v1beta1/namespaces/default/inferenceservices",
    "LLMInferenceService": f"{ROOT}/v1alpha2/namespaces/default/llminferenceservices",
}
SPECS: dict[str, Any] = {
    "InferenceService": {
        "predictor": {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "hf://a/b"}}
    },
    "LLMInferenceService": {"model": {"uri": "hf://a/b"}},
}
FIELDS = {"InferenceService": "inferenceServices", "LLMInferenceService": "llmInferenceServices"}


@pytest.fixture
async def cluster(client_of) -> AsyncIterator[Any]:
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, client_of.token)
    await server.start()
    client = client_of(server)
    spec = {"sourceModelUri": "hf://a/b", "modelSize": "1Gi", "nodeGroups": ["workers"]}
    await client.ok("POST", CACHES, {
        "apiVersion": "serving.kserve.io/v1alpha1", "kind": "LocalModelCache",
        "metadata": {"name": "tiny"}, "spec": spec,
    })  # fmt: skip
    yield client
    server.stop()
    await store.close()


async def use(cluster: Any, kind: str, labels: dict[str, str]) -> None:
    version = PATHS[kind].split("/")[3]
    service = {"apiVersion": f"serving.kserve.io/{version}", "kind": kind,
               "metadata": {"name": "user", "labels": labels}, "spec": SPECS[kind]}  # fmt: skip
    await cluster.ok("POST", PATHS[kind], service)
    cache = await cluster.ok("GET", f"{CACHES}/tiny")
    status = {FIELDS[kind]: [{"namespace": "default", "name": "user"}]}
    await cluster.ok("PUT", f"{CACHES}/tiny/status", {**cache, "status": status})


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("whole", [False, True], ids=["one", "all of them"])
async def test_a_cache_that_is_used_is_not_deleted(cluster: Any, kind: str, whole: bool) -> None:
    await use(cluster, kind, {LABEL: "tiny"})
    reply = await cluster.send("DELETE", CACHES if whole else f"{CACHES}/tiny")
    assert reply.code == 403
    assert json.loads(reply.body)["message"] == (
        'admission webhook "localmodelcache.kserve-webhook-server.validator" denied the request: '
        f"LocalModelCache tiny is being used by {kind} user"
    )
    await cluster.ok("GET", f"{CACHES}/tiny")


@pytest.mark.parametrize("kind", PATHS)
async def test_a_cache_whose_service_has_gone_over_or_away_is_deleted(
    cluster: Any, kind: str
) -> None:
    await use(cluster, kind, {LABEL: "another"})
    await cluster.ok("DELETE", f"{CACHES}/tiny")


async def test_a_service_that_is_gone_keeps_no_cache(cluster: Any) -> None:
    await use(cluster, "InferenceService", {LABEL: "tiny"})
    await cluster.ok("DELETE", f"{PATHS['InferenceService']}/user")
    await cluster.ok("DELETE", f"{CACHES}/tiny")


async def test_what_is_not_there_is_not_found(cluster: Any) -> None:
    assert (await cluster.send("DELETE", f"{CACHES}/none")).code == 404
