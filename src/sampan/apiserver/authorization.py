"""May a user do this: the roles that are bound to him, read from the store when asked.

(Kubernetes, "Using RBAC Authorization".) Rules only allow, so the answer is whether any rule of
any role bound to the user or one of his groups allows it. The owner is in `system:masters` and is
never asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sampan.apiserver.identity import User, parse_account
from sampan.apiserver.rules import Attributes, Rule, allows
from sampan.machinery.errors import Forbidden, NotFound
from sampan.machinery.labels import make_selector
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store

GROUP = "rbac.authorization.k8s.io"
ROLES, CLUSTER_ROLES = f"roles.{GROUP}", f"clusterroles.{GROUP}"
BINDINGS, CLUSTER_BINDINGS = f"rolebindings.{GROUP}", f"clusterrolebindings.{GROUP}"
EVERYTHING: list[Rule] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Decides by the roles and bindings of a store."""

    store: Store

    async def check(self, user: User, asked: Attributes) -> None:
        """Raise Forbidden, in Kubernetes's words, where no rule allows what is asked."""
        if not await self.allowed(user, asked):
            raise forbidden(user, asked)

    async def allowed(self, user: User, asked: Attributes) -> bool:
        """Whether a user may do what is asked."""
        if user.is_master:
            return True
        return any(allows(rule, asked) for rule in await self.rules_of(user, asked.namespace))

    async def rules_of(self, user: User, namespace: str) -> list[Rule]:
        """Return every rule that a user has in a namespace (empty: only those everywhere)."""
        if user.is_master:
            return EVERYTHING
        bound = await self._bound(CLUSTER_BINDINGS, "", user)
        if namespace:
            bound += await self._bound(BINDINGS, namespace, user)
        return [rule for binding in bound for rule in await self.rules_behind(binding)]

    async def rules_behind(self, binding: JsonObject) -> list[Rule]:
        """Return the rules of the role that a binding refers to; none where it is not there."""
        reference = binding.get("roleRef") or {}
        namespace = binding["metadata"].get("namespace", "")
        clusterwide = reference.get("kind") == "ClusterRole"
        resource, place = (CLUSTER_ROLES, "") if clusterwide else (ROLES, namespace)
        try:
            role = await self.store.get(Key(resource, place, str(reference.get("name", ""))))
        except NotFound:
            return []
        return [*(role.get("rules") or ()), *await self._aggregated(role)]

    async def _aggregated(self, role: JsonObject) -> list[Rule]:
        """Return the rules of the ClusterRoles that a ClusterRole's aggregation rule selects."""
        selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
        found: list[Rule] = []
        for selector in selectors:
            labels = make_selector(selector)
            for other in (await self.store.list(CLUSTER_ROLES)).items:
                if labels.requirements and labels.matches(other["metadata"].get("labels")):
                    found += other.get("rules") or ()
        return found

    async def _bound(self, resource: str, namespace: str, user: User) -> list[JsonObject]:
        bindings = (await self.store.list(resource, namespace)).items
        return [b for b in bindings if _is_bound(b.get("subjects") or (), user)]


def forbidden(user: User, asked: Attributes, why: str = "") -> Forbidden:
    """Return the refusal, in Kubernetes's words."""
    if asked.path:
        return Forbidden(f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"')
    place = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    qualified = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    named = f' "{asked.name}"' if asked.name else ""
    details = {"kind": asked.resource}
    details |= {"name": asked.name} if asked.name else {}
    details |= {"group": asked.group} if asked.group else {}
    return Forbidden(
        f'{qualified}{named} is forbidden: User "{user.name}" cannot {asked.verb} resource '
        f'"{asked.qualified}" in API group "{asked.group}" {place}{why}',
        details=details,
    )


def _is_bound(subjects: Iterable[JsonObject], user: User) -> bool:
    account = parse_account(user.name)
    for subject in subjects:
        kind, name = subject.get("kind"), subject.get("name")
        if (kind == "User" and name == user.name) or (kind == "Group" and name in user.groups):
            return True
        if kind == "ServiceAccount" and account == (subject.get("namespace"), name):
            return True
    return False
