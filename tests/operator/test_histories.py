"""Random histories: edits, deletions, hand-edits, kills, cuts and refusals end as was asked for.

At the end of each history everything that is left is Ready, nothing belongs to what is gone, no
object is there twice, and another operator finds nothing to write. `SAMPAN_SEED` plays one again.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map
from tests.operator.played_cluster import PlayedCluster, is_ready, played_cluster, rested, until

from sampan.apiserver.messages import Reply, Request, make_error
from sampan.machinery.errors import AlreadyExists, ApiError, Conflict, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.operator.operator import Operator
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
NAMES = ("one", "two", "three")
STOP = "serving.kserve.io/stop"
LENGTH = 14


class Busy(ApiError):
    code, reason = 503, "ServiceUnavailable"


class History:
    """One cluster, and what happens to it."""

    def __init__(self, cluster: PlayedCluster, seed: int) -> None:
        self.cluster = cluster
        self.draw = random.Random(seed)
        self.operator: Operator | None = None
        self.number = 0

    async def play(self) -> None:
        """Let things happen, faster than an operator looks."""
        happenings: tuple[Callable[[], Awaitable[None]], ...] = (
            self.create, self.create, self.edit, self.edit, self.toggle, self.delete,
            self.spoil_child, self.delete_child, self.kill, self.cut, self.refuse, self.wait,
        )  # fmt: skip
        self.operator = await self.cluster.start_operator()
        for _ in range(LENGTH):
            with suppress(NotFound, AlreadyExists, Conflict):
                await self.draw.choice(happenings)()
            await asyncio.sleep(self.draw.choice((0, 0, 0.02, 0.1)))
        self.cluster.door.fault = None

    async def create(self) -> None:
        made = {**IRIS, "metadata": {"name": self.draw.choice(NAMES), "namespace": "ml"}}
        with suppress(AssertionError):  # it is there
            await self.cluster.create(made)

    async def edit(self) -> None:
        self.number += 1
        image = f"server:{self.number}"

        def change(obj: JsonObject) -> None:
            obj["spec"]["predictor"]["model"]["image"] = image

        await self._change(change)

    async def toggle(self) -> None:
        def change(obj: JsonObject) -> None:
            annotations = obj["metadata"].setdefault("annotations", {})
            if annotations.pop(STOP, None) is None:
                annotations[STOP] = "true"

        await self._change(change)

    async def _change(self, change: Callable[[JsonObject], None]) -> None:
        found = await self.cluster.get(SERVICES, "ml", self.draw.choice(NAMES))
        change(found)
        found["metadata"].pop("resourceVersion")
        await self.cluster.store.update(SERVICES.id, found)

    async def delete(self) -> None:
        await self.cluster.store.delete(Key(SERVICES.id, "ml", self.draw.choice(NAMES)))

    async def spoil_child(self) -> None:
        name = f"{self.draw.choice(NAMES)}-predictor"
        found = await self.cluster.get(DEPLOYMENTS, "ml", name)
        found["spec"]["template"]["spec"]["containers"][0]["image"] = "spoilt"
        with suppress(AssertionError):  # somebody wrote in between
            await self.cluster.send("PUT", DEPLOYMENTS, found, manager="hand")

    async def delete_child(self) -> None:
        children = await self.cluster.children("ml")
        if children:
            child = self.draw.choice(children)
            resource = RESOURCES.for_object(child)
            assert resource is not None
            await self.cluster.store.delete(Key(resource.id, "ml", child["metadata"]["name"]))

    async def kill(self) -> None:
        assert self.operator is not None
        await self.cluster.kill_operator(self.operator)
        self.operator = await self.cluster.start_operator(f"op-{self.number}")

    async def cut(self) -> None:
        self.cluster.cut_connections()

    async def refuse(self) -> None:
        left = self.draw.randint(1, 4)

        async def fault(request: Request) -> Reply | None:
            nonlocal left
            if left > 0 and "leases" not in request.path:
                left -= 1
                return make_error(Busy("not now"))
            return None

        self.cluster.door.fault = fault

    async def wait(self) -> None:
        await asyncio.sleep(0.2)

    async def ends_as_asked(self) -> bool:
        """Whether what is there is what the services that are left ask for."""
        services = (await self.cluster.store.list(SERVICES.id, "ml")).items
        children = await self.cluster.children("ml")
        owners = {s["metadata"]["uid"]: s for s in services}
        found: dict[str, int] = dict.fromkeys(owners, 0)
        for child in children:
            uid = child["metadata"]["ownerReferences"][0]["uid"]
            if uid not in owners or "spoilt" in str(child.get("spec")):
                return False
            found[uid] += 1
        return all(self._is_as_asked(owners[uid], count) for uid, count in found.items())

    @staticmethod
    def _is_as_asked(service: JsonObject, children: int) -> bool:
        if service["metadata"].get("deletionTimestamp"):
            return False
        if (service["metadata"].get("annotations") or {}).get(STOP) == "true":
            return children == 0
        return children == 5 and is_ready(service)


async def check(folder: Path, seed: int) -> None:
    async with played_cluster(folder) as cluster:
        await cluster.create(config_map(CONFIG), RUNTIME)
        history = History(cluster, seed)
        await history.play()
        await until(history.ends_as_asked, 60, lambda: f"SAMPAN_SEED={seed}")
        await rested(cluster, 0.5)
        await cluster.stop_operators()
        cluster.door.forget()
        await cluster.start_operator("last")
        await rested(cluster, 0.5)
        assert not cluster.door.writes, f"SAMPAN_SEED={seed}: {dict(cluster.door.writes)}"
        assert await history.ends_as_asked(), f"SAMPAN_SEED={seed}"


async def test_a_history_ends_as_was_asked_for(tmp_path):
    await check(tmp_path, int(os.environ.get("SAMPAN_SEED", "1")))


@pytest.mark.slow
async def test_some_histories_end_as_was_asked_for(tmp_path_factory):
    for seed in range(100, 108):
        await check(tmp_path_factory.mktemp("history"), seed)


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_a_thousand_histories_end_as_was_asked_for(tmp_path_factory):
    for seed in range(1000, 2000):
        await check(tmp_path_factory.mktemp("history"), seed)
