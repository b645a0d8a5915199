"""A resource in two versions: what one client writes the other reads, in its own version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sampan.api.scheme import REGISTRY
from sampan.apiserver.server import ApiServer
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

GROUP = "/apis/serving.kserve.io"
OLD = f"{GROUP}/v1alpha1/namespaces/default/llminferenceservices"
NEW = f"{GROUP}/v1alpha2/namespaces/default/llminferenceservices"
POOL = {
    "selector": {"app": "llm"},
    "targetPortNumber": 8000,
    "extensionRef": {"name": "epp", "failureMode": "FailOpen"},
}


def service(version: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"serving.kserve.io/{version}",
        "kind": "LLMInferenceService",
        "metadata": {"name": "tiny"},
        "spec": {"model": {"uri": "hf://a/b"}, **spec},
    }


@pytest.fixture
async def both(client_of) -> AsyncIterator[Any]:
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, client_of.token)
    await server.start()
    yield client_of(server)
    server.stop()
    await store.close()


async def test_each_version_is_discovered_the_newest_first(both):
    found = await both.ok("GET", GROUP)
    versions = [v["version"] for v in found["versions"]]
    assert versions.index("v1alpha2") < versions.index("v1alpha1")
    for version in ("v1alpha1", "v1alpha2"):
        listed = await both.ok("GET", f"{GROUP}/{version}")
        names = {r["name"]: r for r in listed["resources"]}
        assert names["llminferenceservices"]["shortNames"] == ["llmisvc"]
        assert "llminferenceservices/status" in names


async def test_what_an_older_client_creates_is_read_in_both(both):
    model = {"uri": "hf://a/b", "criticality": "Critical"}
    router = {"scheduler": {"pool": {"spec": POOL}}}
    made = await both.ok("POST", OLD, service("v1alpha1", model=model, router=router))
    assert made["apiVersion"] == "serving.kserve.io/v1alpha1"
    assert made["spec"]["model"] == {**model, "name": "tiny"}
    newer = await both.ok("GET", f"{NEW}/tiny")
    pool = newer["spec"]["router"]["scheduler"]["pool"]["spec"]
    assert pool["targetPorts"] == [{"number": 8000}]
    assert "criticality" not in newer["spec"]["model"]
    assert await both.ok("GET", f"{OLD}/tiny") == made


async def test_a_patch_of_an_older_client_keeps_what_its_version_does_not_know(both):
    await both.ok("POST", NEW, service("v1alpha2", kvCacheOffloading={"cpu": "1Gi"}))
    patch = {"spec": {"replicas": 2}}
    headers = {"content-type": "application/merge-patch+json"}
    changed = await both.ok("PATCH", f"{OLD}/tiny", patch, headers=headers)
    assert changed["spec"]["replicas"] == 2
    assert "kvCacheOffloading" not in changed["spec"]
    newer = await both.ok("GET", f"{NEW}/tiny")
    assert newer["spec"]["kvCacheOffloading"]["cpu"] == "1Gi"
    assert newer["metadata"]["generation"] == 2
    assert "annotations" not in newer["metadata"]


async def test_an_apply_of_an_older_client_and_one_of_a_newer_share_an_object(both):
    headers = {"content-type": "application/apply-patch+yaml"}
    query = {"fieldManager": "old"}
    config = service("v1alpha1", replicas=1)
    await both.ok("PATCH", f"{OLD}/tiny", config, headers=headers, query=query)
    config = service("v1alpha2", kvCacheOffloading={"cpu": "2Gi"})
    query = {"fieldManager": "new"}
    both_of = await both.ok("PATCH", f"{NEW}/tiny", config, headers=headers, query=query)
    assert (both_of["spec"]["replicas"], both_of["spec"]["kvCacheOffloading"]["cpu"]) == (1, "2Gi")
    versions = {m["manager"]: m["apiVersion"] for m in both_of["metadata"]["managedFields"]}
    assert versions == {"old": "serving.kserve.io/v1alpha1", "new": "serving.kserve.io/v1alpha2"}


async def test_a_watch_shows_objects_and_bookmarks_in_its_version(both):
    query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": 30}
    reply = await both.send("GET", OLD, query=query)
    lines = aiter(reply.stream)
    await both.ok("POST", NEW, service("v1alpha2"))
    seen = {}
    async with asyncio.timeout(20):
        while len(seen) < 2:
            event = json.loads(await anext(lines))
            seen[event["type"]] = event["object"]
    await reply.stream.aclose()
    assert {obj["apiVersion"] for obj in seen.values()} == {"serving.kserve.io/v1alpha1"}
    assert set(seen) == {"ADDED", "BOOKMARK"}


async def test_the_status_is_written_in_either_version(both):
    made = await both.ok("POST", NEW, service("v1alpha2"))
    status = {"url": "http://x", "addresses": [{"url": "http://x", "models": [{"name": "m"}]}]}
    await both.ok("PUT", f"{NEW}/tiny/status", {**made, "status": status})
    older = await both.ok("GET", f"{OLD}/tiny")
    assert older["status"] == {"url": "http://x", "addresses": [{"url": "http://x"}]}
    await both.ok("PUT", f"{OLD}/tiny/status", older)
    assert (await both.ok("GET", f"{NEW}/tiny"))["status"] == status


async def test_each_version_has_its_own_fields(both):
    model = {"uri": "hf://a/b", "criticality": "Critical"}
    reply = await both.send(
        "POST", NEW, service("v1alpha2", model=model), query={"fieldValidation": "Strict"}
    )
    assert reply.code == 400
    assert "spec.model.criticality" in json.loads(reply.body)["message"]


async def test_a_version_that_is_not_served_is_not_found(both):
    assert (await both.send("GET", OLD.replace("v1alpha1", "v1alpha3"))).code == 404
    document = await both.ok("GET", "/openapi/v3/apis/serving.kserve.io/v1alpha1")
    schemas = document["components"]["schemas"]
    old = schemas["io.kserve.serving.v1alpha1.LLMInferenceService"]
    assert "criticality" in old["properties"]["spec"]["properties"]["model"]["properties"]
