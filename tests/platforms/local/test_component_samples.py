"""KServe's own samples of transformers and explainers, unmodified: each runs or says what lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.api.config import parse_config
from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import CONFIGURATION, shipped_runtimes
from sampan.machinery.registry import AdmissionContext
from sampan.manifests import read_images
from sampan.plan.build import build_plan
from sampan.plan.observed import NOTHING
from sampan.plan.types import Gateway, Plan, Snapshot
from sampan.platforms.local.images import ImageTable, make_image_table
from sampan.platforms.local.render import render, select_addressed

SAMPLES = Path(__file__).parents[4] / "shared" / "samples"
DATA = CONFIGURATION["data"]
COMPONENTS = ("transformer", "explainer")


def read_samples() -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(SAMPLES.glob("inferenceservice-*.yaml")):
        service = yaml.safe_load(path.read_text())
        spec = service["spec"] or {}
        containers = (spec.get("predictor") or {}).get("containers") or ()
        collocated = any(c.get("name") == "transformer-container" for c in containers)
        if collocated or any(spec.get(name) for name in COMPONENTS):
            found[path.stem] = service
    return found


FOUND = read_samples()
CASES = pytest.mark.parametrize("name", FOUND or ["none"])


@pytest.fixture(scope="module")
def images() -> ImageTable:
    return make_image_table(read_images(), "images.json")


def plan_of(service: dict[str, Any]) -> Plan | str:
    """The plan of a service, admitted as the API server admits it, or why it is refused."""
    service = {**service, "metadata": {"namespace": "default", **service["metadata"]}}
    resource = REGISTRY.for_object(service)
    assert resource is not None
    assert resource.admit is not None
    admitted = resource.admit(service, None, AdmissionContext(DATA))
    if admitted.denied:
        return admitted.denied
    runtimes = tuple(shipped_runtimes())
    config = parse_config(DATA).config
    return build_plan(Snapshot(admitted.obj, (), runtimes, config, Gateway(), NOTHING, 0.0))


@CASES
def test_a_sample_runs_or_names_what_is_missing(name, images):
    if not FOUND:
        pytest.skip("no samples of KServe beside this repository (../shared/samples)")
    plan = plan_of(FOUND[name])
    if isinstance(plan, str):
        assert "exactly one of" in plan  # Alibi's field, which KServe has removed
        return
    if plan.blocked:
        words = ("ModelMesh", "No runtime found", "Waiting for runtime", "storage")
        assert any(word in plan.blocked.message for word in words), plan.blocked
        return
    desired = render(plan, images, dict.fromkeys(select_addressed(plan), 18_000))
    for workload in desired.workloads:
        problem = workload.problem
        if problem is None:
            assert workload.command or workload.program
            continue
        assert problem.reason in {"ImageNotRunnable", "RuntimeVersionNotSupported"}
        assert workload.name.rpartition("-")[2] == workload.component
        assert '"' in problem.message


def test_kserve_s_built_in_explainer_runs_by_its_image_s_own_name(images):
    spec = {
        "predictor": {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://b/m"}},
        "explainer": {"art": {"type": "SquareAttack", "config": {"nb_classes": "10"}}},
    }
    metadata = {"name": "artserver"}
    plan = plan_of(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": metadata,
            "spec": spec,
        }
    )
    assert isinstance(plan, Plan)
    _, explainer = render(plan, images).workloads
    assert explainer.problem is None
    assert explainer.command is not None
    assert "--explainer=art" in explainer.command.argv
