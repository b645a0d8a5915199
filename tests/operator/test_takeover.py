"""A cluster that KServe's controller ran is taken over: no pod starts anew."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.operator.conftest import config_map
from tests.operator.played_cluster import PlayedCluster, is_ready, played_cluster, rested, until
from tests.operator.test_golden import named
from tests.platforms.kubernetes.test_golden import read_recordings, whole_picture

from sampan.operator.cluster import RESOURCES
from sampan.operator.election import ElectionTimes
from sampan.platforms.kubernetes.children import FORMER_MANAGERS, MANAGER
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, KNATIVE_SERVICES

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
KSERVE = "manager"
PATIENT = ElectionTimes(lease=30, deadline=20, retry=0.1)
"""A busy machine loses no lease."""
EVERYDAY = (
    "inferenceservice-sklearn-iris-0a7425",
    "inferenceservice-torch-transformer-45ed75",
    "inferenceservice-sklearn-iris-hpa-7a4258",
    "inferenceservice-pytorch-batcher-a6d9a0",
    "inferenceservice-housing-125806",
)
# Upstream's Deployment was refused, or never settled: there is nothing to take over.
UNSETTLED = (
    "inferenceservice-availability-mode-model-82f928",
    "inferenceservice-resource-aware-example-589f14",
    "inferenceservice-flowers-f413ef",
    "inferenceservice-huggingface-llama3-5ce4f4",
)
# Knative drops the old name `serviceAccount`, so that pods run as another account than asked for:
# written by its new name it makes a revision (differences.yaml).
NEW_REVISION = {"tensorflow-pod-overrides-predictor"}


async def load(cluster: PlayedCluster, recording: dict[str, Any], place: str) -> None:
    """Put a recorded service and its objects there, as KServe's controller had made them."""
    text = json.dumps(
        [recording["defaulted"], recording["ready"]["status"], whole_picture(recording)]
    )
    service, status, children = json.loads(text.replace("golden", place))
    service["metadata"]["finalizers"] = ["inferenceservice.finalizers"]
    await cluster.create(service)
    made = await cluster.get(SERVICES, place, service["metadata"]["name"])
    await cluster.store.update_status(SERVICES.id, {**made, "status": dated(status)})
    for child in children:
        for owner in child["metadata"]["ownerReferences"]:
            owner["uid"] = made["metadata"]["uid"]
        resource = RESOURCES.for_object(child)
        assert resource is not None, child
        await cluster.send("POST", resource, child, manager=KSERVE)


def dated(status: dict[str, Any]) -> dict[str, Any]:
    told = [{**c, "lastTransitionTime": "2026-01-01T00:00:00Z"} for c in status["conditions"]]
    return {**status, "conditions": told}


async def templates(cluster: PlayedCluster) -> dict[tuple[str, str, str], Any]:
    """The pod template and generation of everything that runs pods."""
    found = {}
    for kind in (DEPLOYMENTS, KNATIVE_SERVICES):
        for obj in (await cluster.store.list(kind.id)).items:
            meta = obj["metadata"]
            found[kind.id, meta["namespace"], meta["name"]] = obj["spec"]["template"]
    return found


def managers(obj: dict[str, Any]) -> set[tuple[str, str]]:
    entries = obj["metadata"].get("managedFields", ())
    return {(e["manager"], e["operation"]) for e in entries if not e.get("subresource")}


async def take_over(tmp_path, golden, set_up: str, names: tuple[str, ...] | None) -> None:
    recordings = {
        name: recording
        for name, recording in read_recordings(golden / set_up).items()
        if (names is None or name in names) and name not in UNSETTLED and recording.get("ready")
    }
    data = json.loads((golden / "installed" / f"inferenceservice-config.{set_up}.json").read_text())
    installed = [json.loads(p.read_text()) for p in sorted((golden / "installed").glob("cluster*"))]
    async with played_cluster(tmp_path) as cluster:
        await cluster.create(config_map(data), *installed)
        for number, recording in enumerate(recordings.values()):
            await load(cluster, recording, named(number))
        before = await templates(cluster)
        assert before
        await cluster.start_operator(times=PATIENT)

        async def every_one_ready():
            services = (await cluster.store.list(SERVICES.id)).items
            return all(is_ready(s) for s in services if s["metadata"]["name"] in wanted)

        wanted = {
            r["defaulted"]["metadata"]["name"]
            for r in recordings.values()
            if is_ready({"status": r["ready"]["status"]})
        }
        await until(every_one_ready, 60)
        await rested(cluster, 1.0)
        after = await templates(cluster)
        changed = {key for key in before if after[key] != before[key]}
        assert {name for _, _, name in changed} <= NEW_REVISION
        for number in range(len(recordings)):
            for child in await cluster.children(named(number)):
                who = managers(child)
                assert (MANAGER, "Apply") in who, child["metadata"]["name"]
                assert not {name for name, _ in who} & FORMER_MANAGERS, child["metadata"]["name"]
        await cluster.stop_operators()
        cluster.door.forget()
        await cluster.start_operator("two", PATIENT)
        await rested(cluster, 1.0)
        assert not cluster.door.writes


async def test_no_pod_starts_anew(tmp_path, golden_folder):
    await take_over(tmp_path, golden_folder, "standard-gateway", EVERYDAY)


@pytest.mark.slow
@pytest.mark.parametrize("set_up", ["standard-gateway", "standard-ingress", "knative"])
async def test_no_pod_of_any_sample_starts_anew(set_up, tmp_path, golden_folder):
    await take_over(tmp_path, golden_folder, set_up, None)
