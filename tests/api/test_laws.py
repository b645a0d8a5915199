"""Laws of views, schemas and defaults, on samples and on objects drawn from the schemas."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.drawn_objects import TEXTS, damaged, resources

from sampan.api.clusterrole.types import ClusterRole
from sampan.api.clusterrolebinding.types import ClusterRoleBinding
from sampan.api.configmap.types import ConfigMap
from sampan.api.controllerrevision.types import ControllerRevision
from sampan.api.event.types import Event
from sampan.api.namespace.types import Namespace
from sampan.api.resourcequota.types import ResourceQuota
from sampan.api.role.types import Role
from sampan.api.rolebinding.types import RoleBinding
from sampan.api.schema.definitions import schema_of
from sampan.api.schema.derive_all import KINDS as OURS
from sampan.api.schema.derive_all import OLDER
from sampan.api.schema.fields import completed, unknown_fields
from sampan.api.schema.violations import violations
from sampan.api.scheme import REGISTRY
from sampan.api.secret.types import Secret
from sampan.api.serviceaccount.types import ServiceAccount
from sampan.api.view import View
from sampan.machinery.registry import AdmissionContext, Resource

ACCESS = (Role, ClusterRole, RoleBinding, ClusterRoleBinding, ResourceQuota)
CORE = (ConfigMap, Secret, Namespace, ServiceAccount, Event, ControllerRevision, *ACCESS)
VIEWS = {view.__name__: view for view in (*OURS, *CORE)}
KINDS = [resource.kind for resource in REGISTRY]

EACH = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawn_object_survives_decoding_and_encoding(kind: str) -> None:
    @EACH
    @given(resources(kind), st.dictionaries(TEXTS.filter(bool), st.integers() | TEXTS, max_size=2))
    def law(obj: dict[str, Any], extra: dict[str, Any]) -> None:
        given_obj = {**extra, **obj}
        assert VIEWS[kind].decode(copy.deepcopy(given_obj)).encode() == given_obj

    law()


def test_a_sample_survives_decoding_and_encoding(recordings: Any, sample_name: str) -> None:
    sample = recordings.sample(sample_name)
    if REGISTRY.for_object(sample) is None or "spec" not in sample:
        return
    if recordings.recorded("knative", sample_name)["admission"]["code"] == 422:
        return  # its JSON types need not be those of the view
    assert view_of(sample).decode(copy.deepcopy(sample)).encode() == sample


def view_of(obj: dict[str, Any]) -> type[View]:
    """Return the view of an object's kind, in its version."""
    older = f"{obj['kind']}{obj['apiVersion'].rpartition('/')[2].capitalize()}"
    return {view.__name__: view for view in OLDER}.get(older, VIEWS[obj["kind"]])


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawn_object_breaks_nothing_and_has_no_unknown_field(kind: str) -> None:
    @EACH
    @given(resources(kind))
    def law(obj: dict[str, Any]) -> None:
        assert violations(schema_of(kind), obj) == []
        assert unknown_fields(schema_of(kind), obj) == []

    law()


@pytest.mark.parametrize("webhook", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_completing_is_idempotent_and_keeps_what_was_given(kind: str, webhook: bool) -> None:
    @EACH
    @given(resources(kind))
    def law(obj: dict[str, Any]) -> None:
        schema, before = schema_of(kind), copy.deepcopy(obj)
        once = completed(schema, obj, webhook=webhook)
        assert obj == before, "the given object was changed"
        assert completed(schema, once, webhook=webhook) == once
        assert unknown_fields(schema, once) == []

    law()


@pytest.mark.parametrize("resource", list(REGISTRY), ids=lambda r: r.kind)
def test_admission_is_idempotent_and_its_verdict_stands(resource: Resource) -> None:
    assert resource.admit is not None
    admit = resource.admit

    @EACH
    @given(resources(resource.kind))
    def law(obj: dict[str, Any]) -> None:
        before = copy.deepcopy(obj)
        once = admit(obj, None, AdmissionContext())
        assert obj == before, "the given object was changed"
        if once.denied:  # it is never stored, so nobody sends what was made of it
            return
        twice = admit(once.obj, None, AdmissionContext())
        assert twice.obj == once.obj
        assert (bool(twice.errors), bool(twice.denied)) == (bool(once.errors), bool(once.denied))

    law()


@pytest.mark.parametrize("resource", list(REGISTRY), ids=lambda r: r.kind)
def test_admission_answers_whatever_it_is_given(resource: Resource) -> None:
    assert resource.admit is not None
    admit = resource.admit

    @settings(EACH, max_examples=60)
    @given(damaged(resource.kind))
    def law(obj: dict[str, Any]) -> None:
        admitted = admit(obj, None, AdmissionContext())
        admit({**obj, "metadata": None}, obj, AdmissionContext())
        assert all(error.path and error.message for error in admitted.errors)

    law()
