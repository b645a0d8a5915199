"""What a binding gets where it says nothing: the API groups of its role and of its subjects."""

from __future__ import annotations

from sampan.machinery.registry import JsonObject

RBAC_GROUP = "rbac.authorization.k8s.io"


def default_binding(obj: JsonObject) -> JsonObject:
    """Return the binding with its groups filled in (Kubernetes, `SetDefaults_RoleBinding`)."""
    role = {"apiGroup": RBAC_GROUP, **(obj.get("roleRef") or {})}
    subjects = [_with_group(subject) for subject in obj.get("subjects") or ()]
    return {**obj, "roleRef": role, **({"subjects": subjects} if subjects else {})}


def _with_group(subject: JsonObject) -> JsonObject:
    if subject.get("kind") not in ("User", "Group") or subject.get("apiGroup"):
        return subject
    return {**subject, "apiGroup": RBAC_GROUP}
