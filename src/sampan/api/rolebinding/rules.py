"""What makes a binding valid (Kubernetes, `ValidateRoleBinding` and its update)."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.admission import admit_by_schema
from sampan.api.rolebinding.defaults import RBAC_GROUP, default_binding
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import Admitted, JsonObject

GROUPS = {"User": RBAC_GROUP, "Group": RBAC_GROUP, "ServiceAccount": ""}
REQUIRED, UNSUPPORTED = "FieldValueRequired", "FieldValueNotSupported"


def admit_binding(
    kind: str, obj: JsonObject, old: JsonObject | None, roles: tuple[str, ...]
) -> Admitted:
    """Default and check a binding that may refer to these kinds of roles."""
    admitted = admit_by_schema(kind, obj)
    if admitted.errors:
        return admitted
    binding = default_binding(admitted.obj)
    errors = [*_role(binding["roleRef"], roles), *_unchanged(binding, old), *_subjects(binding)]
    return Admitted(binding, errors=tuple(errors))


def _role(role: JsonObject, kinds: tuple[str, ...]) -> Iterator[FieldError]:
    if role["apiGroup"] != RBAC_GROUP:
        yield _unsupported("roleRef.apiGroup", role["apiGroup"], (RBAC_GROUP,))
    if role.get("kind") not in kinds:
        yield _unsupported("roleRef.kind", str(role.get("kind", "")), kinds)
    if not role.get("name"):
        yield FieldError("roleRef.name", "Required value", REQUIRED)


def _unchanged(binding: JsonObject, old: JsonObject | None) -> Iterator[FieldError]:
    if old is not None and old.get("roleRef") != binding["roleRef"]:
        yield FieldError(
            "roleRef",
            "Invalid value: cannot change roleRef; delete the binding and make a new one",
        )


def _subjects(binding: JsonObject) -> Iterator[FieldError]:
    for index, subject in enumerate(binding.get("subjects") or ()):
        path, kind = f"subjects[{index}]", str(subject.get("kind", ""))
        if kind not in GROUPS:
            yield _unsupported(f"{path}.kind", kind, tuple(GROUPS))
            continue
        if (group := subject.get("apiGroup", "")) != GROUPS[kind]:
            yield _unsupported(f"{path}.apiGroup", group, (GROUPS[kind],))
        if not subject.get("name"):
            yield FieldError(f"{path}.name", "Required value", REQUIRED)
        if kind == "ServiceAccount" and not subject.get("namespace"):
            yield FieldError(f"{path}.namespace", "Required value", REQUIRED)


def _unsupported(path: str, value: str, known: tuple[str, ...]) -> FieldError:
    listed = ", ".join(f'"{k}"' for k in known)
    text = f'Unsupported value: "{value}": supported values: {listed}'
    return FieldError(path, text, UNSUPPORTED)
