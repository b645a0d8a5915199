"""KServe's own samples of InferenceGraphs, unmodified: each runs or says what it waits for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.api.config import parse_config
from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import CONFIGURATION
from sampan.machinery.registry import AdmissionContext, JsonObject
from sampan.manifests import read_images
from sampan.plan.graph_build import GraphSnapshot, build_graph_plan, service_names
from sampan.plan.observed import NOTHING
from sampan.plan.types import Gateway, Plan
from sampan.platforms.local.images import make_image_table
from sampan.platforms.local.render import render, select_addressed

SAMPLES = Path(__file__).parents[4] / "shared" / "samples"
DATA = CONFIGURATION["data"]
PREFIX = "inferencegraph-"
FOUND = {p.stem.removeprefix(PREFIX): p for p in sorted(SAMPLES.glob(f"{PREFIX}*.yaml"))}

OUTCOMES = {
    # What is said while no service is there, and once all are Ready ("": it runs).
    "conditional-routing-pipeline-dd90f8": ('"middle"', '"middle"'),
    "ensemble-model-e77647": ('"sklearn-iris", which does not exist', ""),
    "model-ensemble-555f12": ('"model-a", which does not exist', ""),
    "sequential-processing-pipeline-60ca1b": ('"preprocessor", which does not exist', ""),
    "splitter-model-cb9e8c": ('"sklearn-iris", which does not exist', ""),
    "string-461ef6": ('"string"', '"string"'),  # the reference's placeholders
}


def admitted(path: Path) -> JsonObject:
    graph = yaml.safe_load(path.read_text())
    graph["metadata"]["namespace"] = "default"
    resource = REGISTRY.for_object(graph)
    assert resource is not None
    assert resource.admit is not None
    told = resource.admit(graph, None, AdmissionContext(DATA))
    assert not told.denied
    return told.obj


def ready(name: str) -> JsonObject:
    return {
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "sklearn"}}}},
        "status": {
            "address": {"url": f"http://{name}-predictor.default.svc.cluster.local"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def plan_of(graph: JsonObject, *services: str) -> Plan:
    known: dict[str, Any] = {name: ready(name) for name in services}
    config = parse_config(DATA).config
    return build_graph_plan(GraphSnapshot(graph, known, {}, config, Gateway(), NOTHING, 0.0))


def test_every_sample_has_a_row():
    if not FOUND:
        pytest.skip("no samples of KServe beside this repository (../shared/samples)")
    assert set(FOUND) == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_sample_runs_or_names_what_it_waits_for(name):
    if not FOUND:
        pytest.skip("no samples of KServe beside this repository (../shared/samples)")
    graph = admitted(FOUND[name])
    alone, complete = OUTCOMES[name]
    blocked = plan_of(graph).blocked
    assert blocked is not None
    assert alone in blocked.message
    plan = plan_of(graph, *service_names(graph))
    if complete:
        assert plan.blocked is not None
        assert complete in plan.blocked.message
        return
    assert plan.blocked is None
    images = make_image_table(read_images(), "images.json")
    (router,) = render(plan, images, dict.fromkeys(select_addressed(plan), 18_000)).workloads
    assert router.problem is None
    assert router.command is not None
    assert "sampan.app.route" in router.command.argv
