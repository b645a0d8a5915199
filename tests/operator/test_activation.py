"""What an activator of a cluster does when things go another way than they should."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from tests.operator.activation_stage import SPACE, Stage, stage
from tests.operator.played_cluster import until

from sampan.app.activator_metrics import Counts, render_activation
from sampan.machinery.errors import Conflict
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, ENDPOINT_SLICES
from sampan.platforms.kubernetes.serverless import TERMS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def here(whole: Stage) -> AsyncIterator[Stage]:
    """It decides, and the API server answers, whatever the test before has left."""
    if whole.leading is None:
        await whole.lead()
    yield whole
    whole.scaled.away.clear()


async def test_who_asks_what_sleeps_is_answered_by_the_pod_that_comes_and_told_what_it_took(
    here: Stage,
) -> None:
    name = await here.deploy("sleeper")
    asked = here.ask(await here.door(name))
    await here.wait_replicas(name, 1)
    await here.show(name)
    answer = await asked
    assert answer.status_code == 200
    assert "load;dur=" in answer.headers["server-timing"]
    told = "\n".join(render_activation(here.activation, Counts(True, 0, 0)))
    assert 'sampan_cold_start_seconds_count{phase="load"}' in told
    await here.told("SuccessfulRescale", f'New size of "{name}": 1; reason: ')


async def test_a_size_that_is_refused_keeps_no_other_from_waking_and_is_tried_again(
    here: Stage,
) -> None:
    refused, other = await here.deploy("a-refused"), await here.deploy("b-other")
    here.scaled.away.add(refused)
    asked = [here.ask(await here.door(name)) for name in (refused, other)]
    await here.wait_replicas(other, 1)
    await here.told("FailedRescale", "etcdserver: request timed out")
    assert (await here.deployment(refused))["spec"]["replicas"] == 0
    assert "request timed out" in await here.activation._reason(f"{SPACE}/{refused}")
    here.scaled.away.clear()
    await here.wait_replicas(refused, 1)
    for name in (refused, other):
        await here.show(name)
    assert [(await task).status_code for task in asked] == [200, 200]


def _delete(_: JsonObject) -> None:
    """As it is."""


def _leave_the_class(obj: JsonObject) -> None:
    obj["metadata"]["labels"].pop("serving.sampan.dev/autoscaler")


def _begin_to_go(obj: JsonObject) -> None:
    obj["metadata"]["finalizers"] = ["tests.sampan.dev/kept"]


@pytest.mark.parametrize(
    ("name", "change", "delete"),
    [
        pytest.param("deleted", _delete, True, id="that is deleted"),
        pytest.param("leaving", _begin_to_go, True, id="that is on its way out"),
        pytest.param("left", _leave_the_class, False, id="of another autoscaler class"),
    ],
)
async def test_who_waits_for_a_service_is_told_at_once(
    here: Stage, name: str, change: Callable[[JsonObject], None], delete: bool
) -> None:
    own = await here.deploy(name)
    asked = here.ask(await here.door(own))
    await here.waiting(own)
    await here.change(own, change)
    if delete:
        await here.played.store.delete(Key(DEPLOYMENTS.id, SPACE, own))
    answer = await asked
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "deleted or stopped, or has another autoscaler class" in answer.json()["error"]


async def test_a_number_that_somebody_else_writes_is_not_kept_and_an_event_says_why(
    here: Stage,
) -> None:
    name = await here.deploy("edited", replicas=1, minReplicas=1)
    await here.show(name)

    async def agreed() -> bool:
        return here.activation._agreed.get(f"{SPACE}/{name}") == 1

    await until(agreed, 60)
    await here.change(name, lambda obj: obj["spec"].update(replicas=5))
    await here.wait_replicas(name, 1)
    await here.told("ChildCorrected", "somebody asked for 5 replicas, and it gets 1 again")


async def test_one_that_somebody_wakes_by_hand_stays_for_a_while(here: Stage) -> None:
    name = await here.deploy("woken")

    async def agreed() -> bool:
        return here.activation._agreed.get(f"{SPACE}/{name}") == 0

    await until(agreed, 60)
    await here.change(name, lambda obj: obj["spec"].update(replicas=1))
    await here.show(name)
    assert (await here.ask(await here.door(name))).status_code == 200
    assert (await here.deployment(name))["spec"]["replicas"] == 1


async def test_terms_that_nobody_can_read_change_nothing_and_are_told(
    here: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    name = await here.deploy("garbled", replicas=1, minReplicas=1)
    await here.show(name)
    door = await here.door(name)
    caplog.set_level(logging.ERROR)
    await here.change(name, lambda obj: obj["metadata"]["annotations"].update({TERMS: "{"}))

    async def told() -> bool:
        return f'"{SPACE}/{name}" cannot be read' in caplog.text

    await until(told, 60)
    assert (await here.ask(door)).status_code == 200
    assert await here.door(name) == door
    told_numbers = "\n".join(render_activation(here.activation, Counts(True, 0, 0)))
    assert "sampan_activator_unreadable 1.0" in told_numbers
    await here.played.store.delete(Key(DEPLOYMENTS.id, SPACE, name))


async def test_who_wakes_a_transformer_wakes_its_predictor_beside_it(here: Stage) -> None:
    predictor = await here.deploy("pair")
    transformer = await here.deploy("pair", component="transformer")
    alone = await here.deploy("pairless")
    asked = here.ask(await here.door(transformer))
    for name in (transformer, predictor):
        await here.wait_replicas(name, 1)
    await here.show(transformer)
    assert (await asked).status_code == 200
    assert (await here.deployment(alone))["spec"]["replicas"] == 0


async def test_one_that_does_not_decide_wakes_all_the_same_also_when_it_cannot_at_first(
    here: Stage,
) -> None:
    name = await here.deploy("lonely")
    door = await here.door(name)
    await here.lead(leads=False)
    here.scaled.away.add(name)
    asked = here.ask(door)
    await here.waiting(name)
    here.scaled.away.clear()
    await here.wait_replicas(name, 1)
    await here.show(name)
    assert (await asked).status_code == 200


async def test_while_the_api_server_is_away_who_is_awake_is_answered_and_who_sleeps_waits(
    here: Stage,
) -> None:
    awake, sleeper = await here.deploy("awake", 1, minReplicas=1), await here.deploy("waits")
    await here.show(awake)
    doors = [await here.door(name) for name in (awake, sleeper)]
    assert (await here.ask(doors[0])).status_code == 200
    here.scaled.away.add("")
    await here.lead(leads=False)  # the lease has run out
    asked = here.ask(doors[1])
    await here.waiting(sleeper)
    for _ in range(3):
        assert (await here.ask(doors[0])).status_code == 200
    assert not asked.done()
    here.scaled.away.clear()
    await here.lead()
    await here.wait_replicas(sleeper, 1)
    await here.show(sleeper)
    assert (await asked).status_code == 200


async def test_a_new_template_is_tried_though_nobody_asks_for_it(here: Stage) -> None:
    name = await here.deploy("renewed")

    async def known() -> bool:
        return here.activation._agreed.get(f"{SPACE}/{name}") == 0

    await until(known, 60)
    image = {"name": "kserve-container", "image": "another"}
    await here.change(name, lambda o: o["spec"]["template"]["spec"].update(containers=[image]))
    await here.wait_replicas(name, 1)


async def test_a_minimum_that_is_raised_wakes_what_sleeps(here: Stage) -> None:
    name = await here.deploy("raised")
    terms = json.loads((await here.deployment(name))["metadata"]["annotations"][TERMS])
    more = json.dumps(terms | {"minReplicas": 2, "maxReplicas": 3})
    await here.change(name, lambda obj: obj["metadata"]["annotations"].update({TERMS: more}))
    await here.wait_replicas(name, 2)


async def test_less_is_never_written_over_what_has_changed_since(here: Stage) -> None:
    name = await here.deploy("stale", replicas=2, minReplicas=2, maxReplicas=3)
    seen = here.activation._served[f"{SPACE}/{name}"]
    await here.change(name, lambda obj: obj["metadata"]["annotations"].update(note="later"))
    with pytest.raises(Conflict):
        await here.activation.cluster.write_scale(seen, 0, as_seen=True)
    assert (await here.deployment(name))["spec"]["replicas"] == 2


async def test_a_door_stays_whoever_writes_its_slice(here: Stage) -> None:
    name, other = await here.deploy("m-owner", 1), await here.deploy("a-thief", 1)
    doors = [await here.door(each) for each in (name, other)]
    stolen = await here.slice_of(other)
    stolen["ports"][0]["port"] = int(doors[0].rpartition(":")[2])
    await here.played.store.update(ENDPOINT_SLICES.id, stolen)

    async def taken_back() -> bool:
        return await here.door(other) != doors[0]

    await until(taken_back, 60)
    assert await here.door(name) == doors[0]
    await here.played.store.delete(Key(ENDPOINT_SLICES.id, SPACE, f"{name}-activator"))
    assert await here.door(name) == doors[0]


async def test_pods_that_end_are_not_asked_and_requests_wait_for_the_next(here: Stage) -> None:
    name = await here.deploy("moving", replicas=1, minReplicas=1)
    door = await here.door(name)
    await here.show(name)
    assert (await here.ask(door)).status_code == 200
    await here.show(name, ready=False, serving=True, terminating=True)

    async def known() -> bool:
        reach = here.activation.activator._reach[f"{SPACE}/{name}"]
        return not reach.endpoints and here.activation.activator.is_held(f"{SPACE}/{name}")

    await until(known, 60)
    asked = here.ask(door)
    await here.waiting(name)
    await here.show(name)
    assert (await asked).status_code == 200


async def test_no_request_comes_between_the_last_pod_and_the_wait_for_the_next(
    here: Stage,
) -> None:
    name = await here.deploy("changing", replicas=1, minReplicas=1)
    door = await here.door(name)
    await here.show(name)
    stop = asyncio.Event()

    async def keep_asking() -> list[int]:
        found = []
        while not stop.is_set():
            found.append((await here.ask(door)).status_code)
        return found

    asking = [asyncio.create_task(keep_asking()) for _ in range(3)]
    for ready in (False, True) * 4:
        await asyncio.sleep(0.2)
        await here.show(name, ready=ready, serving=True, terminating=not ready)
    stop.set()
    assert {code for codes in await asyncio.gather(*asking) for code in codes} == {200}
