"""What makes the rules of a role valid (Kubernetes, `ValidatePolicyRule`)."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject

REQUIRED = "FieldValueRequired"


def validate_rules(role: JsonObject, *, namespaced: bool) -> Iterator[FieldError]:
    """Yield the mistakes in the rules of a role; only ClusterRoles can speak of paths."""
    for index, rule in enumerate(role.get("rules") or ()):
        yield from _rule(f"rules[{index}]", rule, namespaced=namespaced)


def _rule(path: str, rule: JsonObject, *, namespaced: bool) -> Iterator[FieldError]:
    if not rule.get("verbs"):
        text = "Required value: verbs must contain at least one value"
        yield FieldError(f"{path}.verbs", text, REQUIRED)
    paths, groups, resources = (
        rule.get(name) or [] for name in ("nonResourceURLs", "apiGroups", "resources")
    )
    if paths and namespaced:
        text = "Invalid value: namespaced rules cannot apply to non-resource URLs"
        yield FieldError(f"{path}.nonResourceURLs", text)
    if paths and (groups or resources or rule.get("resourceNames")):
        text = "Invalid value: rules cannot apply to both regular resources and non-resource URLs"
        yield FieldError(f"{path}.nonResourceURLs", text)
    if paths:
        return
    if not groups:
        text = "Required value: resource rules must supply at least one api group"
        yield FieldError(f"{path}.apiGroups", text, REQUIRED)
    if not resources:
        text = "Required value: resource rules must supply at least one resource"
        yield FieldError(f"{path}.resources", text, REQUIRED)
