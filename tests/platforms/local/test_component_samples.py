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


RUNS, PROGRAM = "by what stands for its image", "by the command that the sample gives"
ALIBI, IMAGE_TRANSFORMER = '"kserve/alibi-explainer:v0.12.1"', '"kserve/image-transformer:latest"'
MNIST, AIF, TRUSTY = (
    '"kserve/mnist-transformer:latest"', '"aipipeline/aifserver:predictor"',
    '"quay.io/trustyai/trustyai-kserve-explainer:latest"',
)  # fmt: skip
OUTCOMES: dict[str, tuple[str, ...]] = {
    # What becomes of predictor, and of transformer or explainer: how it runs, or what it lacks.
    "aix-explainer-c10da0": (RUNS, RUNS),
    "aix-explainer-f7639a": (PROGRAM, RUNS),
    "bloom-560m-e1ecaa": ('no runtime "tritonserver-ft"',),
    "cifar10-4cd363": (RUNS, ALIBI),
    "custom-transformer-collocation-fa01b7": (IMAGE_TRANSFORMER,),
    "german-credit-416114": (AIF, PROGRAM),
    "housing-125806": (RUNS, TRUSTY),
    "huggingface-triton-1d7e0c": (RUNS, RUNS),
    "huggingface-triton-8f848c": (RUNS, RUNS),
    "income-a001db": (RUNS, ALIBI),
    "mnist-923455": (RUNS, MNIST),
    "mnist-93c18a": (RUNS, MNIST),
    "moviesentiment-45d104": ("exactly one of",),  # Alibi's field, which KServe has removed
    "moviesentiment-793125": (RUNS, ALIBI),
    "moviesentiment-d5acb2": ("exactly one of",),
    "sklearn-driver-transformer-4cd83b": ('deployment mode "ModelMesh"',),
    "torch-transformer-45ed75": (RUNS, PROGRAM),
    "torch-transformer-597a15": (RUNS, PROGRAM),
    "torch-transformer-8e7512": (RUNS, PROGRAM),
    "torch-transformer-f8d5a9": (RUNS, PROGRAM),
    "torchscript-cifar-7af240": (RUNS, PROGRAM),
    "transformer-collocation-92bbf1": (IMAGE_TRANSFORMER,),
    "transformer-collocation-runtime-e18cec": ('no runtime "pytorch-collocation"',),
}
"""A command's module (`python -m image_transformer`) is looked for when it starts: the condition is
then the process's own last words."""


def test_every_sample_has_a_row():
    if not FOUND:
        pytest.skip("no samples of KServe beside this repository (../shared/samples)")
    assert {name.removeprefix("inferenceservice-") for name in FOUND} == set(OUTCOMES)


@CASES
def test_a_sample_runs_or_names_what_is_missing(name, images):
    if not FOUND:
        pytest.skip("no samples of KServe beside this repository (../shared/samples)")
    expected = OUTCOMES[name.removeprefix("inferenceservice-")]
    plan = plan_of(FOUND[name])
    if isinstance(plan, str):
        assert expected[0] in plan
        return
    if plan.blocked:
        assert expected[0] in plan.blocked.message
        return
    desired = render(plan, images, dict.fromkeys(select_addressed(plan), 18_000))
    for workload, outcome in zip(desired.workloads, expected, strict=True):
        if workload.problem is not None:
            assert workload.problem.reason == "ImageNotRunnable"
            assert outcome in workload.problem.message
        else:
            assert (PROGRAM if workload.program else RUNS) == outcome
            assert workload.command or workload.program


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
