"""KServe's own samples of graphs, unmodified: each runs where its services do, or says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.api.config import Config
from sampan.api.inferencegraph.validation import admit
from sampan.machinery.registry import AdmissionContext
from sampan.plan.graph_build import GraphSnapshot, build_graph_plan, service_names
from sampan.plan.observed import NOTHING
from sampan.plan.types import Gateway
from sampan.router.graph import parse_graph

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
EXPECTED = {
    "inferencegraph-conditional-routing-pipeline": 'leads to node "middle", which the graph does',
    "inferencegraph-ensemble-model": "",
    "inferencegraph-model-ensemble": "",
    "inferencegraph-sequential-processing-pipeline": "",
    "inferencegraph-splitter-model": "",
}
"""By the sample's name: the words of what is wrong with it (KServe takes the first)."""


def ready(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"predictor": {"model": {"storageUri": "x"}}},
        "status": {"address": {"url": f"http://gw/{name}"}},
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_sample(name: str) -> None:
    if not SAMPLES.is_dir():
        pytest.skip(f"KServe's samples are not here: {SAMPLES} is absent")
    [path] = SAMPLES.glob(f"{name}-*.yaml")
    graph = yaml.safe_load(path.read_text())
    graph["metadata"]["namespace"] = "default"
    admitted = admit(graph, None, AdmissionContext())
    assert (admitted.errors, admitted.denied) == ((), "")
    services = {service: ready(service) for service in service_names(graph)}
    snapshot = GraphSnapshot(admitted.obj, services, {}, Config(), Gateway(), NOTHING, now=0.0)
    plan = build_graph_plan(snapshot)
    if EXPECTED[name]:
        assert plan.blocked is not None
        assert EXPECTED[name] in plan.blocked.message
        return
    [router] = plan.workloads
    [text] = router.template["metadata"]["annotations"].values()
    urls = [step.url for step in parse_graph(text).steps()]
    assert {url.split("/")[3] for url in urls} == set(services)
