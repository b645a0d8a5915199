"""The real kubectl gives and takes access: roles, bindings, tokens, quotas."""

from __future__ import annotations

import json
import shutil

import pytest

from sampan.api.scheme import REGISTRY


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, running_server):
    """A server of the real kinds."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    with running_server(tmp_path_factory.mktemp("cluster"), REGISTRY) as found:
        found.run("create", "namespace", "lab")
        found.run("create", "serviceaccount", "bob", "-n", "lab")
        yield found


def test_a_token_and_a_binding_open_one_namespace(cluster):
    token = cluster.run("create", "token", "bob", "-n", "lab").strip()
    as_bob = ("--token", token, "--user", "nobody", "--kubeconfig", str(cluster.folder / "open"))
    config = json.loads(cluster.run("config", "view", "--raw", "-o", "json"))
    config["users"] = [{"name": "nobody", "user": {}}]
    (cluster.folder / "open").write_text(json.dumps(config))
    assert "system:serviceaccount:lab:bob" in cluster.run("auth", "whoami", *as_bob)
    said = cluster.run("get", "isvc", "-n", "lab", *as_bob, code=1)
    assert 'User "system:serviceaccount:lab:bob" cannot list resource "inferenceservices"' in said
    cluster.run(
        "create", "rolebinding", "bob", "-n", "lab", "--clusterrole=edit",
        "--serviceaccount=lab:bob",
    )  # fmt: skip
    cluster.run("create", "configmap", "mine", "-n", "lab", "--from-literal=a=b", *as_bob)
    assert "mine" in cluster.run("get", "cm", "-n", "lab", *as_bob)
    assert "Forbidden" in cluster.run("get", "cm", "-n", "default", *as_bob, code=1)
    assert cluster.run("auth", "can-i", "delete", "isvc", "-n", "lab", *as_bob) == "yes\n"
    assert cluster.run("auth", "can-i", "delete", "isvc", *as_bob, code=1).startswith("no")


def test_roles_are_made_by_command_and_asked_about_as_another(cluster):
    cluster.run("create", "role", "reader", "-n", "lab", "--verb=get,list", "--resource=secrets")
    cluster.run(
        "create", "clusterrole", "looker", "--verb=get", "--non-resource-url=/console/*"
    )  # fmt: skip
    cluster.run("create", "rolebinding", "r", "-n", "lab", "--role=reader", "--user=eve")
    cluster.run("create", "clusterrolebinding", "l", "--clusterrole=looker", "--group=ops")
    ask = ("auth", "can-i")
    assert cluster.run(*ask, "get", "secrets", "-n", "lab", "--as=eve") == "yes\n"
    assert cluster.run(*ask, "get", "secrets", "--as=eve", code=1) == "no - no rule allows it\n"
    assert cluster.run(*ask, "get", "/console/x", "--as=x", "--as-group=ops") == "yes\n"
    assert "secrets" in cluster.run(*ask, "--list", "-n", "lab", "--as=eve")
    told = cluster.run("get", "role,rolebinding", "-n", "lab")
    assert "role.rbac.authorization.k8s.io/reader" in told
    assert "Role/reader" in told


def test_the_roles_of_every_cluster_are_there(cluster):
    told = cluster.run("get", "clusterroles", "-o", "name").splitlines()
    names = {line.partition("/")[2] for line in told}
    assert {"cluster-admin", "admin", "edit", "view"} <= names
    assert "pods/log" in cluster.run("describe", "clusterrole", "view")


def test_auth_reconcile_brings_roles_up_to_date(cluster):
    role = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: synced, namespace: lab}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [%s]}]
"""
    cluster.run("auth", "reconcile", "-f", "-", stdin=role % "get")
    cluster.run("auth", "reconcile", "-f", "-", stdin=role % "get, list")
    rules = json.loads(cluster.run("get", "role", "synced", "-n", "lab", "-o", "json"))["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list"}


def test_a_quota_is_made_by_command_and_described(cluster):
    cluster.run("create", "quota", "few", "-n", "lab", "--hard=pods=3,configmaps=5")
    told = cluster.run("describe", "quota", "few", "-n", "lab").splitlines()
    assert "pods 0 3" in [" ".join(line.split()) for line in told]
    assert "pods: 0/3" in cluster.run("get", "quota", "-n", "lab")
