"""An object set back to what its author could have written: applied anywhere, it means the same.

What the server writes is left out, and so is what admission would write again: a default that the
next server has otherwise is that server's to fill. Fields that somebody applied stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sampan.machinery.field_sets import FieldPath, keyed_items
from sampan.machinery.managed_fields import read_managers
from sampan.machinery.registry import JsonObject

Admit: TypeAlias = Callable[[JsonObject], JsonObject | None]
"""Return an object as admission would store it, None where it is refused. Pure."""

SERVER_FIELDS = frozenset(
    {
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers",
        "generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
    }
)  # fmt: skip
"""Of metadata: what the server and its controllers write."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KEPT = {("f:apiVersion",), ("f:kind",), ("f:metadata",), ("f:metadata", "f:name"),
         ("f:metadata", "f:namespace"), ("f:spec",)}  # fmt: skip


def without_server_fields(obj: Mapping[str, Any]) -> JsonObject:
    """Return an object without status and without what the server wrote into its metadata."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in SERVER_FIELDS}
    annotations = metadata.pop("annotations", None) or {}
    annotations = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    if annotations:
        metadata["annotations"] = annotations
    head = {k: obj[k] for k in ("apiVersion", "kind") if k in obj}
    rest = {k: v for k, v in obj.items() if k not in {*head, "metadata", "status"}}
    return {**head, "metadata": metadata, **rest}


def make_portable(obj: Mapping[str, Any], admit: Admit) -> JsonObject:
    """Return the shortest object that admission makes the same of, with all that was applied."""
    bare = without_server_fields(obj)
    stored = admit(bare)
    if stored is None:
        return bare
    applied = frozenset(
        path
        for manager, owned in read_managers(obj).items()
        if manager.operation == "Apply"
        for path in owned.fields
    )
    return _Shortening(copy.deepcopy(bare), stored, applied, admit).done()


class _Shortening:
    """Takes away one field after the other, as long as admission puts each of them back."""

    def __init__(
        self, obj: JsonObject, stored: JsonObject, applied: frozenset[FieldPath], admit: Admit
    ) -> None:
        self._obj = obj
        self._stored = stored
        self._admit = admit
        self._applied = {path[:end] for path in applied for end in range(1, len(path) + 1)}

    def done(self) -> JsonObject:
        """Return the object without what can be left out."""
        self._shorten(self._obj, (), "")
        return self._obj

    def _shorten(self, value: Any, path: FieldPath, name: str) -> None:
        if isinstance(value, list):
            # A list without keys has one owner: it is kept as it is.
            for element, item in (keyed_items(name, value) or {}).items():
                self._shorten(item, (*path, element), "")
        elif isinstance(value, dict):
            for key in list(value):
                where = (*path, f"f:{key}")
                if where in self._applied or where in _KEPT or not self._is_made(value, key):
                    self._shorten(value.get(key), where, key)

    def _is_made(self, parent: JsonObject, key: str) -> bool:
        """Take a field away; put it back where admission does not."""
        before = dict(parent)
        del parent[key]
        if self._admit(self._obj) == self._stored:
            return True
        parent.clear()
        parent.update(before)
        return False
