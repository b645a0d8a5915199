"""What a namespace may ask for: ResourceQuotas held at the door, with Kubernetes's words."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api.resourcequota.usage import usage_of
from sampan.api.scheme import REGISTRY
from sampan.apiserver.server import ApiServer
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

QUOTAS = "/api/v1/namespaces/default/resourcequotas"
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}
COUNT = "count/inferenceservices.serving.kserve.io"


def service(name="iris", resources=None, **predictor):
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://models/a"}
    model |= {"resources": resources} if resources else {}
    return {"metadata": {"name": name}, "spec": {"predictor": {"model": model, **predictor}}}


@pytest.fixture
async def client(client_of):
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, client_of.token)
    await server.start()
    yield client_of(server)
    server.stop()
    await store.close()


@pytest.fixture
def limit(client):
    async def limit(**hard):
        hard = {name.replace("_", "."): amount for name, amount in hard.items()}
        body = {"metadata": {"name": "limits"}, "spec": {"hard": hard}}
        return await client.send("POST", QUOTAS, body)

    return limit


async def test_more_replicas_than_the_quota_are_refused_with_what_is_used(client, limit):
    await limit(pods="3")
    await client.ok("POST", SERVICES, service("a", minReplicas=2))
    told = await client.json("POST", SERVICES, service("b", minReplicas=2))
    assert (told["code"], told["reason"]) == (403, "Forbidden")
    assert told["message"] == (
        'inferenceservices.serving.kserve.io "b" is forbidden: exceeded quota: limits, '
        "requested: pods=2, used: pods=2, limited: pods=3"
    )
    await client.ok("POST", SERVICES, service("b", minReplicas=1))


async def test_what_a_service_may_grow_to_counts(client, limit):
    await limit(pods="3")
    told = await client.json("POST", SERVICES, service("a", minReplicas=1, maxReplicas=4))
    assert "requested: pods=4, used: pods=0, limited: pods=3" in told["message"]


async def test_memory_and_devices_are_counted_for_every_replica(client, limit):
    await limit(limits_memory="4Gi", **{"requests.nvidia.com/gpu": "2"})
    asked = {"limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}}
    await client.ok("POST", SERVICES, service("a", asked, minReplicas=2))
    told = await client.json("POST", SERVICES, service("b", asked))
    assert "requested: requests.nvidia.com/gpu=1" in told["message"]
    assert "used: requests.nvidia.com/gpu=2" in told["message"]
    big = {"limits": {"memory": "3Gi"}}
    told = await client.json("POST", SERVICES, service("c", big))
    assert (
        "requested: limits.memory=3Gi, used: limits.memory=2Gi, limited: limits.memory=4Gi"
    ) in told["message"]


async def test_a_limited_amount_must_be_told(client, limit):
    await limit(limits_memory="4Gi")
    told = await client.json("POST", SERVICES, service("a"))
    assert (
        "failed quota: limits: must specify limits.memory for: kserve-container"
        in (told["message"])
    )


async def test_an_update_that_asks_for_no_more_passes_a_full_quota(client, limit):
    await client.ok("POST", SERVICES, service("a", minReplicas=3))
    await limit(pods="2")
    label = {"metadata": {"labels": {"team": "x"}}}
    await client.ok("PATCH", f"{SERVICES}/a", label, headers=MERGE)
    more = {"spec": {"predictor": {"minReplicas": 4}}}
    told = await client.json("PATCH", f"{SERVICES}/a", more, headers=MERGE)
    assert "requested: pods=1, used: pods=3, limited: pods=2" in told["message"]
    fewer = {"spec": {"predictor": {"minReplicas": 1}}}
    await client.ok("PATCH", f"{SERVICES}/a", fewer, headers=MERGE)


@pytest.mark.parametrize("name", ["configmaps", "count/configmaps"])
async def test_objects_are_counted_one_by_one(client, limit, name):
    await limit(**{name: "2"})
    for number in range(2):
        await client.ok("POST", CONFIGMAPS, {"metadata": {"name": f"c{number}"}})
    told = await client.json("POST", CONFIGMAPS, {"metadata": {"name": "c2"}})
    assert f"requested: {name}=1, used: {name}=2, limited: {name}=2" in told["message"]
    await client.ok("DELETE", f"{CONFIGMAPS}/c0")
    await client.ok("POST", CONFIGMAPS, {"metadata": {"name": "c2"}})


async def test_two_at_once_cannot_share_the_last_place(client, limit):
    await limit(**{COUNT: "1"})
    replies = await asyncio.gather(
        *(client.send("POST", SERVICES, service(f"s{n}")) for n in range(8))
    )
    assert sorted(reply.code for reply in replies) == [201, *[403] * 7]


async def test_the_status_tells_how_much_is_used(client, limit):
    await limit(pods="5", **{COUNT: "3"})
    await client.ok("POST", SERVICES, service("a", minReplicas=2))
    found = (await client.ok("GET", f"{QUOTAS}/limits"))["status"]
    assert found == {"hard": {"pods": "5", COUNT: "3"}, "used": {"pods": "2", COUNT: "1"}}
    await client.ok("DELETE", f"{SERVICES}/a")
    assert (await client.ok("GET", f"{QUOTAS}/limits"))["status"]["used"] == {
        "pods": "0",
        COUNT: "0",
    }


async def test_a_quota_of_another_namespace_limits_nothing_here(client):
    await client.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "lab"}})
    body = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    await client.ok("POST", "/api/v1/namespaces/lab/resourcequotas", body)
    await client.ok("POST", SERVICES, service())


async def test_what_is_not_counted_is_named_in_a_warning(client, limit):
    reply = await limit(**{"requests.storage": "1Gi", "pods": "1"})
    told = [value for name, value in reply.headers if name == "Warning"]
    assert len(told) == 1
    assert "requests.storage" in told[0]


async def test_a_negative_limit_is_refused(client, limit):
    reply = await limit(pods="-1")
    assert reply.code == 422
    assert b"must be greater than or equal to 0" in reply.body


async def test_a_stopped_service_uses_no_replicas():
    stopped = service()
    stopped["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    used = usage_of("inferenceservices.serving.kserve.io", stopped)
    assert list(used) == [COUNT]


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 2**40))
def test_usage_is_that_of_one_replica_times_their_number(least, most, memory):
    asked = {"limits": {"memory": str(memory)}}
    obj = service("a", asked, minReplicas=least, maxReplicas=most)
    used = usage_of("inferenceservices.serving.kserve.io", obj)
    replicas = max(least, most)
    assert used["pods"].ceiling() == replicas
    assert used["limits.memory"].ceiling() == memory * replicas
    assert used["requests.memory"] == used["limits.memory"] == used["memory"]
