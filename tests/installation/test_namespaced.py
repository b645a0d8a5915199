"""An installation for some namespaces: nothing in it is the cluster's."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.app.bootstrap import shipped_runtimes
from sampan.app.operator_arguments import parse
from sampan.cli.main import main
from sampan.installation.bundle import make_bundle
from sampan.installation.options import Options

OPTIONS = Options(namespace="team-a", watched=("team-a", "team-b"))
NAMESPACED = {
    "ConfigMap", "Deployment", "PodDisruptionBudget", "Role", "RoleBinding", "ServiceAccount",
    "ServingRuntime",
}  # fmt: skip


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return make_bundle(OPTIONS, shipped_runtimes())


def test_every_object_is_of_one_of_the_namespaces(objects):
    assert {o["kind"] for o in objects} == NAMESPACED
    assert {o["metadata"]["namespace"] for o in objects} == {"team-a", "team-b"}


def test_no_right_is_on_what_is_the_cluster_s(objects):
    granted = {
        (group, resource)
        for o in objects
        if o["kind"] == "Role"
        for rule in o["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert ("serving.kserve.io", "inferenceservices") in granted
    assert not {r for _, r in granted if r.startswith("cluster")}
    assert not {g for g, _ in granted} & {"admissionregistration.k8s.io", "apiextensions.k8s.io"}


def test_the_lease_and_the_configuration_are_of_the_operator_s_own_namespace(objects):
    roles = {o["metadata"]["namespace"]: o["rules"] for o in objects if o["kind"] == "Role"}
    holding = [n for n, rules in roles.items() if any("leases" in r["resources"] for r in rules)]
    assert holding == ["team-a"]


def test_the_pod_s_arguments_are_the_operator_s_and_no_webhook_is_served(objects):
    [deployment] = [o for o in objects if o["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    options = parse(container["args"][1:])
    assert options.watched == ("team-a", "team-b")
    assert options.webhook_port == 0
    assert [port["name"] for port in container["ports"]] == ["health"]


def test_the_first_namespace_is_the_operator_s_where_none_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["install", "--namespaced", "team-b"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "namespace: team-b" in text
    assert "namespace: kserve" not in text


def test_a_chart_for_some_namespaces_is_refused(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["install", "--namespaced", "a", "--format", "helm", "-o", str(tmp_path / "x")])
    assert ended.value.code == 2
    assert "--format helm" in capsys.readouterr().err
