"""The table: rows by kind and path, and the row that speaks for a field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sampan.plan.fields.other_rows import (
    ACCOUNT,
    BINDING,
    CLUSTER_ROLE,
    CONFIG_MAP,
    EVENT,
    GRAPH,
    LLM,
    LOCAL_MODEL,
    NAMESPACE,
    QUOTA,
    REVISION,
    ROLE,
    RUNTIME,
    SECRET,
    STORAGE_CONTAINER,
    TRAINED_MODEL,
)
from sampan.plan.fields.paths import parts_of, values_at
from sampan.plan.fields.service_rows import SERVICE
from sampan.plan.fields.verdicts import Row, Warned, Where

FIELD_TABLE: Mapping[str, Mapping[str, Row]] = {
    "InferenceService": SERVICE,
    "ServingRuntime": RUNTIME,
    "ClusterServingRuntime": RUNTIME,
    "InferenceGraph": GRAPH,
    "TrainedModel": TRAINED_MODEL,
    "ClusterStorageContainer": STORAGE_CONTAINER,
    "LocalModelCache": LOCAL_MODEL,
    "LocalModelNamespaceCache": LOCAL_MODEL,
    "LocalModelNodeGroup": LOCAL_MODEL,
    "LocalModelNode": LOCAL_MODEL,
    "LLMInferenceService": LLM,
    "LLMInferenceServiceConfig": LLM,
    "ConfigMap": CONFIG_MAP,
    "Secret": SECRET,
    "Namespace": NAMESPACE,
    "ServiceAccount": ACCOUNT,
    "Event": EVENT,
    "Role": ROLE,
    "ClusterRole": CLUSTER_ROLE,
    "RoleBinding": BINDING,
    "ClusterRoleBinding": BINDING,
    "ResourceQuota": QUOTA,
    "ControllerRevision": REVISION,
}
"""Every kind that is served. `apiVersion`, `kind` and the rest of `metadata` are Kubernetes's."""


def find_row(kind: str, path: str) -> tuple[str, Row] | None:
    """Return the row that speaks for a field, with its path: its own, or the nearest one above."""
    known, parts = _by_parts(kind), parts_of(path)
    above = (parts[:end] for end in range(len(parts), 0, -1))
    found = next((known[start] for start in above if start in known), None)
    return None if found is None else (found, FIELD_TABLE[kind][found])


@cache
def _by_parts(kind: str) -> dict[tuple[str, ...], str]:
    return {parts_of(path): path for path in FIELD_TABLE[kind]}


def make_field_warnings(
    kind: str, obj: Mapping[str, Any], where: Where, mode: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield `(path, sentence)` for each field that is set and that the table says has no effect.

    `mode` is the deployment mode of a service; "" where there is none.
    """
    for path, verdict in _without_effect(kind, where):
        if verdict.modes and mode not in verdict.modes:
            continue
        for place, value in values_at(obj, path):
            if value not in verdict.fine:
                yield place, verdict.sentence


@cache
def _without_effect(kind: str, where: Where) -> tuple[tuple[str, Warned], ...]:
    """Return the rows that warn: most do not, and services are asked at every reconcile."""
    rows = FIELD_TABLE.get(kind, {}).items()
    found = ((path, row.on(where)) for path, row in rows)
    return tuple((path, verdict) for path, verdict in found if isinstance(verdict, Warned))
