"""Each rule of ServingRuntime and ClusterServingRuntime, with KServe's texts."""

from typing import Any

import pytest

KINDS = ["ServingRuntime", "ClusterServingRuntime"]


def runtime(kind: str = "ServingRuntime", name: str = "mine", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name}
    if kind == "ServingRuntime":
        metadata["namespace"] = "ml"
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": {
            "containers": [{"name": "kserve-container", "image": "server"}],
            "protocolVersions": ["v1"],
            "supportedModelFormats": [
                {"name": "sklearn", "version": "1", "autoSelect": True, "priority": 1}
            ],
            **spec,
        },
    }


WORKER = {"containers": [{"name": "worker-container"}]}


def worker(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "worker-container", **fields}]}


def main(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "kserve-container", **fields}]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_runtime_is_allowed_as_it_is(admit: Any, kind: str) -> None:
    admitted = admit(runtime(kind))
    assert (admitted.obj, admitted.errors, admitted.denied) == (runtime(kind), (), "")


GPUS = "serving.kserve.io/gpu-resource-types"
OTHER_GPU = {
    "workerSpec": WORKER,
    "containers": main(resources={"limits": {"vendor.com/gpu": "1"}}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["vendor.com/gpu", "{}", '["vendor.com/gpu", 1]', ""])
def test_an_annotation_of_gpu_types_that_cannot_be_read_is_refused_with_its_text(
    admit: Any, kind: str, text: str
) -> None:
    admitted = admit(runtime(kind, **OTHER_GPU, annotations={GPUS: text}))
    assert admitted.denied == (
        f'the {kind} mine is invalid: invalid {GPUS} annotation "{text}"; '
        'write a JSON list of names, as ["vendor.com/gpu"]'
    )
    assert [cause.path for cause in admitted.causes] == ["spec.annotations"]


def test_a_gpu_type_that_the_annotation_lists_is_known(admit: Any) -> None:
    assert admit(runtime(**OTHER_GPU, annotations={GPUS: '["vendor.com/gpu"]'})).denied == ""


def test_a_gpu_type_is_known_by_the_vendors_names_and_slices_of_them(admit: Any) -> None:
    limits = {"nvidia.com/mig-1g.5gb": "1", "habana.ai/gaudi": "1", "memory": "1Gi"}
    sound = {"workerSpec": WORKER, "containers": main(resources={"limits": limits})}
    assert admit(runtime(**sound)).denied == ""


@pytest.mark.parametrize(
    ("kind", "end"), [(KINDS[0], " in namespace ml"), (KINDS[1], "")], ids=KINDS
)
def test_a_neighbour_of_the_same_rank_is_named(admit: Any, kind: str, end: str) -> None:
    neighbours = (runtime(kind, "theirs"),)
    assert admit(runtime(kind), neighbours=neighbours).denied == (
        f"same priority assigned for the model format sklearn in the {kind.lower()}s theirs and "
        f"mine{end}"
    )


@pytest.mark.parametrize(
    "difference",
    [
        {"disabled": True},
        {"protocolVersions": ["v2"]},
        {"multiModel": True},
        {"supportedModelFormats": [{"name": "sklearn", "version": "1", "priority": 1}]},
        {"supportedModelFormats": [{"name": "sklearn", "autoSelect": True, "priority": 1}]},
        {
            "supportedModelFormats": [
                {"name": "sklearn", "version": "1", "autoSelect": True, "priority": 2}
            ]
        },
    ],
    ids=[
        "it is disabled",
        "it speaks another protocol",
        "it serves many models",
        "it is not selected by itself",
        "it serves another version",
        "it has another rank",
    ],
)
def test_a_neighbour_does_not_compete_when(admit: Any, difference: Any) -> None:
    assert admit(runtime(), neighbours=(runtime(name="theirs", **difference),)).denied == ""


def test_a_runtime_does_not_compete_with_itself(admit: Any) -> None:
    assert admit(runtime(), runtime(), neighbours=(runtime(),)).denied == ""


def test_workers_once_there_stay(admit: Any) -> None:
    old = runtime(workerSpec=WORKER)
    text = "the ServingRuntime mine is invalid: removing workerSpec where it already exists"
    assert admit(runtime(), old).denied == f"{text} is not allowed"


def test_a_disabled_runtime_is_checked_against_its_schema_only(admit: Any) -> None:
    blocked = main(env=[{"name": "PYTHONPATH", "value": "/x"}])
    assert admit(runtime(disabled=True, containers=blocked)).denied == ""
    errors = admit(runtime(disabled=True, containers=None)).errors
    assert [str(error) for error in errors] == ["spec.containers: Required value"]


def test_every_violation_of_the_schema_is_named(admit: Any) -> None:
    formats = [{"version": 1, "priority": 0}]
    errors = admit(runtime(supportedModelFormats=formats, multiModel="yes")).errors
    where = "spec.supportedModelFormats[0]"
    assert [str(error) for error in errors] == [
        f"{where}.name: Required value",
        (
            f'{where}.version: Invalid value: "integer": {where}.version in body must be of type '
            'string: "integer"'
        ),
        (
            f"{where}.priority: Invalid value: 0: {where}.priority in body should be greater than "
            "or equal to 1"
        ),
        (
            'spec.multiModel: Invalid value: "string": spec.multiModel in body must be of type '
            'boolean: "string"'
        ),
    ]
