"""A cluster is given back: nothing of ours stays, no pod starts anew, and it can be taken again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.migration.test_check import load_recordings, look_at, restarting, take_over
from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map, golden_folder  # noqa: F401  # a fixture
from tests.operator.played_cluster import PlayedCluster, played_cluster, until
from tests.operator.test_takeover import EVERYDAY, NEW_REVISION, managers, templates

from sampan.cli.handover import connect_cluster
from sampan.machinery.clock import SystemClock
from sampan.migration.handover import Handover
from sampan.migration.report import render_text
from sampan.operator.cluster import RESOURCES
from sampan.platforms.kubernetes.children import MANAGER

DEPLOYMENTS = RESOURCES.get("deployments.apps")


async def hand_over(cluster: PlayedCluster, *, dry: bool = False) -> list[str]:
    store = connect_cluster(cluster.kubeconfig, "")
    try:
        return [text async for text in Handover(store, SystemClock(), "kserve", dry).apply()]
    finally:
        await store.close()


async def specs(cluster: PlayedCluster) -> dict[Any, Any]:
    found = {}
    for namespace in [
        n["metadata"]["name"] for n in (await cluster.store.list("namespaces")).items
    ]:
        for child in await cluster.children(namespace):
            found[child["kind"], namespace, child["metadata"]["name"]] = child.get("spec")
    return found


def deployment(name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "c", "image": "none"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "kserve"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels}, "template": template,
        },
    }  # fmt: skip


@pytest.mark.slow
async def test_a_recorded_installation_is_given_back_as_it_was(tmp_path, golden_folder):  # noqa: F811  # the fixture
    async with played_cluster(tmp_path) as cluster:
        ready = await load_recordings(cluster, golden_folder, "standard-gateway", EVERYDAY)
        at_first = await templates(cluster)
        await take_over(cluster, ready)
        held = await specs(cluster)
        told = await hand_over(cluster)
        assert await templates(cluster) == at_first
        assert await specs(cluster) == held
        for namespace in {place for _, place, _ in held}:
            for child in await cluster.children(namespace):
                assert MANAGER not in {name for name, _ in managers(child)}
        assert len([text for text in told if "given back" in text]) == len(held)
        again = await look_at(cluster)
        assert not restarting(again)


async def test_the_operator_stops_first_and_kserve_s_starts_last(tmp_path):
    async with played_cluster(tmp_path) as cluster:
        await cluster.create(config_map(CONFIG), RUNTIME, IRIS)
        await take_over(cluster, ["iris"])
        await cluster.create(deployment("sampan-operator", 2))
        await cluster.create(deployment("kserve-controller-manager", 0))
        told = await hand_over(cluster)
        assert told[0].startswith('Deployment "sampan-operator"')
        assert told[-1] == 'Deployment "kserve-controller-manager": scaled to one'
        for name, replicas in (("sampan-operator", 0), ("kserve-controller-manager", 1)):
            found = await cluster.get(DEPLOYMENTS, "kserve", name)
            assert found["spec"]["replicas"] == replicas
        repeated = await hand_over(cluster)
        assert not [text for text in repeated if "given back" in text]


async def test_a_dry_run_tells_the_steps_and_writes_nothing(tmp_path):
    async with played_cluster(tmp_path) as cluster:
        await cluster.create(config_map(CONFIG), RUNTIME, IRIS)
        await take_over(cluster, ["iris"])
        cluster.door.forget()
        told = await hand_over(cluster, dry=True)
        assert any("given back" in text for text in told)
        assert not cluster.door.writes


@pytest.mark.slow
async def test_while_an_operator_acts_nothing_is_given_back(tmp_path):
    async with played_cluster(tmp_path) as cluster:
        await cluster.create(config_map(CONFIG), RUNTIME, IRIS)
        await take_over(cluster, ["iris"])
        operator = await cluster.start_operator("two")
        await until(lambda: asyncio.sleep(0, operator.election.leading))
        working = asyncio.create_task(hand_over(cluster))
        await asyncio.sleep(2)
        [child, *_] = await cluster.children("ml")
        assert MANAGER in {name for name, _ in managers(child)}
        await cluster.stop_operators()
        assert any("given back" in text for text in await asyncio.wait_for(working, 60))


@pytest.mark.slow
@pytest.mark.parametrize("set_up", ["standard-ingress", "knative"])
async def test_every_recorded_installation_is_looked_at_taken_over_and_given_back(
    tmp_path,
    golden_folder,  # noqa: F811  # the fixture
    set_up,
):
    async with played_cluster(tmp_path) as cluster:
        ready = await load_recordings(cluster, golden_folder, set_up, None)
        before = await look_at(cluster)
        assert restarting(before) <= NEW_REVISION, render_text(before)
        assert not cluster.door.writes, "a look writes nothing"
        await take_over(cluster, ready)
        after = await look_at(cluster)
        assert not restarting(after), render_text(after)
        held = await templates(cluster)
        await hand_over(cluster)
        assert await templates(cluster) == held
