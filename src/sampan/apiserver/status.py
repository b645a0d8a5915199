"""The status that a client writes, held to the schema of its kind (Kubernetes, "Field pruning").

Controllers write through the store; what comes in here is from operators and people, who may
mistake a field as anybody may.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.apiserver.admission import Submitted, check_fresh, reported
from sampan.machinery.errors import FieldError, Invalid, Subject
from sampan.machinery.registry import JsonObject, Resource


def admit_status(resource: Resource, sent: Submitted) -> tuple[JsonObject, tuple[str, ...]]:
    """Return the object with its status pruned, and warnings of what is unknown there.

    Raises in upstream's order: BadRequest for unknown fields under `fieldValidation=Strict`,
    Conflict for a version that is not the stored one, Invalid for what breaks the schema. A kind
    without a schema of its status takes any.
    """
    from sampan.api.schema.fields import completed
    from sampan.api.schema.violations import violations

    schema = (resource.schema() if resource.schema else {}).get("properties", {}).get("status")
    status = sent.obj.get("status")
    described = bool(schema) and status is not None
    unknown = [e.message for e in _unknown(resource, sent.obj)] if described else []
    warnings = reported(resource, sent, unknown) if described else ()
    check_fresh(resource, sent)
    if not described:
        return sent.obj, ()
    pruned = completed(schema, status)
    if errors := violations(schema, pruned, "status"):
        name = str(sent.obj["metadata"].get("name", ""))
        raise Invalid(Subject(resource.kind, name, resource.group), errors)
    return {**sent.obj, "status": pruned}, warnings


def _unknown(resource: Resource, obj: JsonObject) -> Iterator[FieldError]:
    """Yield the unknown fields of the status; those of other parts are not written here."""
    found = resource.unknown(obj) if resource.unknown else []
    yield from (error for error in found if error.path.startswith("status."))
