"""The table of kinds, and that its folders and generated data are complete and current."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sampan.api
from sampan.api.inferenceservice.types import InferenceService
from sampan.api.schema.definitions import schema_of
from sampan.api.scheme import GROUP, REGISTRY
from sampan.machinery.errors import Invalid
from sampan.machinery.registry import Resource

API = Path(sampan.api.__file__).parent
ROOT = API.parents[2]


@pytest.mark.parametrize(
    ("word", "resource_id"),
    [
        ("isvc", "inferenceservices.serving.kserve.io"),
        ("ig", "inferencegraphs.serving.kserve.io"),
        ("tm", "trainedmodels.serving.kserve.io"),
        ("cm", "configmaps"),
        ("ns", "namespaces"),
        ("sa", "serviceaccounts"),
        ("ev", "events"),
    ],
)
def test_a_short_name_is_of_one_kind(word: str, resource_id: str) -> None:
    assert [one.id for one in REGISTRY if word in one.short_names] == [resource_id]


@pytest.mark.parametrize("resource", list(REGISTRY), ids=lambda r: r.kind)
def test_a_kind_has_its_four_files_its_schema_and_its_admission(resource: Resource) -> None:
    files = {path.stem for path in (API / resource.kind.lower()).glob("*.py")}
    assert {"types", "defaults", "validation", "conditions"} <= files
    assert resource.schema is not None
    assert resource.schema()["type"] == "object"
    assert resource.admit is not None
    assert resource.unknown is not None


def test_columns_are_those_of_the_crds() -> None:
    service = REGISTRY.get("inferenceservices.serving.kserve.io")
    names = [column.name for column in service.columns]
    latest = ["PrevRolledoutRevision", "LatestReadyRevision", "Age"]
    assert names == ["URL", "Ready", "Prev", "Latest", *latest]
    runtime = REGISTRY.get("servingruntimes.serving.kserve.io")
    assert [c.name for c in runtime.columns] == ["Disabled", "ModelType", "Containers", "Age"]


def test_importing_the_table_is_cheap() -> None:
    heavy = ("pydantic", "lightkube", "yaml", "json", "importlib.resources")
    program = (
        "import sys; before = set(sys.modules); import sampan.api.scheme; "
        f"print([m for m in {heavy!r} if m in sys.modules and m not in before])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_admission_imports_no_model_library() -> None:
    program = (
        "import sys; from sampan.api.scheme import GROUP, REGISTRY; "
        "from sampan.machinery.registry import AdmissionContext; "
        "r = REGISTRY.get('inferenceservices.serving.kserve.io'); "
        "r.admit({'metadata': {'name': 'a'}, 'spec': {}}, None, AdmissionContext()); "
        "print([m for m in ('pydantic', 'lightkube', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_the_generated_definitions_are_current() -> None:
    program = ROOT / "tools" / "generate_definitions.py"
    command = [sys.executable, "-m", "tools.generate_definitions", "--check"]
    done = subprocess.run(command, cwd=ROOT, check=False)
    assert done.returncode == 0, f"definitions.json is not current; run {program.name}"


def test_every_field_of_our_kinds_is_described() -> None:
    for kind in (resource.kind for resource in REGISTRY if resource.group == GROUP):
        nameless = [path for path, text in descriptions(schema_of(kind), kind) if not text]
        assert nameless == []


def descriptions(schema: dict[str, object], path: str) -> list[tuple[str, object]]:
    """Return the description of each field, as deep as KServe's own types go."""
    found = []
    properties = schema.get("properties")
    assert isinstance(properties, dict)
    for name, part in properties.items():
        found.append((f"{path}.{name}", part.get("description")))
        if name in (
            "spec",
            "predictor",
            "model",
            "status",
            "supportedModelFormats",
            "nodes",
            "steps",
        ):
            inner = part.get("items") or part.get("additionalProperties") or part
            found += descriptions(inner, f"{path}.{name}")
    return found


def test_a_view_names_every_field_of_a_wrong_type() -> None:
    obj = {"apiVersion": "v1", "kind": "InferenceService", "metadata": {"name": "x"}}
    spec = {"predictor": {"minReplicas": "two", "model": {"storageUri": 1}}}
    with pytest.raises(Invalid) as caught:
        InferenceService.decode({**obj, "spec": spec})
    assert sorted(error.path for error in caught.value.errors) == [
        "spec.predictor.minReplicas",
        "spec.predictor.model.storageUri",
    ]


def test_a_view_reads_with_pythons_names_and_keeps_the_pods_fields() -> None:
    predictor = {"minReplicas": 2, "nodeSelector": {"a": "b"}, "model": {"storageUri": "s3://m"}}
    obj = {"apiVersion": "v1", "kind": "InferenceService", "spec": {"predictor": predictor}}
    view = InferenceService.decode(obj)
    assert view.spec is not None
    assert view.spec.predictor.min_replicas == 2
    assert view.spec.predictor.model_extra == {"nodeSelector": {"a": "b"}}
    assert json.dumps(view.encode(), sort_keys=True) == json.dumps(obj, sort_keys=True)
