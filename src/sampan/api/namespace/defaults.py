"""What a Namespace gets where it says nothing: its name as a label, its finalizer, its phase."""

from __future__ import annotations

from sampan.machinery.registry import JsonObject

NAME_LABEL = "kubernetes.io/metadata.name"


def default_namespace(obj: JsonObject) -> JsonObject:
    """Return the Namespace as Kubernetes stores it."""
    metadata = dict(obj.get("metadata", {}))
    if metadata.get("name"):
        metadata["labels"] = {**metadata.get("labels", {}), NAME_LABEL: metadata["name"]}
    spec = {"finalizers": ["kubernetes"], **obj.get("spec", {})}
    status = {"phase": "Active", **obj.get("status", {})}
    return {**obj, "metadata": metadata, "spec": spec, "status": status}
