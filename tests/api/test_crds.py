"""The generated CustomResourceDefinitions, as a cluster reads them."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
import yaml

from sampan.api.scheme import GROUP, REGISTRY
from sampan.machinery.registry import Resource

OURS = [resource for resource in REGISTRY if resource.group == GROUP]
EVERY = [version for r in OURS for version in (r, *(older.resource for older in r.older))]
"""Each in every version that is served."""


def version_id(resource: Resource) -> str:
    return f"{resource.kind} {resource.version}"


@cache
def manifest(plural: str) -> Any:
    name = f"crds/{GROUP}_{plural}.yaml"
    return yaml.load(files("sampan.manifests").joinpath(name).read_text(), Loader=yaml.CSafeLoader)


def generated(resource: Resource) -> Any:
    return manifest(resource.plural)


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each schema in a schema, with its path."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from parts(schema[keyword], f"{path}[]")


def schema_in(crd: Any, version: str) -> Any:
    (found,) = (v for v in crd["spec"]["versions"] if v["name"] == version)
    return found["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("resource", EVERY, ids=version_id)
def test_a_crd_is_structural_and_has_no_keyword_of_our_own(resource: Resource) -> None:
    for path, part in parts(schema_in(generated(resource), resource.version)):
        assert [k for k in part if k.startswith(("x-sampan", "$"))] == [], path
        free = part.get("x-kubernetes-int-or-string") or part.get(
            "x-kubernetes-preserve-unknown-fields"
        )
        assert "type" in part or free, f"{path} has no type"
        assert part.get("type") != "array" or "items" in part, path
        for required in part.get("required", ()):
            assert required in part["properties"], f"{path} requires {required}"


@pytest.mark.parametrize("resource", EVERY, ids=version_id)
def test_a_crd_has_the_fields_that_admission_knows(resource: Resource) -> None:
    def fields(schema: Any) -> set[str]:
        everything = (path for path, _ in parts(schema))
        return {path for path in everything if not path.startswith(".metadata.")}

    assert resource.schema is not None
    assert fields(schema_in(generated(resource), resource.version)) == fields(resource.schema())


@pytest.mark.parametrize("resource", EVERY, ids=version_id)
def test_kserves_own_fields_are_described_and_kubernetes_are_not(resource: Resource) -> None:
    spec = schema_in(generated(resource), resource.version)["properties"]["spec"]
    assert spec["description"]
    pod = spec["properties"].get("predictor", {}).get("properties", {})
    assert "description" not in pod.get("nodeSelector", {})
    assert pod.get("model", {"description": "x"})["description"]


@pytest.mark.parametrize("resource", OURS, ids=lambda r: r.kind)
def test_a_crd_stores_one_version_and_is_small_enough_for_a_cluster(resource: Resource) -> None:
    crd = generated(resource)
    stored = [v["name"] for v in crd["spec"]["versions"] if v["storage"]]
    assert stored == [resource.version]
    # etcd takes 1.5 MiB in a request; a cluster keeps a CRD as JSON.
    assert len(json.dumps(crd, separators=(",", ":"))) < 1_400_000
