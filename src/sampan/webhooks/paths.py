"""Where each webhook is served: KServe's paths, so that its configurations lead here as well."""

from __future__ import annotations

from sampan.machinery.registry import Resource

MUTATE_PODS = "/mutate-pods"
CONVERT = "/convert"

_GROUP = "serving.kserve.io"
MUTATED = frozenset(
    f"{plural}.{_GROUP}" for plural in ("inferenceservices", "llminferenceservices")
)
"""Resources to which an object is given defaults that its schema does not have."""
JUDGED = frozenset(
    f"{plural}.{_GROUP}"
    for plural in (
        "clusterservingruntimes",
        "inferencegraphs",
        "inferenceservices",
        "llminferenceserviceconfigs",
        "llminferenceservices",
        "localmodelcaches",
        "localmodelnamespacecaches",
        "localmodelnodegroups",
        "servingruntimes",
        "trainedmodels",
    )
)
"""Resources with rules beyond their schema, or of which there is something to be said."""


def mutate_path(resource: Resource) -> str:
    """Return where a resource's defaults are asked for (controller-runtime's way of naming)."""
    return f"/mutate-{_name(resource)}"


def validate_path(resource: Resource) -> str:
    """Return where a resource's verdict is asked for."""
    return f"/validate-{_name(resource)}"


def _name(resource: Resource) -> str:
    return f"{resource.group.replace('.', '-')}-{resource.version}-{resource.kind.lower()}"
