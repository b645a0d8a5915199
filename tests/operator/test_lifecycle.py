"""The operator that runs, beside a real KServe, after each step of a service's or graph's life.

Objects and settled status are compared. A difference of objects must be allowed by a rule of the
renderer's differences.yaml or by one of LIVE, one of statuses by a row of STATUS_RULES.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.operator.knative_story import KnativeStoryPlayers
from tests.operator.story import NAMESPACE, Teller
from tests.operator.test_golden import compare, shown, shown_status
from tests.operator.virtual_cluster import virtual_cluster
from tests.operator.virtual_time import run_virtually
from tests.platforms.kubernetes.recorded_differences import Difference, differences, rules

from sampan.machinery.errors import NotFound
from sampan.operator.cluster import RESOURCES
from sampan.operator.finalizing import TRAINED_MODELS
from sampan.platforms.kubernetes.modelconfig import MODELS_KEY

SET_UPS = ("standard-gateway", "standard-ingress", "knative")
GRAPHS = r"(27\S*|\S+-graph)"

ON_ITS_WAY = (
    r"(01-storage-uri-changed [24]|02-canary-promoted [26]|02b-canary-100 1"
    r"|04-revision-fails [2468]|06b-stop-canary-transformer 1|11-logger-batcher 3"
    r"|17-update-fails-\S+ 1|21-deployment-mode-changed [458]|22-serving-runtime 2"
    r"|22b-runtime-auto-selected [24])"
)
"""Steps in which a Knative Service has a revision that is not ready yet."""

# Where a status is not KServe's, and why: path, story and step (whole matches).
STATUS_RULES: tuple[tuple[str, str, str], ...] = (
    ("observedGeneration", ".*", "KServe writes its Deployment's; here it is the service's own"),
    (
        r"deploymentMode|conditions\.(Stopped|ConfigurationsReady|RoutesReady)\.severity",
        rf"{GRAPHS} \d+",
        "a graph says how it is run, and which of its conditions Ready is not made of",
    ),
    (
        r"conditions\.Ready\..*|url",
        rf"{GRAPHS} [0-9]",
        "a graph is Ready, and has an address, once its router can be reached; in KServe before",
    ),
    (".*", r"30-config-\S+ 2", "a configuration that changes reaches what is there at once"),
    (
        r"(components|conditions)\.([eE]xplainer|[tT]ransformer)(ConfigurationReady|Routes?Ready|Ready|)",
        "09-explainer-added-removed [56]",
        "what is removed from the spec goes from the status too",
    ),
    (
        r"modelStatus\.(states\..*|transitionStatus)",
        r"09-explainer-added-removed [13]|(15b-stop-canary-transformer [34]|06b-\S+ 5)",
        "a model that is loaded is told to be, whatever the components around it are",
    ),
    (
        r"modelStatus\.lastFailureInfo\.message|conditions\.(Predictor)?Ready\.(reason|message)",
        r"22-serving-runtime \d",
        "why nothing runs is told in the conditions too, with the value and the mend",
    ),
    (r"modelStatus\..*", "22-serving-runtime [78]", "a runtime that is deleted is missed at once"),
    (
        ".*",
        "22b-runtime-auto-selected 1",
        "a runtime that would now be selected is, at once",
    ),
    (
        r"conditions\..*",
        "16b-keda 4",
        "KServe's ScaledObject has no trigger and is refused; here CPU is measured as by an HPA",
    ),
    (
        r"modelStatus\..*|modelStatus",
        r"17-(update-)?fails-oom \d|17-fails-(crashloop|error|oom-crashloop) 1",
        "out of memory is a failure, and a pod that ends is noticed at once",
    ),
    (
        r"modelStatus\..*",
        "17-fails-init-crashloop 3",
        "a download that runs again is on its way again",
    ),
    (r"modelStatus\.copies\..*", "24b-removed-by-hand 1", "pods that went with it do not count"),
    (
        r"modelStatus\.(states\.targetModelState|transitionStatus)",
        ON_ITS_WAY,
        "in Knative mode a new revision on its way is Pending; KServe tells of the one before",
    ),
    (
        r"modelStatus\..*",
        r"07-scaling-fields 9|17-serving-pod-crashes [136]",
        "pods that go, fail or come back are noticed at once",
    ),
    (
        r"conditions\.IngressReady",
        "06c-created-stopped 0",
        "every condition is there from the first status on",
    ),
)
# The same for objects, beside the rules of the renderer's: kind/name and path.
LIVE: tuple[tuple[str, str, str], ...] = (
    (".*", r"30-config-\S+ 2", "a configuration that changes reaches what is there at once"),
    (
        "KnativeService/g ",
        "27-graph 4",
        "a graph goes on at once when its services are there; KServe tries again later",
    ),
    (
        "HorizontalPodAutoscaler/m-predictor ",
        "24b-removed-by-hand [56]",
        "what is deleted by hand is made again at once, whatever its kind",
    ),
    ("HorizontalPodAutoscaler/g ", "27-graph 8", "a stopped graph has nothing to scale"),
)


def stories(folder: Path, set_up: str) -> list[Path]:
    return sorted((folder / "lifecycle" / set_up).glob("*.json"))


def in_order(obj: dict[str, Any]) -> dict[str, Any]:
    """An object as it is; KServe lists models in any order (a map's, in Go), here by name."""
    listed = (obj.get("data") or {}).get(MODELS_KEY)
    if listed is None:
        return obj
    entries = sorted(json.loads(listed), key=lambda entry: str(entry["modelName"]))
    text = json.dumps(entries, separators=(",", ":"))
    return {**obj, "data": {**obj["data"], MODELS_KEY: text}}


class Picture:
    """What KServe had made by a step, and the status that it had written."""

    def __init__(self) -> None:
        self.there: dict[tuple[str, str, str], dict[str, Any]] = {}

    def take(self, step: dict[str, Any]) -> None:
        for obj in step.get("objects", ()):
            self.there[obj["apiVersion"], obj["kind"], obj["metadata"]["name"]] = in_order(obj)
        for kind, name in step.get("gone", ()):
            for key in [k for k in self.there if k[1:] == (kind, name)]:
                del self.there[key]


async def told_by(path: Path, data: dict[str, str], installed: list[Any]) -> list[str]:
    """Tell a life; return every difference that nothing lists."""
    async with virtual_cluster(make_players=KnativeStoryPlayers) as cluster:
        teller, picture, left = Teller(cluster, path, data), Picture(), []
        await teller.begin(*installed)
        await cluster.start_operator()
        first = teller.steps[0]["do"]["object"]
        main = next(
            (s["do"]["object"] for s in teller.steps if _is_main(s, path)), first
        )  # the resource whose status is recorded
        for number, step in enumerate(teller.steps):
            await teller.tell(step)
            picture.take(step)
            at = f"{path.stem} {number}"
            if step.get("resourceGone"):
                break
            ours = [shown(o) for o in await cluster.children(NAMESPACE)]
            found = differences(at, ours, list(picture.there.values()))
            left += [str(d) for d in found if not _is_listed(d)]
            if step.get("status"):
                left += await _status_differences(cluster, main, at, step["status"])
            for other, told in (step.get("also") or {}).items():
                kind, name = other.split("/")
                if kind == "InferenceService" and told.get("status"):
                    named = {"kind": kind, "metadata": {"name": name}}
                    left += await _status_differences(cluster, named, at, told["status"])
                elif kind == "TrainedModel":
                    left += await _model_differences(cluster, name, at, told)
        return left


def _is_main(step: dict[str, Any], path: Path) -> bool:
    kind = (step["do"].get("object") or {}).get("kind")
    return kind == ("InferenceGraph" if _is_graph(path) else "InferenceService")


def _is_graph(path: Path) -> bool:
    return path.stem.startswith("27") or path.stem.endswith("-graph")


def _is_listed(difference: Difference) -> bool:
    where = f"{difference.kind}/{difference.name} {difference.path}"
    live = any(re.fullmatch(p, where) and re.fullmatch(n, difference.sample) for p, n, _ in LIVE)
    return live or any(rule.allows(difference) for rule in rules())


async def _status_differences(
    cluster: Any, main: dict[str, Any], at: str, theirs: dict[str, Any]
) -> list[str]:
    kind = next(r for r in RESOURCES if r.kind == main["kind"])
    try:
        found = await cluster.get(kind, NAMESPACE, main["metadata"]["name"])
    except NotFound:
        return [f"{at}: there is no {main['kind']}"]
    ours = shown_status(found.get("status") or {})
    return [
        f"{at}: status {path}\n    Sampan: {a!r}\n    KServe: {b!r}"
        for path, a, b in compare(ours, shown_status(theirs))
        if not any(re.fullmatch(p, path) and re.fullmatch(n, at) for p, n, _ in STATUS_RULES)
    ]


async def _model_differences(cluster: Any, name: str, at: str, theirs: dict[str, Any]) -> list[str]:
    """What is said of a TrainedModel, and the marks that it bears."""
    try:
        found = await cluster.get(RESOURCES.get(TRAINED_MODELS), NAMESPACE, name)
    except NotFound:
        return [] if theirs.get("gone") else [f'{at}: there is no TrainedModel "{name}"']
    if theirs.get("gone"):
        return [f'{at}: TrainedModel "{name}" has not gone']
    marks = {k: found["metadata"].get(k) for k in ("labels", "finalizers") if k in theirs}
    wrong = [
        f"{at}: {k} of {name}: {v!r}, not {theirs[k]!r}" for k, v in marks.items() if v != theirs[k]
    ]
    named = {"kind": "TrainedModel", "metadata": {"name": name}}
    return wrong + await _status_differences(cluster, named, at, theirs["status"])


@pytest.mark.slow
@pytest.mark.parametrize("set_up", SET_UPS)
def test_after_each_step_objects_and_status_are_kserve_s(set_up: str, golden_folder: Path) -> None:
    folder = golden_folder / "installed"
    data = json.loads((folder / f"inferenceservice-config.{set_up}.json").read_text())
    installed = [json.loads(p.read_text()) for p in sorted(folder.glob("cluster*.json"))]
    paths = stories(golden_folder, set_up)
    assert len(paths) >= 45
    left = [d for p in paths for d in run_virtually(told_by(p, data, installed))]
    assert not left, f"{len(left)} differences that nothing lists:\n" + "\n".join(left)
