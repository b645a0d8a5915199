"""Lists: order, selection, and pages that agree on one version."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.machinery.errors import BadRequest, Expired
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, ListOptions, Page, Store, StoreLimits

MAPS = "configmaps"


async def fill(store: Store, count: int = 6) -> None:
    for n in reversed(range(count)):
        labels = {"parity": "even" if n % 2 == 0 else "odd", "n": str(n)}
        metadata = {"name": f"m{n}", "namespace": "ab"[n % 2], "labels": labels}
        await store.create(MAPS, {"metadata": metadata})


def names(page: Page) -> list[str]:
    return [f"{o['metadata']['namespace']}/{o['metadata']['name']}" for o in page.items]


async def test_lists_are_sorted_by_namespace_and_name(store: Store) -> None:
    await fill(store)
    assert names(await store.list(MAPS)) == ["a/m0", "a/m2", "a/m4", "b/m1", "b/m3", "b/m5"]
    assert names(await store.list(MAPS, "b")) == ["b/m1", "b/m3", "b/m5"]


async def test_the_version_of_a_list_is_the_newest_write(store: Store) -> None:
    empty = await store.list(MAPS)
    assert empty.resource_version not in ("", "0")
    made = await store.create(MAPS, {"metadata": {"name": "x", "namespace": "a"}})
    assert (await store.list(MAPS)).resource_version == made["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ListOptions(label_selector="parity=odd"), ["b/m1", "b/m3", "b/m5"]),
        (ListOptions(label_selector="parity=odd,n in (1,5)"), ["b/m1", "b/m5"]),
        (ListOptions(label_selector="!parity"), []),
        (ListOptions(field_selector="metadata.name=m2"), ["a/m2"]),
        (ListOptions(field_selector="metadata.namespace!=a"), ["b/m1", "b/m3", "b/m5"]),
        (ListOptions(label_selector="parity=odd", field_selector="metadata.name=m2"), []),
    ],
)
async def test_selectors_select(store: Store, options: ListOptions, expected: list[str]) -> None:
    await fill(store)
    assert names(await store.list(MAPS, options=options)) == expected


async def test_events_are_selected_by_what_they_are_about(store: Store) -> None:
    event: dict[str, Any] = {
        "metadata": {"name": "e", "namespace": "a"},
        "involvedObject": {"kind": "Sampan", "name": "mei"},
        "reason": "Sunk",
        "type": "Warning",
    }
    await store.create("events", event)
    selector = "involvedObject.name=mei,involvedObject.kind=Sampan,reason!=Built,type=Warning"
    assert (
        len((await store.list("events", options=ListOptions(field_selector=selector))).items) == 1
    )
    with pytest.raises(BadRequest, match=r'field label not supported: "spec\.x"'):
        await store.list("events", options=ListOptions(field_selector="spec.x=1"))


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6, 7])
async def test_pages_together_are_the_list(store: Store, limit: int) -> None:
    await fill(store)
    page = await store.list(MAPS, options=ListOptions(limit=limit))
    found = names(page)
    while page.continue_token:
        assert page.remaining == 6 - len(found)
        options = ListOptions(limit=limit, continue_token=page.continue_token)
        page = await store.list(MAPS, options=options)
        found += names(page)
    assert found == names(await store.list(MAPS))


async def test_later_pages_show_the_store_as_the_first_did(store: Store) -> None:
    await fill(store)
    first = await store.list(MAPS, options=ListOptions(limit=2))
    await store.delete(Key(MAPS, "b", "m3"))
    await store.create(MAPS, {"metadata": {"name": "m9", "namespace": "b"}})
    changed: JsonObject = await store.get(Key(MAPS, "b", "m5"))
    await store.update(MAPS, {**changed, "data": {"new": "1"}})
    rest = await store.list(MAPS, options=ListOptions(continue_token=first.continue_token))
    assert names(rest) == ["a/m4", "b/m1", "b/m3", "b/m5"]
    assert "data" not in rest.items[-1]
    assert rest.resource_version == first.resource_version


async def test_a_continue_token_of_a_version_no_longer_kept_is_expired(make_store: Any) -> None:
    store = make_store(StoreLimits(events=10))
    await fill(store)
    first = await store.list(MAPS, options=ListOptions(limit=2))
    for n in range(30):
        await store.create(MAPS, {"metadata": {"name": f"x{n}", "namespace": "c"}})
    with pytest.raises(Expired, match="continue parameter is too old"):
        await store.list(MAPS, options=ListOptions(continue_token=first.continue_token))


@pytest.mark.parametrize("token", ["nonsense", "e30", "WzEsMiwzXQ", "!!!"])
async def test_a_garbled_continue_token_is_a_bad_request(store: Store, token: str) -> None:
    with pytest.raises(BadRequest, match="continue key is not valid"):
        await store.list(MAPS, options=ListOptions(continue_token=token))
