"""The same objects as a real KServe makes for each InferenceGraph of its samples.

Recorded with the services that the graph names in place: plain sklearn ones.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.platforms.kubernetes.conftest import SET_UPS
from tests.platforms.kubernetes.recorded_differences import differences
from tests.platforms.kubernetes.stored_objects import as_stored

from sampan.plan.graph import make_resolved_nodes
from sampan.plan.types import Plan, ServiceKey
from sampan.platforms.kubernetes.render import render_graph

STORIES = ("27-graph", "27b-graph-urls")


def named_service(name: str, set_up: str) -> dict[str, Any]:
    host = name if set_up == "knative" else f"{name}-predictor"
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://b/m"}
    return {
        "metadata": {"name": name, "namespace": "golden"},
        "spec": {"predictor": {"model": model}},
        "status": {"address": {"url": f"http://{host}.golden.svc.cluster.local"}},
    }


@pytest.fixture(scope="session")
def rendered_graph(make_source, installed):
    """A function from a graph and a set-up to its objects as an API server would show them."""

    def objects(graph: dict[str, Any], set_up: str) -> list[dict[str, Any]]:
        source = make_source(named_service("any", set_up), set_up)
        plan = Plan(ServiceKey("golden", graph["metadata"]["name"]))
        nodes = make_resolved_nodes(graph, lambda n: named_service(n, set_up), lambda _: None)
        source = replace(source, service=graph, plan=plan)
        return [as_stored(o) for o in render_graph(source, nodes)]

    return objects


@pytest.mark.parametrize("set_up", SET_UPS)
def test_a_graph_s_objects_are_kserve_s(set_up, golden_folder, rendered_graph):
    compared = 0
    for path in sorted((golden_folder / set_up).glob("inferencegraph-*.json")):
        recording = json.loads(path.read_text())
        if not recording["admission"]["allowed"]:
            continue
        ours = rendered_graph(recording["defaulted"], set_up)
        assert list(differences(path.stem, ours, recording["ready"]["objects"])) == []
        compared += 1
    assert compared == 5


@pytest.mark.parametrize("set_up", SET_UPS)
@pytest.mark.parametrize("story", STORIES)
def test_after_each_step_of_a_graph_s_life_its_objects_are_kserve_s(
    set_up, story, golden_folder, rendered_graph
):
    graph: dict[str, Any] = {}
    there: dict[tuple[str, str], Any] = {}
    compared = 0
    for step in json.loads((golden_folder / f"lifecycle/{set_up}/{story}.json").read_text())[
        "steps"
    ]:
        do = step["do"]
        kind = do.get("kind") or (do.get("object") or {}).get("kind")
        if kind == "InferenceGraph" and "defaulted" in step:
            graph = step["defaulted"]
        there |= {(o["kind"], o["metadata"]["name"]): o for o in step.get("objects", ())}
        for key in step.get("gone", ()):
            there.pop(tuple(key), None)
        own = [o for (_, name), o in there.items() if name == "g"]
        stopped = "serving.kserve.io/stop" in graph.get("metadata", {}).get("annotations", {})
        # A graph appears some steps later than what it waits for, and a stopped one keeps its HPA.
        if not own or stopped or step.get("resourceGone"):
            continue
        ours = rendered_graph(graph, set_up)
        # KServe leaves the annotations of before, as of a service.
        found = differences(story, ours, own)
        assert [d for d in found if not d.path.startswith("metadata.annotations")] == []
        compared += 1
    assert compared >= 3
