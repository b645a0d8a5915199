"""Events: the same again counts, floods are damped, an hour later they are gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from sampan.machinery.events import COMBINED, EventLimits, EventRecorder
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import ListOptions, Store
from sampan.machinery.timestamps import rfc3339


@dataclass(frozen=True)
class Happened:
    type: str = "Normal"
    reason: str = "Launched"
    message: str = "the boat is afloat"


@pytest.fixture
async def boat(store: Store) -> JsonObject:
    obj = {"metadata": {"name": "mei", "namespace": "canton"}}
    return await store.create("sampans.boats.dev", obj)


@pytest.fixture
def recorder(store: Any, clock: Any) -> EventRecorder:
    return EventRecorder(store, clock, "harbour")


async def events(store: Store) -> list[JsonObject]:
    return (await store.list("events")).items


async def test_an_event_says_what_happened_to_whom(
    store: Store, recorder: EventRecorder, boat: JsonObject
) -> None:
    await recorder.record(boat, Happened())
    (event,) = await events(store)
    metadata = event.pop("metadata")
    assert metadata["namespace"] == "canton"
    assert metadata["name"].startswith("mei.")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "apiVersion": "boats.dev/v1",
            "kind": "Sampan",
            "namespace": "canton",
            "name": "mei",
            "uid": boat["metadata"]["uid"],
            "resourceVersion": boat["metadata"]["resourceVersion"],
        },
        "type": "Normal",
        "reason": "Launched",
        "message": "the boat is afloat",
        "source": {"component": "harbour"},
        "reportingComponent": "harbour",
        "reportingInstance": "",
        "firstTimestamp": "2023-11-14T22:13:20Z",
        "lastTimestamp": "2023-11-14T22:13:20Z",
        "count": 1,
    }


async def test_the_same_event_again_is_counted(
    store: Store, recorder: EventRecorder, boat: JsonObject, clock: Any
) -> None:
    for _ in range(3):
        await recorder.record(boat, Happened())
        await clock.advance(10)
    (event,) = await events(store)
    assert event["count"] == 3
    assert event["firstTimestamp"] == "2023-11-14T22:13:20Z"
    assert event["lastTimestamp"] == "2023-11-14T22:13:40Z"


async def test_different_events_are_told_apart_and_sort_by_time(
    store: Store, recorder: EventRecorder, boat: JsonObject
) -> None:
    for message in ("zulu", "alpha", "mike"):
        await recorder.record(boat, Happened(message=message))
    await recorder.record(boat, Happened("Warning", message="zulu"))
    found = [(e["type"], e["message"]) for e in await events(store)]
    expected = ["zulu", "alpha", "mike"]
    assert found == [*(("Normal", m) for m in expected), ("Warning", "zulu")]


async def test_while_the_clock_stands_still_no_two_events_have_one_name(
    store: Store, clock: Any, boat: JsonObject
) -> None:
    for number in range(3):  # as a component that is started again, or two of them, in one moment
        recorder = EventRecorder(store, clock, "harbour")
        await recorder.record(boat, Happened(message=f"wave {number}"))
        await recorder.record(boat, Happened(reason="Rocked", message=f"wave {number}"))
    told = sorted((e["reason"], e["message"]) for e in await events(store))
    assert told == [(r, f"wave {n}") for r in ("Launched", "Rocked") for n in range(3)]


async def test_many_messages_of_one_reason_are_combined(
    store: Store, recorder: EventRecorder, boat: JsonObject, clock: Any
) -> None:
    for n in range(14):
        await recorder.record(boat, Happened(message=f"leak {n}"))
    found = await events(store)
    assert len(found) == 11
    (combined,) = [e for e in found if e["message"].startswith(COMBINED)]
    assert combined["count"] == 4
    assert combined["message"] == COMBINED + "leak 13"
    await clock.advance(601)
    await recorder.record(boat, Happened(message="leak 99"))
    assert "leak 99" in [e["message"] for e in await events(store)], "a new window"


async def test_an_object_has_a_burst_then_one_event_each_five_minutes(
    store: Store, recorder: EventRecorder, boat: JsonObject, clock: Any
) -> None:
    for _ in range(40):
        await recorder.record(boat, Happened())
    assert (await events(store))[0]["count"] == 25
    await clock.advance(300)
    for _ in range(3):
        await recorder.record(boat, Happened())
    assert (await events(store))[0]["count"] == 26


async def test_a_noisy_object_does_not_silence_another(
    store: Store, recorder: EventRecorder, boat: JsonObject
) -> None:
    for _ in range(40):
        await recorder.record(boat, Happened())
    other = {**boat, "metadata": {**boat["metadata"], "name": "lin", "uid": "other"}}
    await recorder.record(other, Happened())
    options = ListOptions(field_selector="involvedObject.name=lin")
    assert len((await store.list("events", options=options)).items) == 1


async def test_an_event_that_was_swept_starts_anew(
    store: Store, recorder: EventRecorder, boat: JsonObject, clock: Any
) -> None:
    await recorder.record(boat, Happened())
    await clock.advance(1800)
    await recorder.record(boat, Happened("Warning", "Leak"))
    await clock.advance(1801)
    assert await recorder.sweep() == 1
    assert [e["reason"] for e in await events(store)] == ["Leak"]
    await recorder.record(boat, Happened())
    assert sorted(e["count"] for e in await events(store)) == [1, 1]


async def test_a_sweep_of_more_than_is_read_at_once_leaves_none_out(
    store: Store, recorder: EventRecorder, boat: JsonObject, clock: Any
) -> None:
    old = rfc3339(clock.now())
    for number in range(450):
        metadata = {"name": f"e{number:03d}", "namespace": "canton"}
        involved = {"kind": "Sampan", "name": "mei"}
        event = {"metadata": metadata, "involvedObject": involved, "lastTimestamp": old}
        await store.create("events", event)
    await clock.advance(3000)
    await recorder.record(boat, Happened())
    await clock.advance(601)
    assert await recorder.sweep() == 450
    assert [e["reason"] for e in await events(store)] == ["Launched"]


async def test_the_event_of_a_cluster_scoped_object_stands_in_default(
    store: Store, recorder: EventRecorder
) -> None:
    river = await store.create("namespaces", {"metadata": {"name": "river"}})
    await recorder.record(river, Happened())
    (event,) = await events(store)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


async def test_a_long_message_is_cut_and_says_so(
    store: Store, recorder: EventRecorder, boat: JsonObject
) -> None:
    await recorder.record(boat, Happened(message="x" * 5000))
    (event,) = await events(store)
    assert len(event["message"]) == 1024
    assert event["message"].endswith("xxx...")


async def test_a_store_that_refuses_costs_the_event_not_the_caller(
    store: Store, recorder: EventRecorder, boat: JsonObject, caplog: pytest.LogCaptureFixture
) -> None:
    await store.close()
    await recorder.record(boat, Happened())
    assert "is not recorded: the store is closed" in caplog.text


async def test_what_is_remembered_is_bounded(store: Any, clock: Any, boat: JsonObject) -> None:
    recorder = EventRecorder(store, clock, "harbour", EventLimits(remembered=2))
    for n in range(5):
        other = {**boat, "metadata": {**boat["metadata"], "uid": f"{n}"}}
        await recorder.record(other, Happened())
    assert len(await events(store)) == 5
    assert all(len(part._items) <= 2 for part in (recorder._names, recorder._free_at))
