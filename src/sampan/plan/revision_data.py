"""A revision as an object, ControllerRevision of `apps/v1`: written once, read to go back. Pure.

`data.workload` is all that its replicas are made of, so that a runtime that changes meanwhile does
not change it; `data.spec` is the component's spec, to be put back into the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.timestamps import seconds
from sampan.plan.revision import Revision
from sampan.plan.scaling import Scaling
from sampan.plan.types import Component, ModelSource, Role, Workload

OWNER_LABEL = "serving.kserve.io/inferenceservice"
COMPONENT_LABEL = "component"
HASH_LABEL = "serving.sampan.dev/template-hash"
_BASE, _WORKLOAD = "serving.sampan.dev/object", "serving.sampan.dev/workload"


def make_revision_object(
    service: Mapping[str, Any], revision: Revision, workload: Workload
) -> JsonObject:
    """Return the object to store for a revision that is new; `workload` is what it runs."""
    metadata, component = service["metadata"], revision.component.value
    owner = {
        "apiVersion": str(service["apiVersion"]),
        "kind": str(service["kind"]),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = {
        OWNER_LABEL: metadata["name"],
        COMPONENT_LABEL: component,
        HASH_LABEL: revision.template_hash,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": revision.name,
            "namespace": str(metadata.get("namespace") or "default"),
            "labels": labels,
            "annotations": {_BASE: revision.base, _WORKLOAD: revision.workload},
            "ownerReferences": [owner],
        },
        "revision": revision.number,
        "data": {
            "spec": service["spec"].get(component) or {},
            "workload": encode_workload(workload),
        },
    }


def read_revision(obj: Mapping[str, Any]) -> Revision:
    """Return the revision of an object; raises KeyError and ValueError where it is none of ours."""
    metadata = obj["metadata"]
    labels, notes = metadata["labels"], metadata["annotations"]
    return Revision(
        number=int(obj["revision"]),
        component=Component(labels[COMPONENT_LABEL]),
        base=notes[_BASE],
        workload=notes[_WORKLOAD],
        template_hash=labels[HASH_LABEL],
        created_at=seconds(metadata["creationTimestamp"]),
    )


def encode_workload(workload: Workload) -> JsonObject:
    """Return a workload as JSON, without what its autoscaler decided. Inverse of the next."""
    told = asdict(workload)
    del told["scale"]
    return told


def decode_workload(told: Mapping[str, Any]) -> Workload:
    """Return the workload of its JSON; raises KeyError, TypeError, ValueError where it is none."""
    scaling = dict(told["scaling"])
    scaling["metrics"] = tuple(scaling["metrics"])
    models = tuple(ModelSource(**source) for source in told["models"])
    found = {
        **told,
        "component": Component(told["component"]),
        "role": Role(told["role"]),
        "models": models,
        "scaling": Scaling(**scaling),
    }
    return Workload(**found)
