"""TrainedModels through the API server, with their controller beside it: what a client reads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sampan.api.scheme import REGISTRY
from sampan.apiserver.server import ApiServer
from sampan.controllers.trainedmodel import make_model_controller
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

Json = dict[str, Any]
MODELS = "/apis/serving.kserve.io/v1alpha1/namespaces/default/trainedmodels"
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
MERGE = {"content-type": "application/merge-patch+json"}
ALLOCATED = "serving.kserve.io/trainedmodel-allocated"
PATIENCE = 30.0  # seconds, on a machine that does much else
SEVERAL = {"modelFormat": {"name": "sklearn"}, "resources": {"limits": {"memory": "2Gi"}}}


@pytest.fixture
async def client(client_of):
    store, clock = MemoryStore(REGISTRY, SystemClock()), SystemClock()
    server = ApiServer(store, REGISTRY, client_of.token)
    await server.start()
    controller = asyncio.create_task(make_model_controller(store, clock).run())
    yield client_of(server)
    controller.cancel()
    await asyncio.gather(controller, return_exceptions=True)
    server.stop()
    await store.close()


async def add_model(client: Any, name: str, memory: str = "1Gi") -> None:
    model = {"framework": "sklearn", "storageUri": "gs://models/a", "memory": memory}
    spec = {"inferenceService": "iris", "model": model}
    await client.ok("POST", MODELS, {"metadata": {"name": name}, "spec": spec})


async def add_service(client: Any, model: Json) -> None:
    spec = {"predictor": {"model": model}}
    await client.ok("POST", SERVICES, {"metadata": {"name": "iris"}, "spec": spec})


async def say_ready(client: Any, status: str) -> None:
    told = {"status": {"conditions": [{"type": "Ready", "status": status}]}}
    await client.ok("PATCH", f"{SERVICES}/iris/status", told, headers=MERGE)


async def told(client: Any, name: str, wanted: dict[str, str]) -> Json:
    """Wait until the conditions have these reasons, "" for True; return the model."""
    async with asyncio.timeout(PATIENCE):
        while True:
            model = await client.ok("GET", f"{MODELS}/{name}")
            found = {c["type"]: c.get("reason", "") for c in _conditions(model)}
            if wanted.items() <= found.items():
                return model
            await asyncio.sleep(0.02)


def _conditions(model: Json) -> list[Json]:
    return (model.get("status") or {}).get("conditions") or []


async def test_a_model_without_its_service_waits_for_it_and_is_kept(client):
    await add_model(client, "one")
    model = await told(client, "one", {"Ready": "InferenceServiceNotReady"})
    (ready,) = (c for c in _conditions(model) if c["type"] == "Ready")
    assert ready["message"].startswith('InferenceService "iris" does not exist; apply it')
    await add_service(client, SEVERAL)
    model = await told(client, "one", {"IsMMSPredictor": "", "MemoryResourceAvailable": ""})
    assert model["metadata"]["labels"] == {"inferenceservice": "iris", ALLOCATED: "iris"}


async def test_a_model_of_a_service_of_one_model_is_refused_for_it(client):
    await add_service(client, {**SEVERAL, "storageUri": "gs://b/m"})
    await say_ready(client, "True")
    await add_model(client, "one")
    model = await told(client, "one", {"InferenceServiceReady": "", "Ready": "IsNotMMSPredictor"})
    assert "url" not in model["status"]


async def test_memory_is_shared_out_until_there_is_none_left_and_again_once_one_goes(client):
    await add_service(client, SEVERAL)
    await add_model(client, "one")
    await told(client, "one", {"MemoryResourceAvailable": ""})
    await add_model(client, "big", "1025Mi")
    refused = {"MemoryResourceAvailable": "MemoryResourceNotAvailable"}
    model = await told(client, "big", refused)
    assert model["metadata"]["labels"] == {"inferenceservice": "iris"}
    await client.ok("DELETE", f"{MODELS}/one")
    model = await told(client, "big", {"MemoryResourceAvailable": ""})
    assert model["metadata"]["labels"][ALLOCATED] == "iris"


async def test_ready_follows_the_service_and_says_what_is_not_built(client):
    await add_service(client, SEVERAL)
    await add_model(client, "one")
    await told(client, "one", {"Ready": "InferenceServiceNotReady"})
    await say_ready(client, "True")
    model = await told(client, "one", {"InferenceServiceReady": "", "Ready": "NotBuiltYet"})
    assert model["status"]["observedGeneration"] == 1
    await say_ready(client, "False")
    await told(client, "one", {"Ready": "InferenceServiceNotReady"})


async def test_what_says_the_same_is_written_once(client):
    await add_service(client, {**SEVERAL, "storageUri": "gs://b/m"})
    await add_model(client, "one", "9Gi")
    before = await told(client, "one", {"Ready": "MemoryResourceNotAvailable"})
    await add_model(client, "two")
    await told(client, "two", {"IsMMSPredictor": "IsNotMMSPredictor"})
    again = await told(client, "one", {"Ready": "MemoryResourceNotAvailable"})
    assert again["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_memory_cannot_change_and_a_place_must_be_one_that_is_fetched_from(client):
    await add_model(client, "one")
    patch: Json = {"spec": {"model": {"memory": "2Gi"}}}
    reply = await client.json("PATCH", f"{MODELS}/one", patch, headers=MERGE)
    assert reply["code"] == 403
    assert 'memory field is immutable. The memory was "1Gi"' in reply["message"]
    patch = {"spec": {"model": {"storageUri": "hdfs://a"}}}
    reply = await client.json("PATCH", f"{MODELS}/one", patch, headers=MERGE)
    assert reply["code"] == 403
    assert "must start with one of the prefixes" in reply["message"]
