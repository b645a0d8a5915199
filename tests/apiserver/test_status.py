"""What a client may write into a status: held to the kind's schema, over the real kinds."""

from __future__ import annotations

import json

import pytest

from sampan.api.scheme import REGISTRY
from sampan.apiserver.server import ApiServer
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

MODELS = "/apis/serving.kserve.io/v1alpha1/namespaces/default/trainedmodels"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def kinds(client_of):
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, client_of.token)
    await server.start()
    client = client_of(server)
    model = {"framework": "sklearn", "storageUri": "gs://models/a", "memory": "1Gi"}
    spec = {"inferenceService": "iris", "model": model}
    await client.ok("POST", MODELS, {"metadata": {"name": "a"}, "spec": spec})
    yield client
    server.stop()
    await store.close()


async def test_an_unknown_field_is_pruned_with_a_warning(kinds):
    patch = {"status": {"url": "http://a", "colour": "red"}}
    reply = await kinds.send("PATCH", f"{MODELS}/a/status", patch, headers=MERGE)
    told = [value for name, value in reply.headers if name == "Warning"]
    assert json.loads(reply.body)["status"] == {"url": "http://a"}
    assert len(told) == 1
    assert 'unknown field \\"status.colour\\"' in told[0]


async def test_strict_field_validation_refuses_an_unknown_field(kinds):
    patch, query = {"status": {"colour": "red"}}, {"fieldValidation": "Strict"}
    reply = await kinds.json("PATCH", f"{MODELS}/a/status", patch, headers=MERGE, query=query)
    assert reply["code"] == 400
    assert 'unknown field "status.colour"' in reply["message"]


async def test_a_value_of_a_wrong_type_is_refused_and_nothing_is_stored(kinds):
    before = await kinds.ok("GET", f"{MODELS}/a")
    patch = {"status": {"observedGeneration": "one", "conditions": [{"type": "Ready"}]}}
    reply = await kinds.json("PATCH", f"{MODELS}/a/status", patch, headers=MERGE)
    assert (reply["code"], reply["reason"]) == (422, "Invalid")
    fields = [cause["field"] for cause in reply["details"]["causes"]]
    assert fields == ["status.observedGeneration", "status.conditions[0].status"]
    assert await kinds.ok("GET", f"{MODELS}/a") == before


async def test_a_status_write_changes_nothing_but_the_status(kinds):
    patch = {"spec": {"inferenceService": "other"}, "status": {"url": "http://b"}}
    made = await kinds.ok("PATCH", f"{MODELS}/a/status", patch, headers=MERGE)
    assert made["spec"]["inferenceService"] == "iris"
    assert made["metadata"]["generation"] == 1
