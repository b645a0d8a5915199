"""Watches: every change once, in order, from any version that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sampan.machinery.errors import BadRequest, Expired
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Event, Key, Store, StoreLimits, WatchOptions

MAPS = "configmaps"


def config_map(name: str, namespace: str = "a", **labels: str) -> JsonObject:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}


async def take(events: AsyncIterator[Event], count: int) -> list[tuple[str, str]]:
    found = []
    async with asyncio.timeout(5):
        while len(found) < count:
            event = await anext(events)
            found.append((str(event.type), event.object["metadata"].get("name", "")))
    return found


async def test_a_watch_from_nothing_starts_with_what_is_there(store: Store) -> None:
    await store.create(MAPS, config_map("one"))
    events = store.watch(MAPS)
    assert await take(events, 1) == [("ADDED", "one")]
    await store.create(MAPS, config_map("two"))
    assert await take(events, 1) == [("ADDED", "two")]


async def test_a_watch_tells_each_change_after_its_version_in_order(store: Store) -> None:
    first = await store.create(MAPS, config_map("one"))
    second = await store.update(MAPS, {**first, "data": {"x": "1"}})
    await store.create(MAPS, config_map("two"))
    await store.delete(Key(MAPS, "a", "one"))
    events = store.watch(MAPS, options=WatchOptions(since=first["metadata"]["resourceVersion"]))
    assert await take(events, 3) == [("MODIFIED", "one"), ("ADDED", "two"), ("DELETED", "one")]
    events = store.watch(MAPS, options=WatchOptions(since=second["metadata"]["resourceVersion"]))
    assert await take(events, 1) == [("ADDED", "two")]


async def test_a_deleted_object_comes_with_the_version_of_its_deletion(store: Store) -> None:
    made = await store.create(MAPS, config_map("one"))
    version = made["metadata"]["resourceVersion"]
    events = store.watch(MAPS, options=WatchOptions(since=version))
    last = await store.delete(Key(MAPS, "a", "one"))
    event = await anext(events)
    assert event.object == last
    assert int(event.object["metadata"]["resourceVersion"]) > int(version)


async def test_a_watch_of_a_namespace_or_resource_hears_of_no_other(store: Store) -> None:
    since = (await store.list(MAPS)).resource_version
    await store.create(MAPS, config_map("elsewhere", "b"))
    await store.create("namespaces", {"metadata": {"name": "a"}})
    await store.create(MAPS, config_map("here", "a"))
    events = store.watch(MAPS, "a", WatchOptions(since=since))
    assert await take(events, 1) == [("ADDED", "here")]


async def test_to_a_selective_watch_objects_appear_and_vanish_with_their_labels(
    store: Store,
) -> None:
    options = WatchOptions(since=(await store.list(MAPS)).resource_version, label_selector="on=yes")
    events = store.watch(MAPS, options=options)
    obj = await store.create(MAPS, config_map("one", on="no"))
    for value in ("yes", "yes", "no", "yes"):
        obj["metadata"]["labels"]["on"] = value
        obj["data"] = {"n": obj["metadata"]["resourceVersion"]}
        obj = await store.update(MAPS, obj)
    last = await store.delete(Key(MAPS, "a", "one"))
    kinds = [kind for kind, _ in await take(events, 5)]
    assert kinds == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
    assert last["metadata"]["labels"] == {"on": "yes"}


async def test_a_version_no_longer_kept_is_expired(make_store: Any) -> None:
    store = make_store(StoreLimits(events=10))
    first = await store.create(MAPS, config_map("first"))
    for n in range(40):
        await store.create(MAPS, config_map(f"m{n}"))
    old = WatchOptions(since=first["metadata"]["resourceVersion"])
    with pytest.raises(Expired, match="too old resource version"):
        await take(store.watch(MAPS, options=old), 1)
    newest = int((await store.list(MAPS)).resource_version)
    events = store.watch(MAPS, options=WatchOptions(since=str(newest - 10)))
    assert len(await take(events, 10)) == 10, "the newest are always kept"


async def test_a_reader_slower_than_the_history_is_told_so(make_store: Any) -> None:
    store = make_store(StoreLimits(events=10))
    await store.create(MAPS, config_map("one"))
    events = store.watch(MAPS)
    await take(events, 1)
    for n in range(40):
        await store.create(MAPS, config_map(f"m{n}"))
    with pytest.raises(Expired):
        await take(events, 40)


async def test_a_watch_does_not_fall_behind_for_what_happens_to_others(make_store: Any) -> None:
    store = make_store(StoreLimits(events=5))
    await store.create(MAPS, config_map("one"))
    waiting, reading = store.watch(MAPS), store.watch(MAPS)
    assert await take(waiting, 1) == await take(reading, 1) == [("ADDED", "one")]
    waited = asyncio.ensure_future(anext(waiting))
    await asyncio.sleep(0)  # one waits for the next change, the other has not asked for it yet
    for number in range(30):
        await store.create("events", config_map(f"other-{number}"))
    await store.create(MAPS, config_map("two"))
    assert (await waited).object["metadata"]["name"] == "two"
    assert await take(reading, 1) == [("ADDED", "two")]


async def test_a_version_of_the_future_is_expired(store: Store) -> None:
    with pytest.raises(Expired, match="is newer than this store"):
        await take(store.watch(MAPS, options=WatchOptions(since="999999")), 1)


@pytest.mark.parametrize("since", ["abc", "-1", "1.5", "1" * 40])
async def test_a_version_that_is_no_number_is_a_bad_request(store: Store, since: str) -> None:
    with pytest.raises(BadRequest, match="resourceVersion: Invalid value"):
        await take(store.watch(MAPS, options=WatchOptions(since=since)), 1)


async def test_bookmarks_follow_the_first_state_and_come_at_their_time(store: Store) -> None:
    made = await store.create(MAPS, config_map("one"))
    events = store.watch(MAPS, options=WatchOptions(bookmarks=True, bookmark_seconds=60))
    assert await take(events, 2) == [("ADDED", "one"), ("BOOKMARK", "")]
    await store.create("namespaces", {"metadata": {"name": "a"}})
    async with asyncio.timeout(5):
        event = await anext(events)
    assert event.object == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": str(int(made["metadata"]["resourceVersion"]) + 1)},
    }


async def test_closing_the_store_ends_its_watches(store: Store) -> None:
    async def drain() -> int:
        return len([event async for event in store.watch(MAPS)])

    await store.create(MAPS, config_map("one"))
    watching = asyncio.create_task(drain())
    await asyncio.sleep(0.01)
    await store.close()
    async with asyncio.timeout(5):
        assert await watching == 1


async def test_many_watchers_see_the_same_changes(store: Store) -> None:
    since = (await store.list(MAPS)).resource_version
    watchers = [store.watch(MAPS, options=WatchOptions(since=since)) for _ in range(20)]
    readers = [asyncio.create_task(take(w, 30)) for w in watchers]
    await asyncio.gather(*(store.create(MAPS, config_map(f"m{n}")) for n in range(30)))
    seen = await asyncio.gather(*readers)
    assert all(s == seen[0] for s in seen)
    assert {name for _, name in seen[0]} == {f"m{n}" for n in range(30)}


async def test_a_watcher_changes_nothing_by_changing_what_it_got(store: Store) -> None:
    since = (await store.list(MAPS)).resource_version
    first, second = (store.watch(MAPS, options=WatchOptions(since=since)) for _ in range(2))
    await store.create(MAPS, config_map("one"))
    (await anext(first)).object["metadata"]["name"] = "changed"
    assert (await anext(second)).object["metadata"]["name"] == "one"
