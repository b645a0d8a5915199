"""Who may do what: roles and bindings honoured for the tokens of ServiceAccounts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sampan.api.scheme import REGISTRY
from sampan.apiserver.rules import Attributes, allows, covers
from sampan.apiserver.server import ApiServer
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SERVING = "/apis/serving.kserve.io/v1beta1"
QUOTAS, BINDINGS = "/api/v1/namespaces/lab/resourcequotas", f"{RBAC}/namespaces/lab/rolebindings"
APPLY = {"content-type": "application/apply-patch+yaml"}


def services(namespace):
    return f"{SERVING}/namespaces/{namespace}/inferenceservices"


def service(name="iris"):
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://models/a"}
    return {"metadata": {"name": name}, "spec": {"predictor": {"model": model}}}


def binding(role, *subjects, kind="ClusterRole", name="b"):
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
    return {"metadata": {"name": name}, "roleRef": reference, "subjects": list(subjects)}


def account(namespace="lab", name="bob"):
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


@pytest.fixture
async def owner(client_of):
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, client_of.token)
    await server.start()
    client = client_of(server)
    for namespace in ("lab", "office"):
        await client.ok("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        await client.ok("POST", services(namespace), service())
    await client.ok("POST", "/api/v1/namespaces/lab/serviceaccounts", {"metadata": {"name": "bob"}})
    yield client
    server.stop()
    await store.close()


@pytest.fixture
async def bob(owner):
    """A client with the token of ServiceAccount `bob` of namespace `lab`, which may nothing yet."""
    path = "/api/v1/namespaces/lab/serviceaccounts/bob/token"
    token = (await owner.ok("POST", path, {}))["status"]["token"]
    return replace(owner, headers={**owner.headers, "authorization": f"Bearer {token}"})


@pytest.fixture
def give(owner):
    """Give bob a ClusterRole in namespace `lab`."""

    async def give(role):
        await owner.ok("POST", f"{RBAC}/namespaces/lab/rolebindings", binding(role, account()))

    return give


async def test_a_token_without_a_role_may_only_look_around(bob):
    for path in ("/api", "/apis", "/apis/serving.kserve.io/v1beta1", "/openapi/v3"):
        assert (await bob.send("GET", path)).code == 200
    told = await bob.json("GET", services("lab"))
    assert (told["code"], told["reason"]) == (403, "Forbidden")
    assert told["message"] == (
        'inferenceservices.serving.kserve.io is forbidden: User "system:serviceaccount:lab:bob" '
        'cannot list resource "inferenceservices" in API group "serving.kserve.io" in the '
        'namespace "lab"'
    )


@pytest.mark.parametrize(
    ("role", "request_", "code"),
    [
        pytest.param("view", ("GET", services("lab"), None), 200,
                     id="view reads services"),
        pytest.param("view", ("GET", f"{services('lab')}/iris/status", None), 200,
                     id="view reads their status"),
        pytest.param("view", ("GET", "/api/v1/namespaces/lab", None), 200,
                     id="view reads its namespace"),
        pytest.param("view", ("POST", services("lab"), service("x")), 403,
                     id="view makes nothing"),
        pytest.param("view", ("DELETE", f"{services('lab')}/iris", None), 403,
                     id="view deletes nothing"),
        pytest.param("view", ("GET", "/api/v1/namespaces/lab/secrets", None), 403,
                     id="view reads no secrets"),
        pytest.param("edit", ("POST", services("lab"), service("x")), 201,
                     id="edit makes services"),
        pytest.param("edit", ("GET", "/api/v1/namespaces/lab/secrets", None), 200,
                     id="edit reads secrets"),
        pytest.param("edit", ("POST", QUOTAS, {"metadata": {"name": "q"}}), 403,
                     id="edit sets no quota"),
        pytest.param("edit", ("POST", BINDINGS, binding("view", account())), 403,
                     id="edit gives no roles"),
        pytest.param("admin", ("POST", BINDINGS, binding("view", account(), name="c")), 201,
                     id="admin gives roles"),
        pytest.param("admin", ("POST", QUOTAS, {"metadata": {"name": "q"}}), 403,
                     id="admin sets no quota of its own"),
    ],
)  # fmt: skip
async def test_a_role_in_a_namespace(bob, give, role, request_, code):
    await give(role)
    reply = await bob.send(*request_)
    assert reply.code == code, reply.body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", services("office")),
        ("GET", f"{services('office')}/iris"),
        ("GET", f"{SERVING}/inferenceservices"),
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/namespaces"),
        ("GET", "/api/v1/namespaces/office"),
        ("GET", "/apis/serving.kserve.io/v1alpha1/clusterservingruntimes"),
        ("DELETE", f"{services('office')}/iris"),
        ("DELETE", "/api/v1/namespaces/lab"),
        ("POST", f"{RBAC}/clusterrolebindings"),
    ],
)
async def test_even_an_admin_of_one_namespace_sees_nothing_of_others(bob, give, method, path):
    await give("admin")
    reply = await bob.send(method, path, {} if method == "POST" else None)
    assert reply.code == 403, reply.body


async def test_a_watch_of_another_namespace_is_refused_as_a_watch(bob, give):
    await give("admin")
    told = await bob.json("GET", services("office"), query={"watch": "true"})
    assert "cannot watch resource" in told["message"]


async def test_nobody_gives_what_he_has_not(bob, give):
    await give("admin")
    path = f"{RBAC}/namespaces/lab/rolebindings"
    told = await bob.json("POST", path, binding("cluster-admin", account(), name="more"))
    assert told["code"] == 403
    assert "is attempting to grant RBAC permissions not currently held" in told["message"]
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    role = {"metadata": {"name": "more"}, "rules": [rule]}
    told = await bob.json("POST", f"{RBAC}/namespaces/lab/roles", role)
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in told["message"]


async def test_who_holds_bind_gives_a_role_that_he_has_not(owner, bob, give):
    await give("admin")
    rule = {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles"],
        "resourceNames": ["cluster-admin"],
        "verbs": ["bind"],
    }
    role = {"metadata": {"name": "binder"}, "rules": [rule]}
    await owner.ok("POST", f"{RBAC}/namespaces/lab/roles", role)
    body = binding("binder", account(), kind="Role", name="binder")
    await owner.ok("POST", f"{RBAC}/namespaces/lab/rolebindings", body)
    body = binding("cluster-admin", account(), name="more")
    await bob.ok("POST", f"{RBAC}/namespaces/lab/rolebindings", body)


async def test_a_rule_may_name_objects(owner, bob):
    rule = {
        "apiGroups": ["serving.kserve.io"],
        "resources": ["inferenceservices"],
        "resourceNames": ["iris"],
        "verbs": ["get", "patch"],
    }
    role = {"metadata": {"name": "one"}, "rules": [rule]}
    await owner.ok("POST", f"{RBAC}/namespaces/lab/roles", role)
    body = binding("one", account(), kind="Role")
    await owner.ok("POST", f"{RBAC}/namespaces/lab/rolebindings", body)
    assert (await bob.send("GET", f"{services('lab')}/iris")).code == 200
    assert (await bob.send("GET", f"{services('lab')}/other")).code == 403
    assert (await bob.send("GET", services("lab"))).code == 403


async def test_an_apply_that_makes_an_object_needs_create(owner, bob):
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "verbs": ["get", "patch"],
    }
    await owner.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "p"}, "rules": [rule]})
    body = binding("p", account())
    await owner.ok("POST", f"{RBAC}/namespaces/lab/rolebindings", body)
    told = await bob.json(
        "PATCH", "/api/v1/namespaces/lab/configmaps/new", {"data": {"a": "1"}},
        headers=APPLY, query={"fieldManager": "me"},
    )  # fmt: skip
    assert "cannot create resource" in told["message"]


async def test_a_cluster_role_collects_others_by_label(owner, bob):
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    part = {"metadata": {"name": "part", "labels": {"into": "whole"}}, "rules": [rule]}
    selector = {"matchLabels": {"into": "whole"}}
    whole = {
        "metadata": {"name": "whole"},
        "aggregationRule": {"clusterRoleSelectors": [selector]},
        "rules": [],
    }
    for role in (part, whole):
        await owner.ok("POST", f"{RBAC}/clusterroles", role)
    await owner.ok("POST", f"{RBAC}/clusterrolebindings", binding("whole", account()))
    assert (await bob.send("GET", "/api/v1/configmaps")).code == 200


async def test_a_group_of_accounts_is_bound(owner, bob):
    group = {"kind": "Group", "name": "system:serviceaccounts:lab"}
    await owner.ok("POST", f"{RBAC}/namespaces/office/rolebindings", binding("view", group))
    assert (await bob.send("GET", services("office"))).code == 200


async def test_taking_a_binding_away_counts_at_once(owner, bob, give):
    await give("view")
    assert (await bob.send("GET", services("lab"))).code == 200
    await owner.ok("DELETE", f"{RBAC}/namespaces/lab/rolebindings/b")
    assert (await bob.send("GET", services("lab"))).code == 403


async def test_reviews_answer_for_the_one_who_asks_and_for_others(owner, bob, give):
    await give("view")
    authorization = "/apis/authorization.k8s.io/v1"
    asked = {"verb": "list", "resource": "pods", "namespace": "lab"}
    body = {"spec": {"resourceAttributes": asked}}
    path = f"{authorization}/selfsubjectaccessreviews"
    assert (await bob.ok("POST", path, body))["status"]["allowed"] is True
    asked["namespace"] = "office"
    assert (await bob.ok("POST", path, body))["status"]["allowed"] is False
    about_bob = {"spec": {**body["spec"], "user": "system:serviceaccount:lab:bob"}}
    path = f"{authorization}/subjectaccessreviews"
    assert (await owner.ok("POST", path, about_bob))["status"]["allowed"] is False
    assert (await bob.send("POST", path, about_bob)).code == 403
    path = f"{authorization}/namespaces/lab/localsubjectaccessreviews"
    assert (await owner.ok("POST", path, about_bob))["status"]["allowed"] is True
    rules = await bob.ok(
        "POST", f"{authorization}/selfsubjectrulesreviews", {"spec": {"namespace": "lab"}}
    )
    resources = [r for rule in rules["status"]["resourceRules"] for r in rule["resources"]]
    assert "pods/log" in resources


async def test_the_owner_acts_as_another(owner, give):
    await give("view")
    as_bob = {"impersonate-user": "system:serviceaccount:lab:bob"}
    assert (await owner.send("GET", services("lab"), headers=as_bob)).code == 200
    assert (await owner.send("GET", services("office"), headers=as_bob)).code == 403


async def test_acting_as_another_is_not_for_everybody(bob, give):
    await give("admin")
    told = await bob.json("GET", services("lab"), headers={"impersonate-user": "sampan"})
    assert 'cannot impersonate resource "users"' in told["message"]
    told = await bob.json("GET", "/api", headers={"impersonate-group": "system:masters"})
    assert (told["code"], "needs an Impersonate-User" in told["message"]) == (400, True)


@pytest.mark.parametrize(
    ("plural", "body", "field"),
    [
        ("roles", {"rules": [{"verbs": ["get"]}]}, "rules[0].apiGroups"),
        ("roles", {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]},
         "rules[0].nonResourceURLs"),
        ("roles", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}]},
         "rules[0].verbs"),
        ("rolebindings", {"roleRef": {"kind": "Robot", "name": "x"}}, "roleRef.kind"),
        ("rolebindings", {"roleRef": {"kind": "Role", "name": "x"},
                          "subjects": [{"kind": "ServiceAccount", "name": "x"}]},
         "subjects[0].namespace"),
        ("rolebindings", {"roleRef": {"kind": "Role", "name": "x"},
                          "subjects": [{"kind": "Robot", "name": "x"}]}, "subjects[0].kind"),
    ],
)  # fmt: skip
async def test_a_role_or_binding_that_says_nothing_is_refused(owner, plural, body, field):
    path = f"{RBAC}/namespaces/lab/{plural}"
    told = await owner.json("POST", path, {"metadata": {"name": "x"}, **body})
    assert told["code"] == 422, told
    assert field in [cause["field"] for cause in told["details"]["causes"]]


async def test_a_binding_keeps_its_role(owner, give):
    await give("view")
    path = f"{RBAC}/namespaces/lab/rolebindings/b"
    found = await owner.ok("GET", path)
    found["roleRef"]["name"] = "admin"
    told = await owner.json("PUT", path, found)
    assert "cannot change roleRef" in told["message"], json.dumps(told)


RULE = {"apiGroups": [""], "resources": ["pods", "*/status"], "verbs": ["get"]}


@pytest.mark.parametrize(
    ("asked", "yes"),
    [
        pytest.param(Attributes("get", "", "pods"), True, id="what it names"),
        pytest.param(Attributes("list", "", "pods"), False, id="another verb"),
        pytest.param(Attributes("get", "apps", "pods"), False, id="another group"),
        pytest.param(Attributes("get", "", "pods", "log"), False, id="a part needs its own name"),
        pytest.param(Attributes("get", "", "nodes", "status"), True, id="a part of everything"),
        pytest.param(Attributes("get", path="/healthz"), False, id="a path"),
    ],
)
def test_a_rule_allows(asked, yes):
    assert allows(RULE, asked) is yes


@pytest.mark.parametrize(
    ("path", "yes"), [("/api", False), ("/api/v1", True), ("/apis", False), ("/version", True)]
)
def test_a_path_may_end_in_a_star(path, yes):
    rule = {"nonResourceURLs": ["/api/*", "/version"], "verbs": ["get"]}
    assert allows(rule, Attributes("get", path=path)) is yes


def test_a_wildcard_is_covered_by_a_wildcard_only():
    every = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    assert covers([RULE], [every]) == [every]
    assert covers([every], [RULE, every]) == []
    assert covers([RULE], [RULE]) == []
