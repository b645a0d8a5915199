"""The table of fields says the truth: what it calls honoured changes something, what not is named.

Each field of an InferenceService is set on a service that has what the field needs, and what is
planned here and rendered for a cluster is compared with the same service without it.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import importlib.util
import json
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sampan.api.inferenceservice.implementation import FORMATS
from sampan.app.bootstrap import CONFIGURATION
from sampan.app.lint_effects import KubernetesEffects, LocalEffects, _sources
from sampan.app.offline import render_offline
from sampan.app.offline_admission import judge
from sampan.controllers.gather import gather_for
from sampan.controllers.inferencegraph import gather_graph
from sampan.machinery.errors import Forbidden
from sampan.plan.build import build_plan
from sampan.plan.fields.paths import parts_of
from sampan.plan.fields.table import find_row
from sampan.plan.fields.verdicts import Honoured, Partly, Rejected, Warned, Where
from sampan.plan.graph_build import build_graph_plan
from sampan.platforms.kubernetes.pods.mutate import mutate_pod
from sampan.platforms.kubernetes.pods.settings import parse_pod_settings
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.platforms.local.image_table import read_image_table
from sampan.platforms.local.render import render

pytestmark = pytest.mark.slow
IMAGES = read_image_table(Path("/nonexistent"))
MODES = (("Standard", False), ("Standard", True), ("Knative", False))
"""Deployment mode, and whether routes are those of the Gateway API."""


def helper() -> ModuleType:
    path = Path(__file__).parents[1] / "plan" / "schema_leaves.py"
    spec = importlib.util.spec_from_file_location("schema_leaves", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["schema_leaves"] = module
    spec.loader.exec_module(module)
    return module


SAMPLES: dict[str, Any] = {
    "batchInterval": "5s",
    "canaryTrafficPercent": 10,
    "maxReplicas": 9,
    "minReplicas": 3,
    "mode": "response",
    "protocolVersion": "grpc-v1",
    "resourceId": "kbs:///a/b/c",
    "runtime": "nope",
    "scaleTarget": 77,
    "storageUri": "gs://b/other",
    "trafficPercent": 30,
    "uri": "gs://b/other",
    "mountPath": "/mnt/models/other",
    "url": "http://other",
    "backend": "graphite",
}
"""By field: a value unlike that of the base; of the others any of the type does."""

BY_PATH: dict[str, Any] = {
    "spec.predictor.model.storage.path": "a/b",
    "spec.predictor.autoScaling.metrics[].resource.name": "memory",
    "spec.canary[].predictor.minReplicas": 2,
}

NOT_TRIED = {
    # Held by the type of the metric: set with another type they are not read, as the row says.
    "autoScaling.metrics[].type": "the kind of the metric, which its own fields hang on",
    "target.type": "what the target is, on which its own fields hang",
    "target.value": "one of three by type",
    "target.averageValue": "one of three by type",
    "target.averageUtilization": "one of three by type",
    "podmetric.metric.backend": "has one value",
    "autoScaling.metrics[].external": "needs KEDA, which a laptop has not",
    "autoScaling.metrics[].podmetric": "needs KEDA, which a laptop has not",
}
"""By the end or a part of a path: why its effect cannot be seen by setting it alone."""


def sample(path: str, part: dict[str, Any]) -> Any:
    if path in BY_PATH:
        return BY_PATH[path]
    name = parts_of(path)[-1]
    if name in SAMPLES:
        return SAMPLES[name]
    if "enum" in part:
        return part["enum"][-1]
    return {"integer": 7, "boolean": True}.get(str(part.get("type")), "abc")


def base(path: str) -> dict[str, Any]:
    """Return a sound service that has what a field at this path needs."""
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://b/m"}
    predictor: dict[str, Any] = {"minReplicas": 2, "maxReplicas": 4, "model": model}
    spec: dict[str, Any] = {"predictor": predictor}
    parts = parts_of(path)
    if parts[1] == "transformer":
        container = {"name": "kserve-container", "image": "t", "command": ["t"]}
        spec["transformer"] = {"containers": [container], "minReplicas": 1, "maxReplicas": 4}
    elif parts[1] == "explainer":
        spec["explainer"] = {"art": {"type": "SquareAttack"}, "minReplicas": 1, "maxReplicas": 4}
    elif parts[1] == "canary":
        predictor["name"] = "stable"
        canary = {"name": "can", "model": copy.deepcopy(model)}
        spec["canary"] = [{"trafficPercent": 20, "predictor": canary}]
    target = spec["canary"][0]["predictor"] if parts[1] == "canary" else spec[parts[1]]
    _prepare(target, parts)
    if parts[1] == "predictor" and parts[2] == "sklearn":
        written = predictor.pop("model")
        predictor["sklearn"] = {k: v for k, v in written.items() if k != "modelFormat"}
    metadata: dict[str, Any] = {"name": "s", "namespace": "default"}
    if "workerSpec" in parts:
        predictor["model"]["storageUri"] = "pvc://claim/m"
        metadata["annotations"] = {"serving.kserve.io/autoscalerClass": "none"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": spec,
    }


def _prepare(component: dict[str, Any], parts: tuple[str, ...]) -> None:
    if "logger" in parts:
        storage: dict[str, Any] = {"path": "s3://b/p", "key": "k", "serviceAccountName": "a"}
        storage["parameters"] = {"format": "json"}
        component["logger"] = {"url": "http://l", "mode": "all", "storage": storage}
    if "batcher" in parts:
        component["batcher"] = {"maxBatchSize": 3}
    if "storageUris" in parts:
        component.get("model", {}).pop("storageUri", None)
        component["storageUris"] = [{"uri": "gs://b/m", "mountPath": "/mnt/models/m"}]
    if "storage" in parts and {"model", "sklearn"} & set(parts):
        del component["model"]["storageUri"]
        component["model"]["storage"] = {"path": "x", "key": "k"}
    if "resourceId" in parts:
        component["model"]["confidential"] = {"enabled": True}
    if "autoScaling" in parts:
        target = {"type": "Utilization", "averageUtilization": 50}
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
        component["autoScaling"] = {"metrics": [metric]}
        component["annotations"] = {"serving.kserve.io/autoscalerClass": "keda"}


def put(obj: Any, path: str, value: Any) -> None:
    parts = parts_of(path)
    for part, following in pairwise(parts):
        if part == "[]":
            if not obj:
                obj.append({})
            obj = obj[0]
        else:
            obj = obj.setdefault(part, [] if following == "[]" else {})
    last = parts[-1]
    if last == "[]":
        obj.append(value)
    else:
        obj["format" if last == "*" else last] = value


@cache
def planned(text: str) -> tuple[Any, ...]:
    """Return what is seen of a service on this machine: what is planned and rendered of it."""
    verdict = judge(json.loads(text), CONFIGURATION["data"])
    if verdict.obj is None or verdict.errors:
        return ("refused", verdict.errors)
    plan = asyncio.run(_plan(verdict.obj))
    seen = (plan.blocked, repr(plan.workloads), repr(plan.route), plan.labels)
    return (*seen, "" if plan.blocked else repr(render(plan, IMAGES())))


async def _plan(obj: dict[str, Any]) -> Any:
    async with _sources([obj], LocalEffects(IMAGES)) as sources:
        return build_plan(await gather_for(sources, obj))


INGRESS = {
    "ingressDomain": "x.y",
    "kserveIngressGateway": "a/b",
    "ingressGateway": "a/b",
    "localGateway": "a/b",
    "localGatewayService": "a.b",
    "knativeLocalGatewayService": "a.b",
}


@cache
def rendered(text: str, mode: str, gateway: bool) -> tuple[str, str]:
    """Return what is seen of a service on a cluster: its objects, and their pods as they start."""
    image = json.dumps({"image": "agent"})
    data = {
        "deploy": json.dumps({"defaultDeploymentMode": mode}),
        "ingress": json.dumps({**INGRESS, "enableGatewayApi": gateway}),
        "agent": image,
        "logger": image,
        "batcher": image,
        "storageInitializer": json.dumps({"image": "fetcher"}),
        "opentelemetryCollector": json.dumps({"scrapeInterval": "5s"}),
    }
    names = {"name": "inferenceservice-config", "namespace": "kserve"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": names, "data": data}
    service = json.loads(text)
    annotations = service["metadata"].setdefault("annotations", {})
    annotations["serving.kserve.io/deploymentMode"] = mode
    made = render_offline([config, service])
    entry = base64.b64encode(b'{"type": "s3", "bucket": "b"}').decode()
    secrets: dict[str, Any] = {"storage-config": {"data": {"k": entry, "abc": entry}}}
    secrets["keys"] = {"metadata": {"name": "keys"}, "data": {"HF_TOKEN": entry}}
    accounts: dict[str, Any] = {name: {"metadata": {"name": name}} for name in ("abc", "default")}
    accounts["a"] = {"metadata": {"name": "a"}, "secrets": [{"name": "keys"}]}
    around = Surroundings(parse_pod_settings(data), (), secrets, accounts, service=service)
    pods = [_pod(obj, around) for obj in made.objects if "template" in obj.get("spec", {})]
    mistakes = [m.text for m in made.mistakes]
    return json.dumps([made.objects, pods], sort_keys=True), "\n".join(mistakes)


def _pod(obj: dict[str, Any], around: Surroundings) -> Any:
    template = copy.deepcopy(obj["spec"]["template"])
    template["metadata"] = {"name": "p", "namespace": "default", **template["metadata"]}
    try:
        return mutate_pod(template, around)
    except Forbidden as refused:
        return refused.message


def tried() -> Iterator[tuple[str, Any]]:
    for leaf in helper().leaves("InferenceService"):
        parts = parts_of(leaf.path)
        unneeded = set(FORMATS) - {"sklearn"}
        again = parts[1] == "canary" and leaf.path not in OF_A_CANARY
        if leaf.core or parts[0] == "status" or unneeded & set(parts) or again:
            continue
        if not any(leaf.path.endswith(end) or f"{end}." in leaf.path for end in NOT_TRIED):
            yield leaf.path, sample(leaf.path, leaf.part)


OF_A_CANARY = {
    "spec.canary[].trafficPercent",
    "spec.canary[].predictor.minReplicas",
    "spec.canary[].predictor.name",
    "spec.canary[].predictor.canaryTrafficPercent",
    "spec.canary[].predictor.timeout",
}
"""The rest of a canary's predictor is a predictor's, and tried there."""

TRIED = list(tried())


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """The path of a field, and a service without it and with it, as JSON."""
    path, value = request.param
    before = base(path)
    after = copy.deepcopy(before)
    put(after, path, value)
    assert before != after
    return path, json.dumps(before), json.dumps(after)


def warned_paths(effects: Any, text: str) -> set[str]:
    verdict = judge(json.loads(text), CONFIGURATION["data"])
    return {e.path for e in effects.of([verdict.obj])[0]} if verdict.obj else set()


def named(path: str, found: set[str]) -> bool:
    """Whether a warning is about a field, or about what it lies in."""
    # A format's own field is stored, and named, as `model`.
    written = path.replace("[]", "[0]").replace(".*", "").replace(".sklearn", ".model")
    return any(written == f or written.startswith((f"{f}.", f"{f}[")) for f in found if f)


@pytest.mark.parametrize("pair", TRIED, ids=[path for path, _ in TRIED], indirect=True)
def test_on_this_machine_a_field_changes_something_or_is_named(pair: tuple[str, str, str]):
    path, before, after = pair
    differs = planned(before) != planned(after)
    blocked = planned(after)[0] not in (None, "refused")
    assert planned(before)[0] != "refused", "the service to start from is wrong"
    told = named(path, warned_paths(LocalEffects(IMAGES), after))
    _, row = find_row("InferenceService", path) or ("", None)
    assert row is not None
    assert differs or blocked or told, "nothing comes of it and nobody is told"
    if isinstance(row.local, Warned):
        assert told or blocked
        assert blocked or not differs, "it has an effect; say which in its row"
    elif isinstance(row.local, Rejected):
        assert blocked
    elif not told and not blocked:
        assert isinstance(row.local, Honoured | Partly)
        assert differs


@pytest.mark.parametrize("pair", TRIED, ids=[path for path, _ in TRIED], indirect=True)
def test_on_a_cluster_a_field_changes_the_objects_or_is_named(pair: tuple[str, str, str]):
    path, before, after = pair
    differs = [m for m in MODES if rendered(before, *m) != rendered(after, *m)]
    assert not all(rendered(before, *m)[1] for m in MODES), "the service to start from is wrong"
    told = named(path, warned_paths(KubernetesEffects(), after))
    _, row = find_row("InferenceService", path) or ("", None)
    assert row is not None
    verdict = row.on(Where.KUBERNETES)
    if isinstance(verdict, Warned) and not verdict.modes:
        assert told
        assert differs == [], "it has an effect; say which in its row"
    else:
        assert differs or told, "nothing comes of it and nobody is told"


# -- graphs --------------------------------------------------------------------------------------


def graph(path: str = "", value: Any = None) -> str:
    step = {"serviceUrl": "http://a/x"}
    root = {"routerType": "Sequence", "steps": [step]}
    obj: dict[str, Any] = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "g", "namespace": "default"},
        "spec": {"minReplicas": 1, "maxReplicas": 4, "nodes": {"root": root}},
    }
    field = parts_of(path)[-1] if path else ""
    if field == "routerType":
        root["routerType"] = "Ensemble"
    elif field in ("nodeName", "serviceName") and "steps" in path:
        root["steps"] = [{field: value}]
    elif "steps" in path:
        root["steps"] = [{**step, field: value}]
    elif path:
        put(obj, path, value)
    return json.dumps(obj)


CORE_SAMPLES: dict[str, Any] = {
    "Affinity": {"nodeAffinity": {}},
    "ResourceRequirements": {"limits": {"cpu": "3"}},
    "Toleration": {"key": "a", "operator": "Exists"},
}


def graph_fields() -> Iterator[tuple[str, Any]]:
    for leaf in helper().leaves("InferenceGraph"):
        if not leaf.path.startswith("status"):
            url = "http://b/x" if leaf.path.endswith("serviceUrl") else None
            yield leaf.path, url or CORE_SAMPLES.get(leaf.core) or sample(leaf.path, leaf.part)


@cache
def planned_graph(text: str) -> tuple[Any, ...]:
    verdict = judge(json.loads(text), CONFIGURATION["data"])
    if verdict.obj is None or verdict.errors:
        return ("refused", verdict.errors)
    plan = asyncio.run(_plan_graph(verdict.obj))
    return (plan.blocked, repr(plan.workloads), repr(plan.route))


async def _plan_graph(obj: dict[str, Any]) -> Any:
    async with _sources([obj], LocalEffects(IMAGES)) as sources:
        return build_graph_plan(await gather_graph(sources, obj))


GRAPH_FIELDS = list(graph_fields())


@pytest.mark.parametrize(("path", "value"), GRAPH_FIELDS, ids=[path for path, _ in GRAPH_FIELDS])
def test_a_field_of_a_graph_changes_something_on_both_platforms(path: str, value: Any):
    before, after = graph(), graph(path, value)
    assert planned_graph(before)[0] is None
    assert planned_graph(after) != planned_graph(before)
    assert [m for m in MODES if rendered(before, *m) != rendered(after, *m)]


def test_what_is_said_of_a_graph_names_its_own_fields():
    text = graph("spec.nodeName", "abc")
    assert "spec.nodeName" in warned_paths(LocalEffects(IMAGES), text)
    devices = graph("spec.resources", {"limits": {"nvidia.com/gpu": 1}})
    assert "spec.resources.limits.nvidia.com/gpu" in warned_paths(LocalEffects(IMAGES), devices)


# -- runtimes ------------------------------------------------------------------------------------


def test_what_of_a_multi_model_runtime_has_no_effect_is_named():
    container = {"name": "kserve-container", "image": "i"}
    spec = {"supportedModelFormats": [{"name": "a"}], "containers": [container]}
    ports = {"grpcDataEndpoint": "port:8001", "httpDataEndpoint": "port:8002"}
    read = {"multiModel": True, "grpcEndpoint": "port:8085", "replicas": 2}
    adapter = {"serverType": "mlserver", "memBufferBytes": 1, "env": [{"name": "A", "value": "b"}]}
    silent = {**ports, "storageHelper": {"disabled": True}}
    mesh = {**read, **silent, "builtInAdapter": adapter}
    runtime = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "r", "namespace": "default"},
        "spec": {**spec, **mesh},
    }
    named = {f"spec.{name}" for name in (*silent, "builtInAdapter.env")}
    assert warned_paths(LocalEffects(IMAGES), json.dumps(runtime)) == named
    assert warned_paths(KubernetesEffects(), json.dumps(runtime)) == set()
