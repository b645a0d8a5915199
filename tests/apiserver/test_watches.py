"""Watches: what is told, from which version on, in which form, and how they end."""

from __future__ import annotations

import asyncio
import json

import pytest

WIDGETS = "/apis/example.sampan.dev/v1/namespaces/default/widgets"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
MERGE = {"content-type": "application/merge-patch+json"}


class Watch:
    """A watch being read, event by event."""

    def __init__(self, reply):
        assert reply.code == 200, reply.body
        self.stream = reply.stream

    async def next(self):
        return json.loads(await asyncio.wait_for(anext(self.stream), 5))

    async def brief(self):
        event = await self.next()
        return event["type"], event["object"]["metadata"].get("name", "")

    async def rest(self):
        return [json.loads(line) async for line in self.stream]


@pytest.fixture
async def watch(client):
    opened = []

    async def start(path, **query):
        headers = query.pop("headers", {})
        query = {"watch": "true", **query}
        opened.append(Watch(await client.send("GET", path, query=query, headers=headers)))
        return opened[-1]

    yield start
    for one in opened:
        await one.stream.aclose()


def configmap(name, **labels):
    return {"metadata": {"name": name, "labels": labels}}


async def test_without_a_version_what_is_there_comes_first(client, watch):
    await client.ok("POST", CONFIGMAPS, configmap("a"))
    events = await watch(CONFIGMAPS)
    assert await events.brief() == ("ADDED", "a")
    await client.ok("POST", CONFIGMAPS, configmap("b"))
    await client.ok("PATCH", f"{CONFIGMAPS}/a", {"data": {"x": "1"}}, headers=MERGE)
    await client.ok("DELETE", f"{CONFIGMAPS}/b")
    assert await events.brief() == ("ADDED", "b")
    assert await events.brief() == ("MODIFIED", "a")
    assert await events.brief() == ("DELETED", "b")


async def test_from_a_lists_version_only_changes_since_come(client, watch):
    await client.ok("POST", CONFIGMAPS, configmap("a"))
    version = (await client.ok("GET", CONFIGMAPS))["metadata"]["resourceVersion"]
    await client.ok("POST", CONFIGMAPS, configmap("b"))
    events = await watch(CONFIGMAPS, resourceVersion=version)
    assert await events.brief() == ("ADDED", "b")


async def test_selectors_tell_of_objects_that_come_and_go_by_their_labels(client, watch):
    events = await watch(CONFIGMAPS, labelSelector="tier=gold")
    await client.ok("POST", CONFIGMAPS, configmap("other", tier="tin"))
    await client.ok("POST", CONFIGMAPS, configmap("a", tier="gold"))
    relabel = {"metadata": {"labels": {"tier": "tin"}}}
    assert await events.brief() == ("ADDED", "a")
    await client.ok("PATCH", f"{CONFIGMAPS}/a", relabel, headers=MERGE)
    assert await events.brief() == ("DELETED", "a")


async def test_a_version_no_longer_kept_is_an_error_event_with_410(watch):
    events = await watch(CONFIGMAPS, resourceVersion="999999")
    event = await events.next()
    assert event["type"] == "ERROR"
    assert event["object"]["code"] == 410
    assert event["object"]["reason"] == "Expired"


async def test_bookmarks_mark_the_end_of_the_initial_events(client, watch):
    await client.ok("POST", CONFIGMAPS, configmap("a"))
    events = await watch(
        CONFIGMAPS,
        sendInitialEvents="true",
        resourceVersionMatch="NotOlderThan",
        allowWatchBookmarks="true",
    )
    assert await events.brief() == ("ADDED", "a")
    mark = await events.next()
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_without_initial_events_it_starts_from_now(client, watch):
    await client.ok("POST", CONFIGMAPS, configmap("before"))
    events = await watch(CONFIGMAPS, sendInitialEvents="false", resourceVersionMatch="NotOlderThan")
    await client.ok("POST", CONFIGMAPS, configmap("after"))
    assert await events.brief() == ("ADDED", "after")


async def test_it_ends_by_itself_when_its_time_is_up(client, watch):
    await client.ok("POST", CONFIGMAPS, configmap("a"))
    events = await watch(CONFIGMAPS, timeoutSeconds="1")
    assert [e["type"] for e in await asyncio.wait_for(events.rest(), 3)] == ["ADDED"]


async def test_it_ends_when_the_server_stops(client, server, watch):
    events = await watch(CONFIGMAPS)
    reading = asyncio.ensure_future(events.rest())
    await asyncio.sleep(0.05)
    server.stop()
    assert await asyncio.wait_for(reading, 2) == []


async def test_as_a_table_the_columns_are_told_once(client, watch):
    table = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    events = await watch(WIDGETS, headers=table)
    for name in "ab":
        await client.ok("POST", WIDGETS, {"metadata": {"name": name}})
    first, second = await events.next(), await events.next()
    assert [c["name"] for c in first["object"]["columnDefinitions"]][:2] == ["Name", "Size"]
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][0] == "b"


async def test_pods_come_change_and_go_with_versions_of_their_own(platform, client, watch, pod):
    platform.show(pod("p"))
    events = await watch(PODS)
    assert await events.brief() == ("ADDED", "p")
    platform.show(pod("p", app="x"))
    platform.show(pod("q"))
    platform.show(pod("elsewhere", "kserve"))
    assert await events.brief() == ("MODIFIED", "p")
    assert await events.brief() == ("ADDED", "q")
    platform.hide("p")
    assert await events.brief() == ("DELETED", "p")
    listed = await client.ok("GET", PODS)
    later = await watch(PODS, resourceVersion=listed["metadata"]["resourceVersion"])
    platform.hide("q")
    assert await later.brief() == ("DELETED", "q")


async def test_pods_are_followed_only_while_watched(platform, watch, pod):
    assert platform.followers == 0
    events = await watch(PODS)
    platform.show(pod("p"))
    assert await events.brief() == ("ADDED", "p")
    assert platform.followers == 1
    await events.stream.aclose()
    assert platform.followers == 0


async def test_a_pod_that_does_not_change_keeps_its_version_and_uid(platform, client, pod):
    platform.show(pod("p"))
    first = await client.ok("GET", f"{PODS}/p")
    platform.show(pod("q"))
    assert await client.ok("GET", f"{PODS}/p") == first
    assert first["metadata"]["uid"]
    selected = await client.ok("GET", PODS, query={"fieldSelector": "metadata.name=q"})
    assert [i["metadata"]["name"] for i in selected["items"]] == ["q"]
