"""An operator that dies at any of its calls: the next one ends at the same, and restarts no pod.

Each story is told once for each call that it takes, with the operator killed just before that call
arrives and just after it was answered; in virtual time, since there are many.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map
from tests.operator.history import pictured, told_status
from tests.operator.several_models import make_many, trained_model
from tests.operator.virtual_cluster import VirtualCluster, Wire, virtual_cluster
from tests.operator.virtual_time import run_virtually

from sampan.apiserver.messages import Request
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.operator.finalizing import TRAINED_MODELS

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
IRIS_KEY = Key(SERVICES.id, "ml", "iris")
MOST_CALLS = 60
"""More than any story takes: one that takes them all goes round in circles."""

NEVER = 0

Happens = Callable[[VirtualCluster], Awaitable[None]]


async def create(cluster: VirtualCluster) -> None:
    await cluster.create(json.loads(json.dumps(IRIS)))


async def change(cluster: VirtualCluster) -> None:
    found = await cluster.store.get(IRIS_KEY)
    found["spec"]["predictor"]["model"]["image"] = "server:2"
    await cluster.store.update(SERVICES.id, found)


async def stop(cluster: VirtualCluster) -> None:
    found = await cluster.store.get(IRIS_KEY)
    found["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    await cluster.store.update(SERVICES.id, found)


async def delete(cluster: VirtualCluster) -> None:
    await cluster.store.delete(IRIS_KEY)


async def create_many(cluster: VirtualCluster) -> None:
    await cluster.create(make_many(), trained_model("stays"))


async def add_model(cluster: VirtualCluster) -> None:
    await cluster.create(trained_model("comes"))


async def delete_model(cluster: VirtualCluster) -> None:
    await cluster.store.delete(Key(TRAINED_MODELS, "ml", "stays"))


STORIES: dict[str, tuple[Happens | None, Happens]] = {
    "a service is created": (None, create),
    "a service is changed": (create, change),
    "a service is stopped": (create, stop),
    "a service is deleted": (create, delete),
    "a model comes to a service of several": (create_many, add_model),
    "a model of several is deleted": (create_many, delete_model),
}


@dataclass
class Death:
    """Waits for a call of an operator; `met` once the story got there."""

    number: int
    arrives: bool
    met: bool = False

    def stand_at(self, wire: Wire, dies: asyncio.Event) -> None:
        calls = 0

        async def meet(request: Request) -> None:
            nonlocal calls
            if "leases" in request.path or request.query.get("watch"):
                return
            calls += 1
            if calls == self.number:
                self.met = wire.dead = True
                dies.set()

        if self.arrives:
            wire.after = meet
        else:
            wire.before = meet


async def tell(story: str, death: Death) -> tuple[Any, ...]:
    """Let it happen; return everything that is there at the end."""
    prepared, happens = STORIES[story]
    async with virtual_cluster() as cluster:
        await cluster.create(config_map(CONFIG), RUNTIME)
        one = await cluster.start_operator("one")
        await asyncio.sleep(5)
        if prepared is not None:
            await prepared(cluster)
            await cluster.settle()
        dies = asyncio.Event()
        death.stand_at(cluster.wires[one], dies)
        await happens(cluster)
        await asyncio.wait((asyncio.ensure_future(dies.wait()),), timeout=60)
        await cluster.kill_operator(one)
        await cluster.start_operator("two")
        await asyncio.sleep(120)
        return await picture(cluster)


async def picture(cluster: VirtualCluster) -> tuple[Any, ...]:
    """Objects, statuses, and how often each Deployment was written."""
    children = await cluster.children("ml")
    names = [(o["kind"], o["metadata"]["name"]) for o in children]
    assert len(names) == len(set(names))
    services: list[JsonObject] = (await cluster.store.list(SERVICES.id, "ml")).items
    services += (await cluster.store.list(TRAINED_MODELS, "ml")).items
    deployments = [o for o in children if o["kind"] == "Deployment"]
    generations = [o["metadata"]["generation"] for o in deployments]
    return pictured(children), [told_status(s) for s in services], generations


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("arrives", [False, True], ids=["before it arrives", "after its answer"])
@pytest.mark.parametrize("story", STORIES)
def test_whoever_dies_at_a_call_another_ends_at_the_same(story: str, arrives: bool) -> None:
    undisturbed = run_virtually(tell(story, Death(NEVER, arrives)))
    for number in range(1, MOST_CALLS):
        death = Death(number, arrives)
        assert run_virtually(tell(story, death)) == undisturbed, f"killed at call {number}"
        if not death.met:
            assert number > 1, "an operator that makes no call was not killed"
            return
    pytest.fail(f"{MOST_CALLS} calls and no end of it")
