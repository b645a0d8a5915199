"""The objects of an installation: valid, restricted, and no more than is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from sampan.api.scheme import GROUP, REGISTRY
from sampan.app.operator_arguments import parse
from sampan.cli.main import VERBS
from sampan.installation.bundle import make_bundle, make_operator
from sampan.installation.options import OPERATOR, Options
from sampan.installation.rights import RIGHTS
from sampan.machinery.registry import AdmissionContext

ADMITTED = ("ClusterServingRuntime", "ClusterStorageContainer")
MODELS = {
    "apps/v1": "apps_v1",
    "v1": "core_v1",
    "rbac.authorization.k8s.io/v1": "rbac_v1",
    "policy/v1": "policy_v1",
    "admissionregistration.k8s.io/v1": "admissionregistration_v1",
    "apiextensions.k8s.io/v1": "apiextensions_v1",
}
"""Kubernetes's types, as generated from its own definitions."""


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [o for o in objects if o["kind"] == kind]


def test_every_object_is_one_of_kubernetes_s_with_no_field_that_it_does_not_know(
    bundle: list[dict[str, Any]],
) -> None:
    known = [o for o in bundle if o["apiVersion"] in MODELS]
    for obj in known:
        model = getattr(import_module(f"lightkube.models.{MODELS[obj['apiVersion']]}"), obj["kind"])
        if obj["kind"] == "CustomResourceDefinition":
            continue  # schemas have names of JSON Schema that no Python field can have
        again = model.from_dict(obj).to_dict()
        assert again == obj, obj["metadata"]["name"]
    assert len(known) > 20


def test_every_other_object_is_admitted_by_its_own_rules(bundle: list[dict[str, Any]]) -> None:
    context = AdmissionContext()
    admitted = 0
    for obj in bundle:
        resource = REGISTRY.for_object(obj)
        if obj["kind"] in ADMITTED and resource is not None and resource.admit is not None:
            verdict = resource.admit(obj, None, context)
            assert (verdict.errors, verdict.denied) == ((), ""), obj["metadata"]["name"]
            admitted += 1
    assert admitted >= 5


def test_every_kind_of_kserve_is_defined(bundle: list[dict[str, Any]]) -> None:
    defined = {o["metadata"]["name"] for o in of_kind(bundle, "CustomResourceDefinition")}
    assert defined == {r.id for r in REGISTRY if r.group == GROUP}


def test_what_is_needed_first_comes_first(bundle: list[dict[str, Any]]) -> None:
    kinds = [o["kind"] for o in bundle]
    order = (
        "Namespace",
        "CustomResourceDefinition",
        "ClusterStorageContainer",
        "ClusterServingRuntime",
        "ClusterRole",
        "Deployment",
        "ValidatingWebhookConfiguration",
    )
    places = [kinds.index(kind) for kind in order]
    assert places == sorted(places)


def test_beside_kserve_only_the_operator_is_installed() -> None:
    kinds = {o["kind"] for o in make_operator(Options())}
    assert not kinds & {"CustomResourceDefinition", "ConfigMap", "Namespace", *ADMITTED}
    assert {"Deployment", "ClusterRole", "MutatingWebhookConfiguration"} <= kinds


def test_the_pod_passes_the_restricted_profile(bundle: list[dict[str, Any]]) -> None:
    """Kubernetes, "Pod Security Standards", Restricted: each control."""
    [deployment] = of_kind(bundle, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        assert not pod.get(field)
    allowed = {"configMap", "downwardAPI", "emptyDir", "projected", "secret"}
    assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert not context.get("privileged")
        assert not any("hostPort" in port for port in container["ports"])


def test_the_pod_s_command_is_one_that_the_operator_takes(bundle: list[dict[str, Any]]) -> None:
    [deployment] = of_kind(bundle, "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    verb, *arguments = container["args"]
    options = parse(arguments)
    assert verb in VERBS
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"webhook": options.webhook_port, "health": options.health_port}
    assert (options.host, options.namespace) == ("0.0.0.0", "kserve")
    [service] = of_kind(bundle, "Service")
    assert service["spec"]["ports"][0]["targetPort"] == options.webhook_port


def test_the_operator_s_own_namespace_is_left_out_by_the_pod_webhook(
    bundle: list[dict[str, Any]],
) -> None:
    [namespace] = of_kind(bundle, "Namespace")
    assert "control-plane" in namespace["metadata"]["labels"]


@pytest.mark.parametrize("right", RIGHTS, ids=lambda r: f"{','.join(r.resources)}: {r.reason}")
def test_a_right(right: Any) -> None:
    assert "*" not in (right.group, *right.resources, *right.verbs)
    assert right.reason
    if "secrets" in right.resources:
        assert not {"list", "watch"} & set(right.verbs), "nobody's Secrets are listed"


def test_roles_are_given_to_the_account_that_the_pod_has(bundle: list[dict[str, Any]]) -> None:
    [deployment] = of_kind(bundle, "Deployment")
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        [binding] = of_kind(bundle, kind)
        [subject] = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (account, "kserve")
        assert binding["roleRef"]["name"] == OPERATOR


def test_another_namespace_is_meant_everywhere() -> None:
    assert "kserve/" not in str(
        [o for o in make_operator(Options(namespace="models")) if "namespace" in str(o)]
    )
    for obj in make_bundle(Options(namespace="models"), ()):
        assert obj["metadata"].get("namespace", "models") == "models"
