"""Certificates of one's own authorities lie in each namespace that has services."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map
from tests.operator.virtual_cluster import VirtualCluster, virtual_cluster
from tests.operator.virtual_time import run_virtually

from sampan.machinery.errors import NotFound
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.operator.remembered import KEPT_SECONDS

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
COPY = Key("configmaps", "ml", "global-ca-bundle")
SETTING = {"storageInitializer": json.dumps({"caBundleConfigMapName": "corp"})}


def tell(story: Callable[[VirtualCluster], Awaitable[Any]]) -> None:
    """Tell a story in a cluster whose configuration names the ConfigMap `corp`."""

    async def run() -> None:
        async with virtual_cluster() as cluster:
            await cluster.create(config_map({**CONFIG, **SETTING}), RUNTIME)
            await cluster.start_operator()
            await story(cluster)

    run_virtually(run())


def source(**data: str) -> dict[str, Any]:
    metadata = {"name": "corp", "namespace": "kserve"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def copied(cluster: VirtualCluster) -> dict[str, str] | None:
    try:
        found: dict[str, str] = (await cluster.store.get(COPY))["data"]
    except NotFound:
        return None
    return found


async def why(cluster: VirtualCluster) -> str:
    found = await cluster.get(SERVICES, "ml", "iris")
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((str(c.get("message", "")) for c in conditions if c["type"] == "Ready"), "")


def test_they_are_there_with_the_first_service_and_follow_the_original() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(source(**{"cabundle.crt": "one", "other": "x"}), IRIS)
        await cluster.settle()
        assert await copied(cluster) == {"cabundle.crt": "one"}
        assert "ownerReferences" not in (await cluster.store.get(COPY))["metadata"]
        found = await cluster.store.get(Key("configmaps", "kserve", "corp"))
        await cluster.store.update("configmaps", {**found, "data": {"cabundle.crt": "two"}})
        await cluster.settle()
        assert await copied(cluster) == {"cabundle.crt": "two"}

    tell(story)


def test_a_look_for_which_nothing_has_changed_does_not_ask_for_them() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(source(**{"cabundle.crt": "one"}), IRIS)
        await cluster.settle()
        (operator,) = cluster.wires
        for _ in range(2):  # what was read more than a minute ago is read once more
            cluster.door.forget()
            operator.work.add_all()
            await cluster.settle(1)
        assert cluster.door.log == []

    tell(story)


def test_a_copy_that_somebody_changed_is_put_right_by_the_first_look_after_a_minute() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(source(**{"cabundle.crt": "one"}), IRIS)
        await cluster.settle()
        found = await cluster.store.get(COPY)
        await cluster.store.update("configmaps", {**found, "data": {"cabundle.crt": "mine"}})
        await asyncio.sleep(KEPT_SECONDS + 1)
        (operator,) = cluster.wires
        operator.work.add_all()
        await cluster.settle()
        assert await copied(cluster) == {"cabundle.crt": "one"}

    tell(story)


def test_a_service_says_that_the_original_is_missing_or_empty_and_goes_on_once_it_is_there() -> (
    None
):
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(IRIS)
        await cluster.settle()
        assert 'caBundleConfigMapName is "corp", and the operator' in await why(cluster)
        await cluster.create(source(ca="x"))
        await cluster.settle()
        assert 'whose keys are "ca"; write the certificates under "cabundle.crt"' in await why(
            cluster
        )
        found = await cluster.store.get(Key("configmaps", "kserve", "corp"))
        await cluster.store.update("configmaps", {**found, "data": {"cabundle.crt": "one"}})
        await cluster.settle()
        assert await copied(cluster) == {"cabundle.crt": "one"}
        assert await why(cluster) == ""

    tell(story)


def test_in_the_operator_s_own_namespace_nothing_is_copied() -> None:
    async def story(cluster: VirtualCluster) -> None:
        at_home = {**IRIS, "metadata": {"name": "iris", "namespace": "kserve"}}
        await cluster.create(source(**{"cabundle.crt": "one"}), at_home)
        await cluster.settle()
        listed = (await cluster.store.list("configmaps", "kserve")).items
        assert {o["metadata"]["name"] for o in listed} == {"corp", "inferenceservice-config"}

    tell(story)
