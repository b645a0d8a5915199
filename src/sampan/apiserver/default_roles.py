"""The ClusterRoles that every server has, with Kubernetes's names, and who has them.

`view`, `edit` and `admin` are meant for RoleBindings in a namespace: reading without Secrets,
writing too, and giving access to others of that namespace. A role that a person changed stays as
it is; one that was deleted comes back at the next start, as upstream.
"""

from __future__ import annotations

import contextlib

from sampan.apiserver.identity import AUTHENTICATED, MASTERS
from sampan.machinery.errors import AlreadyExists
from sampan.machinery.registry import JsonObject, Registry
from sampan.machinery.store import Store

RBAC_GROUP = "rbac.authorization.k8s.io"
SERVING = "serving.kserve.io"
READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "deletecollection", "patch", "update"]

_READABLE = ["configmaps", "events", "pods", "pods/log", "resourcequotas", "serviceaccounts"]
_READABLE += ["namespaces", "services"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*"]
_DISCOVERY += ["/readyz", "/version", "/version/"]


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> JsonObject:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


_REVIEWS = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
_VIEW = [
    _rule([""], _READABLE, READ),
    _rule([SERVING], ["*"], READ),
    _rule(["apps"], ["controllerrevisions"], READ),
    _rule(["metrics.k8s.io"], ["pods"], READ),
]
_EDIT = [
    *_VIEW,
    _rule([""], ["secrets"], READ),
    _rule([""], ["configmaps", "events", "secrets", "serviceaccounts"], WRITE),
    _rule([""], ["serviceaccounts/token"], ["create"]),
    _rule([SERVING], ["*"], WRITE),
]
_ADMIN = [
    *_EDIT,
    _rule([RBAC_GROUP], ["roles", "rolebindings"], [*READ, *WRITE]),
    _rule(["authorization.k8s.io"], ["localsubjectaccessreviews"], ["create"]),
]

RULES: dict[str, list[JsonObject]] = {
    "cluster-admin": [
        _rule(["*"], ["*"], ["*"]),
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ],
    "admin": _ADMIN,
    "edit": _EDIT,
    "view": _VIEW,
    "system:discovery": [{"nonResourceURLs": _DISCOVERY, "verbs": ["get"]}],
    "system:basic-user": [
        _rule(["authorization.k8s.io"], _REVIEWS, ["create"]),
        _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
    ],
}
"""ClusterRole to its rules."""

BOUND = {
    "cluster-admin": MASTERS,
    "system:discovery": AUTHENTICATED,
    "system:basic-user": AUTHENTICATED,
}
"""ClusterRole to the group that has it everywhere."""

LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}


def make_default_roles() -> list[JsonObject]:
    """Return the ClusterRoles."""
    return [_object("ClusterRole", name, {"rules": rules}) for name, rules in RULES.items()]


def make_default_bindings() -> list[JsonObject]:
    """Return the ClusterRoleBindings."""
    return [_object("ClusterRoleBinding", name, _binding(name)) for name in BOUND]


async def apply_default_roles(store: Store, registry: Registry) -> None:
    """Create the roles and bindings that are not there, where the registry has such kinds."""
    for obj in (*make_default_roles(), *make_default_bindings()):
        resource = registry.for_object(obj)
        if resource is not None:
            with contextlib.suppress(AlreadyExists):
                await store.create(resource.id, obj)


def _binding(name: str) -> JsonObject:
    return {
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": BOUND[name]}],
    }


def _object(kind: str, name: str, body: JsonObject) -> JsonObject:
    meta = {"name": name, "labels": LABELS}
    return {"apiVersion": f"{RBAC_GROUP}/v1", "kind": kind, "metadata": meta, **body}
