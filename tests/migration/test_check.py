"""What a take-over would change, asked of recorded installations before and after it happens."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map, golden_folder  # noqa: F401  # a fixture
from tests.operator.played_cluster import PlayedCluster, is_ready, played_cluster, rested, until
from tests.operator.test_golden import named
from tests.operator.test_takeover import (
    EVERYDAY,
    NEW_REVISION,
    PATIENT,
    SERVICES,
    UNSETTLED,
    load,
    managers,
)
from tests.platforms.kubernetes.test_golden import read_recordings

from sampan.app.cluster_effects import cluster_warnings
from sampan.migration.check import Report, check
from sampan.migration.compare import compare_child, find_changes
from sampan.migration.recorded import RecordedConnection
from sampan.migration.report import render_json, render_text
from sampan.migration.survey import gather_survey
from sampan.operator.cluster import RESOURCES, SELECTORS
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.connection import connect
from sampan.platforms.kubernetes.children import MANAGER


async def look(store: ClusterStore) -> Report:
    return await check(await gather_survey(store, "kserve"), cluster_warnings, 0.0)


async def look_at(cluster: PlayedCluster) -> Report:
    store = ClusterStore(connect(cluster.kubeconfig), RESOURCES, SELECTORS)
    try:
        return await look(store)
    finally:
        await store.close()


async def load_recordings(cluster: PlayedCluster, golden, set_up: str, names) -> list[str]:
    """Put recorded services there as KServe left them; return the names of those that are Ready."""
    path = golden / "installed" / f"inferenceservice-config.{set_up}.json"
    installed = [json.loads(p.read_text()) for p in sorted((golden / "installed").glob("cluster*"))]
    await cluster.create(config_map(json.loads(path.read_text())), *installed)
    found = read_recordings(golden / set_up).items()
    chosen = [
        r
        for name, r in found
        if (names is None or name in names) and name not in UNSETTLED and r.get("ready")
    ]
    for number, recording in enumerate(chosen):
        await load(cluster, recording, named(number))
    return [
        r["defaulted"]["metadata"]["name"]
        for r in chosen
        if is_ready({"status": r["ready"]["status"]})
    ]


async def take_over(cluster: PlayedCluster, wanted: list[str]) -> None:
    await cluster.start_operator(times=PATIENT)

    async def every_one_ready() -> bool:
        services = (await cluster.store.list(SERVICES.id)).items
        if not all(is_ready(s) for s in services if s["metadata"]["name"] in wanted):
            return False
        places = {s["metadata"]["namespace"] for s in services}
        found = [child for place in places for child in await cluster.children(place)]
        return all((MANAGER, "Apply") in managers(child) for child in found)

    await until(every_one_ready, 120)
    await rested(cluster, 1.0)
    await cluster.stop_operators()


def restarting(report: Report) -> set[str]:
    return {c.name for o in report.owners for c in o.children if c.restarts}


async def compare_sides(tmp_path, golden, set_up: str, names) -> None:
    async with played_cluster(tmp_path) as cluster:
        ready = await load_recordings(cluster, golden, set_up, names)
        before = await look_at(cluster)
        assert restarting(before) <= NEW_REVISION, render_text(before)
        assert not cluster.door.writes, "a check writes nothing"
        await take_over(cluster, ready)
        after = await look_at(cluster)
        assert not restarting(after), render_text(after)
        assert not [c for o in after.owners for c in o.children if c.state == "changed"]


async def test_a_recorded_installation_would_restart_no_pod(tmp_path, golden_folder):  # noqa: F811  # the fixture
    await compare_sides(tmp_path, golden_folder, "standard-gateway", EVERYDAY)


# -- from files --------------------------------------------------------------------------------


async def exported(tmp_path) -> list[dict[str, Any]]:
    """A service and its objects as `kubectl get -o yaml` would give them."""
    async with played_cluster(tmp_path) as cluster:
        await cluster.create(config_map(CONFIG), RUNTIME, IRIS)
        await take_over(cluster, ["iris"])
        service = await cluster.get(SERVICES, "ml", "iris")
        return [config_map(CONFIG), RUNTIME, service, *await cluster.children("ml")]


async def look_at_files(objects: list[dict[str, Any]]) -> Report:
    return await look(ClusterStore(RecordedConnection(objects, RESOURCES), RESOURCES))


async def test_files_are_read_as_a_cluster_is_and_each_change_is_told(tmp_path):
    objects = await exported(tmp_path)
    same = await look_at_files(objects)
    assert same.clean, render_text(same)

    changed = copy.deepcopy(objects)
    [deployment] = [o for o in changed if o["kind"] == "Deployment"]
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "mine:1"
    [service] = [o for o in changed if o["kind"] == "Service"]
    changed.remove(service)
    report = await look_at_files(changed)
    assert report.restarts == 1
    text = render_text(report)
    path = "spec.template.spec.containers[kserve-container].image"
    assert f'{path}: "mine:1" becomes "kserve/sklearnserver:latest"' in text
    assert f"Service {service['metadata']['name']}: created" in text
    told = render_json(report)
    assert (told["clean"], told["restarts"]) == (False, 1)
    json.dumps(told)


async def test_what_stands_in_the_way_is_told_with_its_mend(tmp_path):
    objects = await exported(tmp_path)
    controller = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "kserve-controller-manager", "namespace": "kserve"},
        "spec": {"replicas": 1},
    }
    # Of what no service controls the operator keeps the name alone: that it is there is enough.
    report = await look_at_files([*objects, controller])
    assert not report.clean
    assert "scale deployment/kserve-controller-manager --replicas=0" in render_text(report)


async def test_a_service_that_nobody_can_run_is_left_as_it_is(tmp_path):
    objects = await exported(tmp_path)
    report = await look_at_files([o for o in objects if o["kind"] != RUNTIME["kind"]])
    [owner] = report.owners
    assert owner.blocked
    assert not owner.children
    assert "would be left as it is" in render_text(report)


@pytest.mark.parametrize(
    ("desired", "live", "paths"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, [], id="what the server adds is no change"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"], id="a value inside"),
        pytest.param({"a": [1, 2]}, {"a": [1]}, ["a"], id="a list of another length, whole"),
        pytest.param(
            {"containers": [{"name": "c", "image": "x"}]},
            {"containers": [{"name": "agent"}, {"name": "c", "image": "y"}]},
            ["containers[c].image"],
            id="items are found by their name",
        ),
    ],
)
def test_changes_are_named_by_their_path(desired, live, paths):
    assert [change.path for change in find_changes(desired, live)] == paths


def test_an_object_that_is_not_there_would_be_made():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    assert compare_child(service, None).state == "created"
