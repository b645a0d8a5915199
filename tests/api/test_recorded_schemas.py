"""Our schemas hold every field, type, enum and bound of KServe's CRDs."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
import yaml

from sampan.api.scheme import GROUP, REGISTRY
from sampan.machinery.registry import Resource

EVERY = [
    version
    for r in REGISTRY
    if r.group == GROUP
    for version in (r, *(older.resource for older in r.older))
]
PLURALS = {r.kind: r.plural for r in REGISTRY if r.group == GROUP}

KEYWORDS = (
    "default",
    "enum",
    "format",
    "maximum",
    "maxLength",
    "minimum",
    "maxItems",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "pattern",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
)

Difference = tuple[str, str, Any, Any]


def differences(theirs: Any, ours: Any, path: str = "spec") -> Iterator[Difference]:
    """Yield `(path, keyword, theirs, ours)`; fields that only we have are no difference."""
    for keyword in KEYWORDS:
        if theirs.get(keyword) != ours.get(keyword):
            yield path, keyword, theirs.get(keyword), ours.get(keyword)
    if sorted(theirs.get("required", [])) != sorted(ours.get("required", [])):
        yield path, "required", theirs.get("required"), ours.get("required")
    for name, part in theirs.get("properties", {}).items():
        inner = ours.get("properties", {}).get(name)
        if inner is None:
            yield f"{path}.{name}", "field", "there", "missing"
        else:
            yield from differences(part, inner, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(theirs.get(keyword), dict):
            yield from differences(theirs[keyword], ours.get(keyword, {}), f"{path}[]")


def is_explained(difference: Difference) -> bool:
    """Whether a difference is one of those that we mean.

    Which fields are required differs inside the CRD itself: KServe strips some at the top level
    and leaves them in `canary`, while its defaulter fills them all with zero values. So a model's
    name and format are never required here, and a probe's port always is, once it is filled.
    """
    path, keyword, theirs, ours = difference
    if keyword != "required":
        return False
    if path.startswith("spec.canary[].predictor."):
        return ours is None and set(theirs) <= {"modelFormat", "name"}
    return theirs is None and (ours == ["port"] or (path.endswith(".os") and ours == ["name"]))


@cache
def definition_of(kind: str) -> Any:
    """Return our generated CustomResourceDefinition of a kind."""
    name = f"crds/{GROUP}_{PLURALS[kind]}.yaml"
    return yaml.load(files("sampan.manifests").joinpath(name).read_text(), Loader=yaml.CSafeLoader)


@pytest.mark.parametrize("kind", PLURALS)
def test_a_generated_crd_has_the_names_columns_and_fields_of_kserves(
    recordings: Any, kind: str
) -> None:
    theirs, ours = recordings.definition(PLURALS[kind])["spec"], definition_of(kind)["spec"]
    assert {k: ours[k] for k in ("group", "names", "scope")} == {
        k: theirs[k] for k in ("group", "names", "scope")
    }
    assert [v["name"] for v in ours["versions"]] == [v["name"] for v in theirs["versions"]]
    for their_version, our_version in zip(theirs["versions"], ours["versions"], strict=True):
        for keyword in ("served", "storage", "additionalPrinterColumns", "subresources"):
            # An empty `subresources` says what an absent one does.
            told = (our_version.get(keyword) or None) == (their_version.get(keyword) or None)
            assert told, keyword
        their_schema = their_version["schema"]["openAPIV3Schema"]
        our_schema = our_version["schema"]["openAPIV3Schema"]
        found = [(path[1:], *rest) for path, *rest in differences(their_schema, our_schema, "")]
        assert [d for d in found if not is_explained(d)] == []


@pytest.mark.parametrize("resource", EVERY, ids=lambda r: f"{r.kind} {r.version}")
def test_nothing_of_the_crd_is_missing_or_different(recordings: Any, resource: Resource) -> None:
    versions = recordings.definition(resource.plural)["spec"]["versions"]
    (theirs,) = (v["schema"] for v in versions if v["name"] == resource.version)
    crd = theirs["openAPIV3Schema"]["properties"]
    assert resource.schema is not None
    ours = resource.schema()["properties"]
    parts = [name for name in crd if name not in ("apiVersion", "kind", "metadata")]
    assert "spec" in parts
    found = [d for part in parts for d in differences(crd[part], ours.get(part, {}), part)]
    assert [d for d in found if not is_explained(d)] == []
