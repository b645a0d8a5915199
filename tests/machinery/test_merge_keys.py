"""The table of merge keys against the schemas that KServe ships."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.machinery.patch.merge_keys import ATOMIC_MAPS, LISTS, list_rule

CRDS = Path(__file__).parents[3] / "shared" / "crds" / "kserve"

FOREIGN = frozenset({"httpHeaders", "headers"})
"""Parts of other APIs' types with lists that share a name with the core's."""

Found = tuple[str, tuple[str, ...] | None]


def lists(schema: Any, name: str) -> Iterator[Found]:
    """Yield each list of a schema: its field and its map keys, () for atomic, None for untold."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "array":
        kind = schema.get("x-kubernetes-list-type")
        keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
        yield name, keys if kind else None
    for key, child in (schema.get("properties") or {}).items():
        if key not in FOREIGN:
            yield from lists(child, key)
    yield from lists(schema.get("items"), "")
    yield from lists(schema.get("additionalProperties"), "")


def atomic_maps(schema: Any, name: str) -> Iterator[str]:
    """Yield each object that is owned whole; what is inside an atomic list is owned with that."""
    if isinstance(schema, dict) and schema.get("x-kubernetes-list-type") != "atomic":
        if schema.get("x-kubernetes-map-type") == "atomic" and name:
            yield name
        for key, child in (schema.get("properties") or {}).items():
            yield from atomic_maps(child, key)
        yield from atomic_maps(schema.get("items"), "")
        yield from atomic_maps(schema.get("additionalProperties"), "")


@functools.cache
def schema_of(plural: str) -> Any:
    path = CRDS / f"serving.kserve.io_{plural}.yaml"
    if not path.exists():
        pytest.skip(f"the CRDs of KServe are not beside the repository ({path.name})")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    crd = yaml.load(path.read_text(), loader)  # noqa: S506 - the safe loader, in C where there is one
    (version, *_) = crd["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("plural", ["inferenceservices", "servingruntimes"])
def test_every_keyed_list_of_the_schema_is_keyed_alike_here(plural: str) -> None:
    found = {(n, k) for n, k in lists(schema_of(plural), "") if k}
    assert found, "the schema has keyed lists"
    wrong = {(n, k) for n, k in found if LISTS.get(n) is None or LISTS[n].keys != k}
    assert not wrong


@pytest.mark.parametrize("plural", ["inferenceservices", "servingruntimes"])
def test_no_atomic_list_of_the_schema_is_keyed_here(plural: str) -> None:
    atomic = {n for n, k in lists(schema_of(plural), "") if k == ()}
    assert {n for n in atomic if list_rule(n).keys} == set()


@pytest.mark.parametrize("plural", ["inferenceservices", "servingruntimes"])
def test_every_atomic_object_of_the_schema_is_atomic_here(plural: str) -> None:
    assert set(atomic_maps(schema_of(plural), "")) - ATOMIC_MAPS == set()
