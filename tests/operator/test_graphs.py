"""InferenceGraphs on a cluster: KServe's objects, and Ready only while every step is."""

from __future__ import annotations

import json
import re

import pytest
from tests.operator.conftest import config_map
from tests.operator.played_cluster import (
    PlayedCluster,
    conditions_of,
    is_ready,
    played_cluster,
    rested,
    until,
)
from tests.operator.test_golden import moved, named, shown, shown_status
from tests.platforms.kubernetes.recorded_differences import compare, differences

from sampan.operator.cluster import RESOURCES

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
GRAPHS = RESOURCES.get("inferencegraphs.serving.kserve.io")

# A step of it leads to a node that it does not have: told here; in KServe each request fails.
NO_WAY = "conditional-routing-pipeline"

GRAPH = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "InferenceGraph",
    "metadata": {"name": "chain", "namespace": "ml"},
    "spec": {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceName": "iris"}]}}},
}


async def graph_is_ready(cluster: PlayedCluster):
    found = await cluster.get(GRAPHS, "ml", "chain")
    return found if is_ready(found) else None


async def told(cluster: PlayedCluster, reason: str):
    found = conditions_of(await cluster.get(GRAPHS, "ml", "chain"))
    return found.get("Ready", {}).get("reason") == reason and found["Ready"]


async def test_a_graph_waits_for_its_services_and_becomes_ready_with_them(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(GRAPH)
    waits = await until(lambda: told(cluster, "GraphStepNotReady"))
    assert '"iris", which does not exist' in waits["message"]
    await cluster.create(make_service())
    graph = await until(lambda: graph_is_ready(cluster))
    assert graph["status"]["url"] == "http://chain-ml.example.com"


async def test_a_graph_is_not_ready_while_a_service_of_it_is_not(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service(), GRAPH)
    await until(lambda: graph_is_ready(cluster))
    service = await cluster.get(SERVICES, "ml", "iris")
    service["metadata"]["annotations"]["serving.kserve.io/stop"] = "true"
    await cluster.send("PUT", SERVICES, service)
    await until(lambda: told(cluster, "GraphStepNotReady"))


async def test_a_graph_that_is_stopped_has_no_objects(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service(), GRAPH)
    graph = await until(lambda: graph_is_ready(cluster))
    graph["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    await cluster.send("PUT", GRAPHS, graph)

    async def stopped():
        left = [o for o in await cluster.children("ml") if o["metadata"]["name"] == "chain"]
        return not left and await told(cluster, "Stopped")

    await until(stopped)


async def test_looking_again_at_a_graph_that_rests_makes_no_call(cluster, make_service):
    operator = await cluster.start_operator()
    await cluster.create(make_service(), GRAPH)
    await until(lambda: graph_is_ready(cluster))
    await rested(cluster)
    cluster.door.forget()
    operator.work.add_all()
    await rested(cluster)
    assert cluster.door.log == []


@pytest.mark.parametrize(
    "set_up",
    [
        "standard-gateway",
        pytest.param("standard-ingress", marks=pytest.mark.slow),
        pytest.param("knative", marks=pytest.mark.slow),
    ],
)
async def test_each_sample_is_made_of_kserve_s_objects(set_up, tmp_path, golden_folder):
    data = json.loads(
        (golden_folder / "installed" / f"inferenceservice-config.{set_up}.json").read_text()
    )
    installed = [
        json.loads(p.read_text()) for p in sorted((golden_folder / "installed").glob("cluster*"))
    ]
    recordings = [
        json.loads(p.read_text()) for p in sorted((golden_folder / set_up).glob("inferencegraph-*"))
    ]
    recordings = [r for r in recordings if r["admission"]["allowed"]]
    async with played_cluster(tmp_path) as cluster:
        await cluster.create(config_map(data), *installed)
        await cluster.start_operator()
        for number, recording in enumerate(recordings):
            place = named(number)
            for service in recording["ready"]["services"]:
                await cluster.create(moved(plain(service), "golden", place))
            await cluster.create(moved(recording["defaulted"], "golden", place))
        assert len(recordings) == 5
        for number, recording in enumerate(recordings):
            await same(cluster, named(number), recording)


def plain(service) -> dict:
    name = service if isinstance(service, str) else service["metadata"]["name"]
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://b/m"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "golden"},
        "spec": {"predictor": {"model": model}},
    }


async def same(cluster: PlayedCluster, place: str, recording) -> None:
    name = recording["defaulted"]["metadata"]["name"]

    async def settled():
        found = await cluster.get(GRAPHS, place, name)
        reason = conditions_of(found).get("Ready", {}).get("reason")
        return (is_ready(found) or reason == "InvalidGraph") and found

    graph = await until(settled)
    if name == NO_WAY:
        assert conditions_of(graph)["Ready"]["reason"] == "InvalidGraph"
        return
    children = await cluster.children(place)
    ours = [o for o in children if o["metadata"]["ownerReferences"][0]["kind"] == "InferenceGraph"]
    ours = moved([shown(o) for o in ours], place, "golden")
    assert list(differences(name, ours, recording["ready"]["objects"])) == []
    status = shown_status(moved(graph["status"], place, "golden"))
    told = compare(status, shown_status(recording["ready"]["status"]))
    # KServe keeps the mode of a service in its status and forgets that of a graph; severities are
    # of a service's conditions there, of every one here.
    own = r"deploymentMode|observedGeneration|conditions\.\w+\.severity"
    assert [d for d in told if not re.fullmatch(own, d[0])] == []
