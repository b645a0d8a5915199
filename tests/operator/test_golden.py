"""The real operator beside a real KServe: the same objects and statuses for each of its samples.

Every sample of a set-up lives in a namespace of its own, all at once. Two pictures are compared:
while nothing is ready, and once everything is. A difference of objects must be allowed by a rule of
the renderer's differences.yaml, one of statuses by a row here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.operator.conftest import config_map
from tests.operator.played_cluster import PlayedCluster, played_cluster, rested
from tests.platforms.kubernetes.recorded_differences import compare, differences, rules
from tests.platforms.kubernetes.test_golden import read_recordings, whole_picture

from sampan.operator.cluster import RESOURCES
from sampan.operator.election import ElectionTimes

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
SET_UPS = ("standard-gateway", "standard-ingress", "knative")
SERVER_SIDE = (
    "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "finalizers",
)  # fmt: skip

# Where a status is not KServe's, and why: path, sample (whole matches).
STATUS_RULES = (
    ("observedGeneration", ".*", "KServe writes its Deployment's; here it is the service's own"),
    (
        r"conditions\.(Predictor)?Ready\.(reason|message)|modelStatus\..*|clusterServingRuntimeName",
        ".*-(bloom-560m|iris-model-0a5831|llama3-multinode-mp|transformer-collocation-runtime).*",
        "why nothing runs is told in the conditions too, with the value and the mend",
    ),
    (
        ".*",
        ".*-(availability-mode-model-82f928|resource-aware-example-589f14)",
        "KServe's Deployment is refused for a number that is written as a text; here it is made",
    ),
    (
        ".*",
        ".*-sklearn-driver-transformer-4cd83b",
        "ModelMesh with a transformer: KServe says nothing until ModelMesh has",
    ),
    (
        r"modelStatus\..*",
        ".*-(autogluon-ts-forecast-0f937d|configmap-defaults-example-d25612)",
        "recorded before the pod was there; two recordings of them differ in this",
    ),
    (
        ".*",
        ".*-flowers-f413ef",
        "the played API server takes a probe of port 0; a real one does not",
    ),
)


def named(number: int) -> str:
    return f"n{number:05d}"  # as long as "golden": hosts have a longest length


def moved(value: Any, before: str, after: str) -> Any:
    return json.loads(json.dumps(value).replace(before, after))


def shown(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in SERVER_SIDE}
    owners = metadata.get("ownerReferences", ())
    metadata["ownerReferences"] = [{k: v for k, v in o.items() if k != "uid"} for o in owners]
    return {k: v for k, v in {**obj, "metadata": metadata}.items() if k != "status"}


def shown_status(status: dict[str, Any]) -> dict[str, Any]:
    """Without times; conditions by type, so that each differs at a path of its own."""
    conditions = {
        c["type"]: {k: v for k, v in c.items() if k not in ("lastTransitionTime", "type")}
        for c in status.get("conditions", ())
    }
    found = {**status, "conditions": conditions}
    return json.loads(re.sub(r', "time": "[^"]*"', "", json.dumps(found)))


NOT_AVAILABLE = {"type": "Available", "status": "False"}


def _played(condition: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions of a Deployment by which a service says what was recorded."""
    if condition.get("reason") == "FailedCreate":
        failed = {**condition, "type": "ReplicaFailure", "status": "True"}
        return [NOT_AVAILABLE, failed]
    return []


class Gallery:
    """A cluster in which all samples of a set-up live, in a namespace each."""

    def __init__(self, cluster: PlayedCluster, recordings: dict[str, Any], set_up: str) -> None:
        self.cluster = cluster
        self.set_up = set_up
        self.recordings = recordings
        self.places = {name: named(i) for i, name in enumerate(recordings)}

    async def fill(self) -> None:
        for name, recording in self.recordings.items():
            service = moved(recording["defaulted"], "golden", self.places[name])
            service.pop("status", None)
            await self.cluster.create(service)

    def refuse(self) -> None:
        """Hold back the pods that a webhook or nobody let run where KServe was recorded."""
        for name, recording in self.recordings.items():
            status = recording.get("ready", recording)["status"]
            service = recording["defaulted"]["metadata"]["name"]
            for condition in status.get("conditions", ()):
                if condition["type"] == "PredictorReady" and condition["status"] != "True":
                    place = self.places[name], f"{service}-predictor"
                    self.cluster.players.refused[place] = _played(condition)

    async def objects(self, name: str) -> list[dict[str, Any]]:
        found = await self.cluster.children(self.places[name])
        return moved([shown(o) for o in found], self.places[name], "golden")

    async def service(self, name: str) -> dict[str, Any]:
        wanted = self.recordings[name]["defaulted"]["metadata"]["name"]
        found = await self.cluster.get(SERVICES, self.places[name], wanted)
        return moved(found, self.places[name], "golden")

    async def unlisted(self, picture: str) -> list[str]:
        """Every difference of a picture that nothing lists."""
        found: list[str] = []
        listed = rules()
        for name, recording in self.recordings.items():
            if picture == "first":
                theirs, status = recording["objects"], recording["status"]
            elif "ready" in recording:
                theirs, status = whole_picture(recording), recording["ready"]["status"]
            else:
                continue
            ours = await self.objects(name)
            found += [
                str(d)
                for d in differences(name, ours, theirs)
                if not any(rule.allows(d) for rule in listed)
            ]
            found += await self._unlisted_status(name, status)
        return found

    async def _unlisted_status(self, name: str, theirs: dict[str, Any]) -> list[str]:
        ours = shown_status((await self.service(name)).get("status") or {})
        return [
            f"{name}: status {path}\n    Sampan: {a!r}\n    KServe: {b!r}"
            for path, a, b in compare(ours, shown_status(theirs))
            if not any(re.fullmatch(p, path) and re.fullmatch(n, name) for p, n, _ in STATUS_RULES)
        ]


async def gallery(folder: Path, golden: Path, set_up: str, names: frozenset[str] | None = None):
    recordings = read_recordings(golden / set_up)
    kept = {n: r for n, r in recordings.items() if names is None or n in names}
    data = json.loads((golden / "installed" / f"inferenceservice-config.{set_up}.json").read_text())
    installed = [
        json.loads(p.read_text()) for p in sorted((golden / "installed").glob("cluster*.json"))
    ]
    async with played_cluster(folder, held=True) as cluster:
        await cluster.create(config_map(data), *installed)
        await cluster.start_operator(
            times=ElectionTimes()
        )  # nobody else: no haste on a busy machine
        shown = Gallery(cluster, kept, set_up)
        shown.refuse()
        await shown.fill()
        yield shown


async def agreed(shown: Gallery, picture: str) -> list[str]:
    """Wait until nothing changes any more; return what does not agree with KServe's picture."""
    left: list[str] = []
    for _ in range(60):  # the operator may be quiet while what is played has much to say
        await rested(shown.cluster, 1.0)
        left = await shown.unlisted(picture)
        if not left:
            break
    return left


@pytest.mark.slow
@pytest.mark.parametrize("set_up", SET_UPS)
async def test_every_sample_is_made_of_kserve_s_objects(set_up, tmp_path, golden_folder):
    async for shown in gallery(tmp_path, golden_folder, set_up):
        left = await agreed(shown, "first")
        assert not left, f"{len(left)} differences:\n" + "\n".join(left)
        await shown.cluster.players.let_go()
        left = await agreed(shown, "ready")
        assert not left, f"{len(left)} differences:\n" + "\n".join(left)
