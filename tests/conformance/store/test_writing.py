"""What create, update, update_status and delete make of an object."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from sampan.machinery.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Invalid,
    NotFound,
)
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Preconditions, Store

BOATS = "sampans.boats.dev"
MEI = Key(BOATS, "canton", "mei")


async def test_create_sets_what_the_server_owns(store: Store, boat: JsonObject) -> None:
    stored = await store.create(BOATS, boat)
    metadata = stored["metadata"]
    assert metadata["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert metadata["generation"] == 1
    assert len(metadata["uid"]) == 36
    assert int(metadata["resourceVersion"]) > 0
    assert await store.get(MEI) == stored
    assert "uid" not in boat["metadata"], "the caller's object stays as it was"


async def test_create_drops_status_where_it_is_a_subresource(
    store: Store, boat: JsonObject
) -> None:
    stored = await store.create(BOATS, {**boat, "status": {"afloat": True}})
    assert "status" not in stored


async def test_create_ignores_server_owned_fields_that_the_caller_sends(
    store: Store, boat: JsonObject
) -> None:
    boat["metadata"] |= {
        "uid": "mine",
        "generation": 9,
        "deletionTimestamp": "2020-01-01T00:00:00Z",
    }
    metadata = (await store.create(BOATS, boat))["metadata"]
    assert metadata["uid"] != "mine"
    assert metadata["generation"] == 1
    assert "deletionTimestamp" not in metadata


async def test_a_resource_without_generation_gets_none(store: Store) -> None:
    made = await store.create("configmaps", {"metadata": {"name": "a", "namespace": "b"}})
    assert "generation" not in made["metadata"]
    assert (made["kind"], made["apiVersion"]) == ("ConfigMap", "v1")


async def test_a_taken_name_is_refused_in_kubernetes_words(store: Store, boat: JsonObject) -> None:
    await store.create(BOATS, boat)
    with pytest.raises(AlreadyExists) as caught:
        await store.create(BOATS, boat)
    assert str(caught.value) == 'sampans.boats.dev "mei" already exists'
    assert caught.value.details == {"name": "mei", "group": "boats.dev", "kind": "sampans"}


async def test_generate_name_adds_five_characters(store: Store, boat: JsonObject) -> None:
    del boat["metadata"]["name"]
    boat["metadata"]["generateName"] = "mei-"
    names = {(await store.create(BOATS, boat))["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(len(n) == 9 and n.startswith("mei-") for n in names)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"name": ""}, Invalid, "metadata.name: Required value"),
        ({"name": "a/b"}, Invalid, "may not contain '/'"),
        ({"name": ".."}, Invalid, "may not be '..'"),
        ({"name": 7}, Invalid, "must be a string"),
        ({"namespace": ""}, Invalid, "metadata.namespace: Required value"),
        ({"namespace": "../x"}, Invalid, "may not contain '/'"),
        ({"resourceVersion": "5"}, BadRequest, "resourceVersion should not be set"),
        ({"weight": float("nan")}, BadRequest, 'metadata.weight: "nan" has no form in JSON'),
        ({"tags": {1, 2}}, BadRequest, "metadata.tags"),
        ({"big": 2**70}, BadRequest, "metadata.big"),
        ({"half": "\ud800"}, BadRequest, "metadata.half: character 0 is half"),
    ],
)
async def test_what_cannot_be_stored_is_refused_with_its_path(
    store: Store, boat: JsonObject, change: JsonObject, error: type[Exception], message: str
) -> None:
    boat["metadata"] |= change
    with pytest.raises(error, match=message.replace("'", ".").replace("(", ".")):
        await store.create(BOATS, boat)
    assert (await store.list(BOATS)).items == []


async def test_an_object_of_another_kind_is_refused(store: Store, boat: JsonObject) -> None:
    with pytest.raises(BadRequest, match='kind "Sampan" is none of configmaps'):
        await store.create("configmaps", boat)


async def test_a_deeply_nested_object_is_refused(store: Store, boat: JsonObject) -> None:
    nested: Any = 1
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(BadRequest, match="nested deeper than 200"):
        await store.create(BOATS, {**boat, "spec": nested})


async def test_a_cluster_scoped_object_takes_no_namespace(store: Store) -> None:
    with pytest.raises(Invalid, match="Namespace is cluster-scoped"):
        await store.create("namespaces", {"metadata": {"name": "a", "namespace": "b"}})
    made = await store.create("namespaces", {"metadata": {"name": "a"}})
    assert await store.get(Key("namespaces", "", "a")) == made


async def test_a_spec_change_adds_one_to_generation(store: Store, boat: JsonObject) -> None:
    obj = await store.create(BOATS, boat)
    obj["spec"]["oars"] = 4
    after = await store.update(BOATS, obj)
    assert after["metadata"]["generation"] == 2
    assert int(after["metadata"]["resourceVersion"]) > int(obj["metadata"]["resourceVersion"])


async def test_a_label_change_leaves_generation(store: Store, boat: JsonObject) -> None:
    obj = await store.create(BOATS, boat)
    obj["metadata"]["labels"] = {"wood": "oak"}
    assert (await store.update(BOATS, obj))["metadata"]["generation"] == 1


async def test_an_update_that_changes_nothing_writes_nothing(
    store: Store, boat: JsonObject
) -> None:
    obj = await store.create(BOATS, boat)
    assert await store.update(BOATS, obj) == obj
    del obj["metadata"]["resourceVersion"]
    same = await store.update(BOATS, {**obj, "status": {"ignored": 1}})
    assert same["metadata"]["resourceVersion"] == (await store.list(BOATS)).resource_version


async def test_an_update_of_an_older_version_conflicts(store: Store, boat: JsonObject) -> None:
    old = await store.create(BOATS, boat)
    await store.update(BOATS, {**copy.deepcopy(old), "spec": {"oars": 3}})
    with pytest.raises(Conflict, match="the object has been modified; please apply"):
        await store.update(BOATS, {**old, "spec": {"oars": 4}})


async def test_an_update_without_version_overwrites(store: Store, boat: JsonObject) -> None:
    await store.create(BOATS, boat)
    after = await store.update(BOATS, {**boat, "spec": {"oars": 9}})
    assert after["spec"] == {"oars": 9}
    assert after["metadata"]["uid"]


async def test_an_update_of_another_uid_conflicts(store: Store, boat: JsonObject) -> None:
    await store.create(BOATS, boat)
    boat["metadata"]["uid"] = "another"
    with pytest.raises(Conflict, match="Precondition failed: UID in precondition: another"):
        await store.update(BOATS, boat)


async def test_an_update_of_what_is_not_there_is_not_found(store: Store, boat: JsonObject) -> None:
    with pytest.raises(NotFound, match=r'sampans\.boats\.dev "mei" not found'):
        await store.update(BOATS, boat)


async def test_status_and_spec_are_written_through_their_own_doors(
    store: Store, boat: JsonObject
) -> None:
    obj = await store.create(BOATS, boat)
    obj |= {"spec": {"oars": 100}, "status": {"afloat": True}}
    obj["metadata"]["labels"] = {"sneaked": "in"}
    after = await store.update_status(BOATS, obj)
    assert after["status"] == {"afloat": True}
    assert after["spec"] == {"oars": 2}
    assert after["metadata"]["labels"] == {"wood": "teak"}
    assert after["metadata"]["generation"] == 1
    kept = await store.update(BOATS, {**after, "spec": {"oars": 3}, "status": {"afloat": False}})
    assert kept["status"] == {"afloat": True}


async def test_a_kind_without_status_subresource_has_no_such_door(store: Store) -> None:
    plain = {"metadata": {"name": "a", "namespace": "b"}, "data": {"x": "1"}}
    await store.create("configmaps", plain)
    with pytest.raises(NotFound, match="no status subresource"):
        await store.update_status("configmaps", plain)


async def test_a_delete_without_finalizers_removes(store: Store, boat: JsonObject) -> None:
    made = await store.create(BOATS, boat)
    last = await store.delete(MEI)
    assert int(last["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    with pytest.raises(NotFound):
        await store.get(MEI)
    with pytest.raises(NotFound):
        await store.delete(MEI)


async def test_finalizers_hold_an_object_until_the_last_is_gone(
    store: Store, boat: JsonObject
) -> None:
    boat["metadata"]["finalizers"] = ["a", "b"]
    await store.create(BOATS, boat)
    marked = await store.delete(MEI)
    assert marked["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:20Z"
    assert await store.delete(MEI) == marked, "a second delete changes nothing"
    marked["metadata"]["finalizers"] = ["b"]
    held = await store.update(BOATS, marked)
    held["metadata"]["finalizers"] = []
    await store.update(BOATS, held)
    with pytest.raises(NotFound):
        await store.get(MEI)


async def test_no_finalizer_joins_an_object_that_is_being_deleted(
    store: Store, boat: JsonObject
) -> None:
    boat["metadata"]["finalizers"] = ["a"]
    await store.create(BOATS, boat)
    marked = await store.delete(MEI)
    marked["metadata"]["finalizers"] = ["a", "late"]
    with pytest.raises(Invalid, match="no new finalizers can be added"):
        await store.update(BOATS, marked)


async def test_deletion_cannot_be_taken_back(store: Store, boat: JsonObject) -> None:
    boat["metadata"]["finalizers"] = ["a"]
    await store.create(BOATS, boat)
    marked = await store.delete(MEI)
    stamp = marked["metadata"].pop("deletionTimestamp")
    marked["spec"] = {"oars": 7}
    assert (await store.update(BOATS, marked))["metadata"]["deletionTimestamp"] == stamp


@pytest.mark.parametrize("precondition", [{"uid": "other"}, {"resource_version": "999999"}])
async def test_a_delete_insists_on_its_preconditions(
    store: Store, boat: JsonObject, precondition: dict[str, str]
) -> None:
    made = await store.create(BOATS, boat)
    with pytest.raises(Conflict, match="Precondition failed"):
        await store.delete(MEI, Preconditions(**precondition))
    uid, version = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    await store.delete(MEI, Preconditions(uid, version))


async def test_a_dry_run_answers_as_the_write_would_and_writes_nothing(
    store: Store, boat: JsonObject
) -> None:
    dry = await store.create(BOATS, boat, dry_run=True)
    assert dry["metadata"]["uid"]
    assert (await store.list(BOATS)).items == []
    made = await store.create(BOATS, boat)
    made["spec"] = {"oars": 5}
    assert (await store.update(BOATS, made, dry_run=True))["metadata"]["generation"] == 2
    await store.update_status(BOATS, {**made, "status": {"a": 1}}, dry_run=True)
    await store.delete(MEI, dry_run=True)
    assert (await store.get(MEI))["spec"] == {"oars": 2}
    with pytest.raises(AlreadyExists):
        await store.create(BOATS, boat, dry_run=True)


async def test_objects_handed_out_are_the_callers_own(store: Store, boat: JsonObject) -> None:
    made = await store.create(BOATS, boat)
    made["spec"]["oars"] = 99
    boat["spec"]["oars"] = 98
    first = await store.get(MEI)
    first["spec"]["oars"] = 97
    (await store.list(BOATS)).items[0]["spec"]["oars"] = 96
    assert (await store.get(MEI))["spec"] == {"oars": 2}


async def test_of_writers_at_once_with_one_version_exactly_one_wins(
    store: Store, boat: JsonObject
) -> None:
    made = await store.create(BOATS, boat)
    writes = [store.update(BOATS, {**made, "spec": {"oars": n}}) for n in range(10, 30)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    won = [r for r in results if not isinstance(r, BaseException)]
    assert len(won) == 1
    assert sum(isinstance(r, Conflict) for r in results) == 19
    assert await store.get(MEI) == won[0]


async def test_a_caller_that_gives_up_does_not_stop_the_others(
    store: Store, boat: JsonObject
) -> None:
    plain = [{**boat, "metadata": {"name": f"b{n}", "namespace": "canton"}} for n in range(10)]
    tasks = [asyncio.create_task(store.create(BOATS, obj)) for obj in plain]
    await asyncio.sleep(0)
    tasks[0].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(d, dict) for d in done) == 9


async def test_a_closed_store_takes_no_writes(store: Store, boat: JsonObject) -> None:
    await store.close()
    with pytest.raises(Exception, match="the store is closed"):
        await store.create(BOATS, boat)


async def test_an_unknown_resource_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match='no resource "junks" is served here'):
        await store.list("junks")
