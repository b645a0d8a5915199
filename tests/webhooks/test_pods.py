"""Pods as a real KServe's webhook makes them, asked for over TLS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.platforms.kubernetes.conftest import make_fixture
from tests.webhooks.conftest import ApiServerOfACluster, make_config_map

from sampan.api.config import parse_config
from sampan.machinery.registry import JsonObject
from sampan.plan.build import build_plan, nothing_unbuilt
from sampan.plan.observed import NOTHING
from sampan.plan.types import Gateway, Snapshot
from sampan.platforms.kubernetes.pods.mutate import mutate_pod
from sampan.platforms.kubernetes.pods.settings import parse_pod_settings
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.platforms.kubernetes.render import render
from sampan.platforms.kubernetes.settings import parse_settings
from sampan.platforms.kubernetes.source import Source

SET_UP = "standard-gateway"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def pods_of(recording: JsonObject, installed: Path) -> list[JsonObject]:
    """The pods of the Deployments that we make of a recorded service."""
    data = read(installed / f"inferenceservice-config.{SET_UP}.json")
    runtimes = tuple(read(p) for p in sorted(installed.glob("clusterservingruntime-*.json")))
    config = parse_config(data).config
    service = {**recording["defaulted"], "status": recording["status"]}
    plan = build_plan(
        Snapshot(service, (), runtimes, config, Gateway(), NOTHING, 0.0), nothing_unbuilt
    )
    around = Surroundings(parse_pod_settings(data))
    source = Source(service, plan, config, parse_settings(data), frozenset(), around=around)
    made = [] if plan.blocked else render(source)
    templates = [o["spec"]["template"] for o in made if o["kind"] == "Deployment"]
    return [{"apiVersion": "v1", "kind": "Pod", **template} for template in templates]


def fixtures_of(recording: JsonObject) -> list[list[str]]:
    """The objects, as kind and name, that were there when a service was recorded again."""
    found: list[list[str]] = (recording.get("withCredentials") or {}).get("fixtures", [])
    return found


def kinds(fixtures: list[list[str]]) -> set[str]:
    return {kind for kind, _ in fixtures}


async def install(store: Any, installed: Path) -> None:
    data = read(installed / f"inferenceservice-config.{SET_UP}.json")
    await store.create("configmaps", make_config_map(data))
    container = read(installed / "clusterstoragecontainer-default.json")
    await store.create("clusterstoragecontainers.serving.kserve.io", container)


async def create(store: Any, fixtures: list[list[str]]) -> None:
    for kind, name in fixtures:
        obj = make_fixture(kind, name, fixtures)
        obj["metadata"]["namespace"] = "golden"
        await store.create(f"{kind.lower()}s", {"apiVersion": "v1", "kind": kind, **obj})


async def test_pods_are_mutated_as_by_render(
    asked: ApiServerOfACluster, store: Any, golden_folder: Path
) -> None:
    installed = golden_folder / "installed"
    await install(store, installed)
    data = read(installed / f"inferenceservice-config.{SET_UP}.json")
    containers = (read(installed / "clusterstoragecontainer-default.json"),)
    around = Surroundings(parse_pod_settings(data), containers)
    compared = 0
    for path in sorted((golden_folder / SET_UP).glob("inferenceservice-s*.json")):
        recording = read(path)
        if not recording["admission"]["allowed"] or recording.get("withCredentials"):
            continue
        for pod in pods_of(recording, installed):
            assert await asked.mutate("/mutate-pods", pod) == mutate_pod(pod, around), path.stem
            compared += 1
    assert compared >= 20


async def test_the_secret_of_an_account_is_read_by_name(
    asked: ApiServerOfACluster, store: Any, golden_folder: Path
) -> None:
    installed = golden_folder / "installed"
    recordings = map(read, sorted((golden_folder / SET_UP).glob("inferenceservice-*.json")))
    recording = next(r for r in recordings if "ServiceAccount" in kinds(fixtures_of(r)))
    [pod, *_] = pods_of(recording, installed)
    await install(store, installed)
    before = await asked.mutate("/mutate-pods", pod)
    await create(store, fixtures_of(recording))
    after = await asked.mutate("/mutate-pods", pod)
    names = [e["name"] for e in after["spec"]["initContainers"][0]["env"]]
    assert "AWS_ACCESS_KEY_ID" in names
    assert "AWS_ACCESS_KEY_ID" not in json.dumps(before)


async def test_a_pod_whose_secret_is_missing_is_refused_and_the_secret_is_named(
    asked: ApiServerOfACluster, store: Any, golden_folder: Path
) -> None:
    installed = golden_folder / "installed"
    await install(store, installed)
    refused = [
        r
        for r in map(read, sorted((golden_folder / SET_UP).glob("inferenceservice-*.json")))
        if any("refused" in p for p in (r.get("pod") or {}).values())
    ]
    assert refused
    for recording in refused:
        for pod in pods_of(recording, installed):
            response = await asked.review("/mutate-pods", object=pod)
            assert not response["allowed"]
            assert "not found" in response["status"]["message"]


async def test_a_pod_knows_its_service(asked: ApiServerOfACluster, store: Any) -> None:
    """The logger's settings are the service's own, which the webhook reads."""
    logger = {"mode": "all", "marshallerUrl": "http://marshaller"}
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris", "namespace": "golden"},
        "spec": {"predictor": {"logger": logger, "model": {"modelFormat": {"name": "sklearn"}}}},
    }
    await store.create("inferenceservices.serving.kserve.io", service)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "labels": {
                "serving.kserve.io/inferenceservice": "iris",
                "component": "predictor",
            },
            "annotations": {
                "internal.serving.kserve.io/logger": "true",
                "internal.serving.kserve.io/logger-sink-url": "http://sink",
                "internal.serving.kserve.io/logger-mode": "all",
            },
        },
        "spec": {"containers": [{"name": "kserve-container", "image": "i"}]},
    }
    mutated = await asked.mutate("/mutate-pods", pod)
    agent = next(c for c in mutated["spec"]["containers"] if c["name"] == "agent")
    assert agent["args"][agent["args"].index("--log-marshaller-url") + 1] == "http://marshaller"
