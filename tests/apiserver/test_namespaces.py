"""Namespaces: there at the start, required by what is in them, emptied before they go."""

from __future__ import annotations

import asyncio

import pytest

MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def room(client):
    await client.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "room"}})
    return "/api/v1/namespaces/room"


async def gone(client, path):
    for _ in range(200):
        if (await client.send("GET", path)).code == 404:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_default_and_kserve_are_always_there(client):
    listed = await client.ok("GET", "/api/v1/namespaces")
    assert [i["metadata"]["name"] for i in listed["items"]] == ["default", "kserve"]
    assert {i["status"]["phase"] for i in listed["items"]} == {"Active"}


async def test_a_new_one_is_active_and_labelled_with_its_name(client, room):
    found = await client.ok("GET", room)
    assert found["status"] == {"phase": "Active"}
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": "room"}


async def test_deleting_it_removes_its_contents_first(client, room):
    await client.ok("POST", f"{room}/configmaps", {"metadata": {"name": "a"}})
    await client.ok("POST", f"{room}/secrets", {"metadata": {"name": "b"}})
    marked = await client.ok("DELETE", room)
    assert marked["status"]["phase"] == "Terminating"
    assert await gone(client, room)
    assert (await client.ok("GET", "/api/v1/configmaps"))["items"] == []


async def test_while_it_ends_nothing_new_may_come_in(client, room):
    body = {"metadata": {"name": "held", "finalizers": ["a.b/c"]}}
    await client.ok("POST", f"{room}/configmaps", body)
    await client.ok("DELETE", room)
    refused = await client.json("POST", f"{room}/configmaps", {"metadata": {"name": "late"}})
    assert refused["code"] == 403
    assert "because it is being terminated" in refused["message"]
    patch = {"metadata": {"finalizers": None}}
    await client.ok("PATCH", f"{room}/configmaps/held", patch, headers=MERGE)
    assert await gone(client, room)


async def test_an_interrupted_deletion_goes_on_at_the_next_start(client, server, client_of, room):
    body = {"metadata": {"name": "held", "finalizers": ["a.b/c"]}}
    await client.ok("POST", f"{room}/configmaps", body)
    await client.ok("DELETE", room)
    await server._namespaces.stop()
    patch = {"metadata": {"finalizers": None}}
    await client.ok("PATCH", f"{room}/configmaps/held", patch, headers=MERGE)
    assert (await client.send("GET", room)).code == 200
    await server.start()
    assert await gone(client, room)
