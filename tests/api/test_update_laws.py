"""Laws of updates: judged as a create is, and by the rules of change that `rules/` names."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.drawn_objects import damaged, resources
from tests.api.rule_tables import read_rows

from sampan.api.scheme import REGISTRY
from sampan.machinery.registry import AdmissionContext, Admitted, Resource

Json = dict[str, Any]
EACH = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
EVERY_KIND = pytest.mark.parametrize("resource", list(REGISTRY), ids=lambda r: r.kind)
WORDS = st.sampled_from(["Standard", "Knative", "ModelMesh", "RawDeployment", "Serverless"])
MODE = "serving.kserve.io/deploymentMode"

RULES_OF_CHANGE = {(row.obj["kind"], row.at) for row in read_rows() if row.before is not None}
"""Kind and field of each rule that compares an object with what it was."""

ALIKE = {
    "ClusterServingRuntime": "ServingRuntime",
    "LLMInferenceServiceConfig": "LLMInferenceService",
    "ClusterRoleBinding": "RoleBinding",
}
"""Kinds that have the rules of another."""


def judged(resource: Resource, obj: Json, old: Json | None) -> Admitted:
    assert resource.admit is not None
    return resource.admit(copy.deepcopy(obj), copy.deepcopy(old), AdmissionContext())


def mistakes(admitted: Admitted) -> set[tuple[str, str]]:
    return {(error.path, error.message) for error in (*admitted.errors, *admitted.causes)}


def allowed(admitted: Admitted) -> bool:
    return not admitted.errors and not admitted.denied


@EVERY_KIND
def test_an_update_is_refused_for_what_a_create_is_and_for_rules_of_change(
    resource: Resource,
) -> None:
    kind = ALIKE.get(resource.kind, resource.kind)
    fields = {at for named, at in RULES_OF_CHANGE if named == kind}

    @EACH
    @given(resources(resource.kind), resources(resource.kind) | damaged(resource.kind))
    def law(old: Json, new: Json) -> None:
        created, updated = judged(resource, new, None), judged(resource, new, old)
        assert updated == judged(resource, new, old), "the verdict is another one the second time"
        further = mistakes(updated) - mistakes(created)
        assert {path for path, _ in further} <= fields
        assert mistakes(created) <= mistakes(updated) or _is_going(new)

    law()


def _is_going(obj: Json) -> bool:
    metadata = obj.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("deletionTimestamp"))


@EVERY_KIND
def test_an_object_may_stay_as_it_is(resource: Resource) -> None:
    @EACH
    @given(resources(resource.kind))
    def law(obj: Json) -> None:
        created = judged(resource, obj, None)
        if allowed(created):
            again = judged(resource, created.obj, created.obj)
            assert allowed(again)
            assert again.obj == created.obj

    law()


@EVERY_KIND
def test_what_was_broken_by_hand_may_be_mended(resource: Resource) -> None:
    """What lies in a store may be older than a rule; going back to what is sound is allowed."""
    kind = ALIKE.get(resource.kind, resource.kind)
    fields = {at for named, at in RULES_OF_CHANGE if named == kind}

    @EACH
    @given(damaged(resource.kind), resources(resource.kind))
    def law(old: Json, new: Json) -> None:
        if allowed(judged(resource, new, None)):
            assert {path for path, _ in mistakes(judged(resource, new, old))} <= fields

    law()


@EACH
@given(WORDS, WORDS)
def test_a_service_stays_in_its_mode_whatever_words_are_written_for_it(now: str, then: str) -> None:
    resource = REGISTRY.get("inferenceservices.serving.kserve.io")
    plain = {"RawDeployment": "Standard", "Serverless": "Knative"}
    service = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "a", "namespace": "b", "annotations": {MODE: then}},
        "spec": {"predictor": {"sklearn": {"storageUri": "s3://b/m"}}},
    }
    verdict = judged(resource, service, {**service, "status": {"deploymentMode": now}})
    assert allowed(verdict) is (plain.get(now, now) == plain.get(then, then))
