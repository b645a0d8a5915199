"""Garbage collection: dependents follow their owners, as the propagation policy says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sampan.machinery.collector import Collector
from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.propagation import Propagation, apply_delete
from sampan.machinery.registry import JsonObject, Registry
from sampan.machinery.store import Key, Preconditions, Store

BOATS, OARS, MAPS = "sampans.boats.dev", "oars.boats.dev", "configmaps"


def owned(name: str, *owners: JsonObject, block: bool = True) -> JsonObject:
    references = [
        {
            "apiVersion": o["apiVersion"],
            "kind": o["kind"],
            "name": o["metadata"]["name"],
            "uid": o["metadata"]["uid"],
            "blockOwnerDeletion": block,
        }
        for o in owners
    ]
    return {"metadata": {"name": name, "namespace": "canton", "ownerReferences": references}}


def key(resource: str, name: str) -> Key:
    return Key(resource, "canton", name)


@pytest.fixture(autouse=True)
async def collector(store: Store, clock: Any, registry: Registry) -> AsyncIterator[None]:
    task = asyncio.create_task(Collector(store, clock, registry).run())
    await clock.advance(0)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def names(store: Store, resource: str) -> list[str]:
    return [o["metadata"]["name"] for o in (await store.list(resource)).items]


async def test_dependents_go_after_their_owner_and_theirs_after_them(
    store: Store, clock: Any
) -> None:
    boat = await store.create(BOATS, owned("mei"))
    oar = await store.create(OARS, owned("left", boat))
    await store.create(MAPS, owned("grip", oar))
    await store.create(MAPS, owned("stranger"))
    await clock.advance(1)
    assert await names(store, MAPS) == ["grip", "stranger"]
    await apply_delete(store, key(BOATS, "mei"))
    await clock.advance(1)
    assert await names(store, OARS) == []
    assert await names(store, MAPS) == ["stranger"]


async def test_a_dependent_of_two_stays_until_both_are_gone(store: Store, clock: Any) -> None:
    first, second = [await store.create(BOATS, owned(n)) for n in ("mei", "lin")]
    await store.create(OARS, owned("shared", first, second))
    await store.delete(key(BOATS, "mei"))
    await clock.advance(1)
    (left,) = (await store.list(OARS)).items
    assert [r["name"] for r in left["metadata"]["ownerReferences"]] == ["lin"]
    await store.delete(key(BOATS, "lin"))
    await clock.advance(1)
    assert await names(store, OARS) == []


async def test_an_owner_of_the_same_name_but_another_uid_is_no_owner(
    store: Store, clock: Any
) -> None:
    boat = await store.create(BOATS, owned("mei"))
    await store.delete(key(BOATS, "mei"))
    await store.create(BOATS, owned("mei"))
    await store.create(OARS, owned("left", boat))
    await clock.advance(1)
    assert await names(store, OARS) == []


async def test_an_owner_of_an_unknown_kind_counts_as_there(store: Store, clock: Any) -> None:
    unknown = {
        "apiVersion": "far.away/v1",
        "kind": "Junk",
        "metadata": {"name": "x", "uid": "u", "namespace": "canton"},
    }
    await store.create(OARS, owned("left", unknown))
    await clock.advance(1)
    assert await names(store, OARS) == ["left"]


async def test_a_namespaced_dependent_may_have_a_cluster_scoped_owner(
    store: Store, clock: Any
) -> None:
    owner = await store.create("namespaces", {"metadata": {"name": "river"}})
    await store.create(OARS, owned("left", owner))
    await clock.advance(1)
    assert await names(store, OARS) == ["left"]
    await store.delete(Key("namespaces", "", "river"))
    await clock.advance(1)
    assert await names(store, OARS) == []


async def test_in_the_foreground_the_owner_goes_last(store: Store, clock: Any) -> None:
    boat = await store.create(BOATS, owned("mei"))
    held = owned("left", boat)
    held["metadata"]["finalizers"] = ["held"]
    await store.create(OARS, held)
    waiting = await apply_delete(store, key(BOATS, "mei"), Propagation.FOREGROUND)
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    await clock.advance(10)
    assert await names(store, BOATS) == ["mei"], "it waits for its dependent"
    oar = await store.get(key(OARS, "left"))
    assert oar["metadata"]["deletionTimestamp"]
    oar["metadata"]["finalizers"] = []
    await store.update(OARS, oar)
    await clock.advance(10)
    assert await names(store, OARS) == []
    assert await names(store, BOATS) == []


async def test_in_the_foreground_a_dependent_that_does_not_block_is_not_waited_for(
    store: Store, clock: Any
) -> None:
    boat = await store.create(BOATS, owned("mei"))
    held = owned("left", boat, block=False)
    held["metadata"]["finalizers"] = ["held"]
    await store.create(OARS, held)
    await apply_delete(store, key(BOATS, "mei"), Propagation.FOREGROUND)
    await clock.advance(10)
    assert await names(store, BOATS) == []


async def test_orphans_stay_without_the_reference(store: Store, clock: Any) -> None:
    boat = await store.create(BOATS, owned("mei"))
    await store.create(OARS, owned("left", boat))
    await clock.advance(0)
    await apply_delete(store, key(BOATS, "mei"), Propagation.ORPHAN)
    await clock.advance(10)
    assert await names(store, BOATS) == []
    (left,) = (await store.list(OARS)).items
    assert "ownerReferences" not in left["metadata"]


async def test_a_delete_under_a_policy_insists_on_its_preconditions(store: Store) -> None:
    await store.create(BOATS, owned("mei"))
    for policy in Propagation:
        with pytest.raises(Conflict, match="Precondition failed"):
            await apply_delete(store, key(BOATS, "mei"), policy, Preconditions(uid="other"))
    boat = await store.get(key(BOATS, "mei"))
    assert "finalizers" not in boat["metadata"]
    with pytest.raises(NotFound):
        await apply_delete(store, key(BOATS, "none"), Propagation.FOREGROUND)


async def test_a_dry_run_under_a_policy_leaves_no_finalizer(store: Store) -> None:
    boat = await store.create(BOATS, owned("mei"))
    await apply_delete(store, key(BOATS, "mei"), Propagation.FOREGROUND, dry_run=True)
    assert await store.get(key(BOATS, "mei")) == boat
