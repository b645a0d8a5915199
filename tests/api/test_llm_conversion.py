"""LLMInferenceService and its configurations from one version to the other and back: no loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.api.llminferenceservice.conversion import (
    NEWER_FIELDS,
    OLDER,
    STORED,
    make_older,
    make_stored,
)
from sampan.api.schema.definitions import schema_of
from sampan.api.schema.violations import violations
from sampan.api.scheme import REGISTRY
from sampan.machinery.registry import AdmissionContext

Json = dict[str, Any]
KINDS = ("LLMInferenceService", "LLMInferenceServiceConfig")
MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
LEVELS = st.sampled_from(["Critical", "Standard", "Sheddable"])
NAMES = st.sampled_from(["a", "b-1", "tiny", "long.name"])
PORTS = st.integers(1, 65535)
SMALL = st.dictionaries(NAMES, NAMES, max_size=2)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Draw objects that have any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def adapters(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    adapter = st.fixed_dictionaries({"name": NAMES, "uri": st.just("hf://x/y")}, optional=fields)
    return st.lists(adapter, max_size=3)


CACHES = st.fixed_dictionaries({"cpu": st.just("1Gi")}, optional={"evictionPolicy": st.just("arc")})
PICKERS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "group": st.just(""),
        "kind": st.just("Service"),
        "port": st.fixed_dictionaries({"number": PORTS}),
        "failureMode": st.sampled_from(["FailOpen", "FailClose"]),
    },
)
POOLS = st.fixed_dictionaries(
    {
        "selector": st.fixed_dictionaries({"matchLabels": SMALL}),
        "targetPorts": st.lists(st.fixed_dictionaries({"number": PORTS}), max_size=3),
        "endpointPickerRef": PICKERS,
    },
    optional={"appProtocol": st.just("http")},
)
OLD_PICKERS = st.fixed_dictionaries(
    {"name": NAMES, "failureMode": st.sampled_from(["FailOpen", "FailClose"])},
    optional={"group": st.just("apps"), "kind": st.just("Service"), "portNumber": PORTS},
)
OLD_POOLS = st.fixed_dictionaries(
    {"selector": SMALL, "targetPortNumber": PORTS}, optional={"extensionRef": OLD_PICKERS}
)
# A server keeps no empty annotations: they are none.
NOTES = st.dictionaries(NAMES, NAMES, min_size=1, max_size=2)
METADATA = some(labels=SMALL, annotations=NOTES).map(lambda m: {"name": "drawn", **m})


def models(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({"uri": st.just("hf://x/y")}, optional={"name": NAMES, **fields})


def services(
    version: str, spec: st.SearchStrategy[Json], status: st.SearchStrategy[Json]
) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {"apiVersion": st.just(version), "kind": st.sampled_from(KINDS), "metadata": METADATA},
        optional={"spec": spec, "status": status},
    )


STORED_SERVICES = services(
    STORED,
    some(
        model=models(lora=some(adapters=adapters()), confidential=some(enabled=st.booleans())),
        replicas=st.integers(0, 3),
        kvCacheOffloading=CACHES,
        prefill=some(kvCacheOffloading=CACHES, replicas=st.just(1)),
        router=some(scheduler=some(pool=some(spec=POOLS, ref=some(name=NAMES)))),
    ),
    some(
        url=NAMES,
        addresses=st.lists(some(url=NAMES, origin=some(kind=NAMES), models=st.just([]))),
        router=some(group=some(name=NAMES), gateways=st.just([])),
        workloads=some(primary=some(kind=NAMES)),
        appliedConfigs=st.lists(some(name=NAMES), max_size=1),
        referencedBy=st.lists(some(name=NAMES), max_size=1),
    ),
)
OLDER_SERVICES = services(
    OLDER,
    some(
        model=models(criticality=LEVELS, lora=some(adapters=adapters(criticality=LEVELS))),
        replicas=st.integers(0, 3),
        prefill=some(replicas=st.just(1)),
        router=some(scheduler=some(pool=some(spec=OLD_POOLS, ref=some(name=NAMES)))),
    ),
    some(url=NAMES, addresses=st.lists(some(url=NAMES))),
)


@MANY
@given(STORED_SERVICES)
def test_what_is_stored_survives_a_client_of_the_older_version(stored: Json) -> None:
    before = copy.deepcopy(stored)
    older = make_older(stored)
    assert older["apiVersion"] == OLDER
    assert make_stored(older) == stored == before


@MANY
@given(OLDER_SERVICES)
def test_what_an_older_client_wrote_comes_back_as_it_was(older: Json) -> None:
    before = copy.deepcopy(older)
    stored = make_stored(older)
    assert stored["apiVersion"] == STORED
    assert make_older(stored) == older == before


@pytest.mark.parametrize("kind", KINDS)
@MANY
@given(STORED_SERVICES)
def test_an_older_client_sees_only_fields_of_its_version(kind: str, stored: Json) -> None:
    older = {**make_older({**stored, "kind": kind}), "kind": kind}
    spec = {name: part for name, part in older.items() if name != "status"}
    unknown = REGISTRY.for_object(older)
    assert unknown is not None
    assert unknown.unknown is not None
    assert unknown.unknown(spec) == []


def test_the_pool_that_an_older_client_changes_takes_the_place_of_the_stored_one() -> None:
    pool = {
        "selector": {"matchLabels": {"app": "llm"}},
        "targetPorts": [{"number": 8000}, {"number": 8001}],
        "endpointPickerRef": {"name": "epp", "port": {"number": 9002}},
    }
    stored = {"apiVersion": STORED, "metadata": {"name": "m"}, "spec": {
        "router": {"scheduler": {"pool": {"spec": pool}}}}}  # fmt: skip
    older = make_older(stored)
    assert older["spec"]["router"]["scheduler"]["pool"]["spec"] == {
        "selector": {"app": "llm"},
        "targetPortNumber": 8000,
        "extensionRef": {"name": "epp", "portNumber": 9002, "failureMode": "FailClose"},
    }
    older["spec"]["router"]["scheduler"]["pool"]["spec"]["targetPortNumber"] = 9000
    again = make_stored(older)
    assert again["spec"]["router"]["scheduler"]["pool"]["spec"]["targetPorts"] == [{"number": 9000}]


def test_an_older_client_that_writes_its_own_file_gives_up_what_it_does_not_name() -> None:
    stored = {"apiVersion": STORED, "metadata": {"name": "m"},
              "spec": {"kvCacheOffloading": {"cpu": "1Gi"}}}  # fmt: skip
    older = make_older(stored)
    assert NEWER_FIELDS in older["metadata"]["annotations"]
    mine = {"apiVersion": OLDER, "metadata": {"name": "m"}, "spec": {}}
    assert make_stored(mine)["spec"] == {}


@pytest.mark.parametrize(
    "text",
    ["not JSON", "[]", '{"0": "Critical"}', '{"0":"Urgent"}', '{"7":"Critical"}'],
)
def test_an_annotation_that_is_not_ours_is_left_as_it_is(text: str) -> None:
    notes = {"internal.serving.kserve.io/lora-criticalities": text}
    stored = {"apiVersion": STORED, "metadata": {"name": "m", "annotations": notes},
              "spec": {"model": {"uri": "x", "lora": {"adapters": [{"name": "a"}]}}}}  # fmt: skip
    assert make_older(stored)["metadata"]["annotations"] == notes
    assert make_stored(make_older(stored)) == stored


@pytest.mark.parametrize("text", ["{", "[1]", '{"spec.model": {"uri": "y"}}'])
def test_a_broken_note_of_newer_fields_changes_nothing(text: str) -> None:
    older = {"apiVersion": OLDER, "metadata": {"name": "m", "annotations": {NEWER_FIELDS: text}},
             "spec": {"model": {"uri": "x"}}}  # fmt: skip
    assert make_stored(older) == {"apiVersion": STORED, "metadata": {"name": "m"},
                                  "spec": {"model": {"uri": "x"}}}  # fmt: skip


def test_a_sample_keeps_its_schema_in_the_other_version(recordings: Any, sample_name: str) -> None:
    sample = recordings.sample(sample_name)
    resource = REGISTRY.for_object(sample)
    if resource is None or sample["kind"] not in KINDS:
        return
    assert resource.admit is not None
    admitted = resource.admit(sample, None, AdmissionContext())
    if admitted.errors:
        return
    other = make_older(admitted.obj) if sample["apiVersion"] == STORED else make_stored(sample)
    definition = other["kind"] + ("V1alpha1" if other["apiVersion"] == OLDER else "")
    assert violations(schema_of(definition), other) == []
