"""The kinds of who may do what, and how much: Kubernetes's own, honoured for tokens."""

from __future__ import annotations

from sampan.machinery.registry import Column, Resource

RBAC_GROUP = "rbac.authorization.k8s.io"
_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_ROLE = Column("Role", ".roleRef.name")


def _rbac(kind: str, *columns: Column, namespaced: bool) -> Resource:
    return Resource(
        group=RBAC_GROUP,
        version="v1",
        kind=kind,
        plural=f"{kind.lower()}s",
        singular=kind.lower(),
        namespaced=namespaced,
        generation=False,
        columns=(*columns, _AGE),
    )


ACCESS_RESOURCES = (
    _rbac("Role", namespaced=True),
    _rbac("ClusterRole", namespaced=False),
    _rbac("RoleBinding", _ROLE, namespaced=True),
    _rbac("ClusterRoleBinding", _ROLE, namespaced=False),
    Resource(
        group="",
        version="v1",
        kind="ResourceQuota",
        plural="resourcequotas",
        singular="resourcequota",
        short_names=("quota",),
        status_subresource=True,
        generation=False,
        columns=(Column("Hard", ".status.hard"), Column("Used", ".status.used"), _AGE),
    ),
)
