"""No field is silent: the table says of every field of every kind what each platform does with it.

That it says the truth is tested where the platforms are (`tests/app/test_field_effects.py`).
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api.scheme import REGISTRY
from sampan.plan.fields.paths import parts_of, values_at
from sampan.plan.fields.table import FIELD_TABLE, find_row, make_field_warnings
from sampan.plan.fields.verdicts import Inside, Partly, Rejected, Warned, Where
from sampan.platforms.local.capabilities import CAPABILITY_TABLE

KINDS = [r.kind for r in REGISTRY]


def schema_leaves() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "schema_leaves", Path(__file__).with_name("schema_leaves.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["schema_leaves"] = module
    spec.loader.exec_module(module)
    return module


LEAVES = schema_leaves().leaves


def test_every_kind_that_is_served_has_rows():
    assert set(FIELD_TABLE) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_schema_has_a_row_or_lies_below_one(kind: str):
    assert [leaf.path for leaf in LEAVES(kind) if find_row(kind, leaf.path) is None] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_of_a_field_that_the_schema_has(kind: str):
    known = {
        parts_of(leaf.path)[:end]
        for leaf in LEAVES(kind)
        for end in range(1, len(parts_of(leaf.path)) + 1)
    }
    rows = [path for path in FIELD_TABLE[kind] if not path.startswith("metadata.")]
    inner = {"autoScaling", "deploymentStrategy"}  # types of Kubernetes with rows of fields inside
    assert [
        path for path in rows if parts_of(path) not in known and not inner & set(parts_of(path))
    ] == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_points_at_a_type_of_kubernetes_covers_fields_of_that_type_alone(kind: str):
    wrong = []
    for leaf in LEAVES(kind):
        path, row = find_row(kind, leaf.path) or ("", None)
        for where in Where:
            verdict = row.on(where) if row else None
            if isinstance(verdict, Inside):
                named = parts_of(path)[-1] in CAPABILITY_TABLE[verdict.type]
                if not (named or leaf.core):
                    wrong.append(leaf.path)
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_sentence_reads_on_from_the_name_of_the_field(kind: str):
    for row in FIELD_TABLE[kind].values():
        for where in Where:
            verdict = row.on(where)
            if isinstance(verdict, Warned | Rejected):
                assert verdict.sentence[0].islower()
                assert not verdict.sentence.endswith(".")
            elif isinstance(verdict, Partly):
                assert verdict.told


def service(**predictor: Any) -> dict[str, Any]:
    return {"kind": "InferenceService", "spec": {"predictor": predictor}}


def test_a_field_without_effect_is_named_with_its_place():
    storage = {"art": {"storage": {"key": "a"}}}
    obj = {"spec": {"predictor": {"batcher": {"timeout": 5}}, "explainer": storage}}
    assert [p for p, _ in make_field_warnings("InferenceService", obj, Where.LOCAL)] == [
        "spec.predictor.batcher.timeout",
        "spec.explainer.art.storage",
    ]


def test_annotations_are_named_as_they_are_written_unless_they_ask_for_what_is_so():
    key = "storage.kserve.io/readonly"
    obj = {"metadata": {"annotations": {key: "false"}}}
    ((path, _),) = make_field_warnings("InferenceService", obj, Where.LOCAL)
    assert path == f'metadata.annotations["{key}"]'
    obj["metadata"]["annotations"][key] = "true"
    assert list(make_field_warnings("InferenceService", obj, Where.LOCAL)) == []


def test_what_only_knative_mode_reads_is_named_in_standard_mode():
    obj = service(containerConcurrency=1)
    standard = list(make_field_warnings(obj["kind"], obj, Where.KUBERNETES, "Standard"))
    assert [path for path, _ in standard] == ["spec.predictor.containerConcurrency"]
    assert list(make_field_warnings(obj["kind"], obj, Where.KUBERNETES, "Knative")) == []


def test_the_nearest_row_above_speaks_for_a_field():
    path, _ = find_row("InferenceService", "spec.predictor.model.storage.key") or ("", None)
    assert path == "spec.predictor.model.storage"
    assert find_row("InferenceService", "kind") is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "b.c", "d"]), inner, max_size=3)
        ),
        max_leaves=12,
    ),
    st.lists(st.sampled_from(["a", "d", '["b.c"]', "[]", "*"]), min_size=1, max_size=4),
)
def test_asking_for_a_path_never_fails_and_finds_no_nulls(value: Any, parts: list[str]):
    path = "".join(p if p.startswith("[") else f".{p}" for p in parts).removeprefix(".")
    for place, found in values_at(value, path):
        assert found is not None
        assert place.count("[") >= parts.count("[]")
