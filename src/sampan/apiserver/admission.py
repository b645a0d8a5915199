"""What every write passes before it is stored: strict fields, names, defaults, rules.

The order is upstream's: unknown fields (400), the version that a change is made of (409: who is
late reads again before he is told of mistakes), defaulting and validation by the resource's own
`admit` (422 for the schema and the name, 403 for what its webhook refuses).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from sampan.apiserver.body import duplicate_fields
from sampan.apiserver.call import Call
from sampan.apiserver.names import validate_annotations, validate_name
from sampan.apiserver.quotas import Quotas
from sampan.apiserver.too_large import RequestTooLarge
from sampan.machinery.errors import ApiError, BadRequest, FieldError, Forbidden, Invalid, Subject
from sampan.machinery.object_meta import check_same
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject, Resource

ExtraWarnings: TypeAlias = Callable[[JsonObject], Awaitable[list[str]]]
"""What the platform has to say about an object: fields that it does not honour."""

CheckGrant: TypeAlias = Callable[[Call, JsonObject], Awaitable[None]]
"""Raises Forbidden where a role or binding would give more than its writer has."""

MAX_LISTED = 100
"""Fields that a refusal names; the rest is a number. As upstream's strict decoder."""

MAX_OBJECT_BYTES = 1_572_864
"""Of an object as JSON: what etcd takes, so that it also fits a cluster (`--max-request-bytes`)."""


class Warned(Exception):
    """A refusal that warnings go with: upstream tells of unknown fields in refusals too."""

    def __init__(self, error: ApiError, warnings: tuple[str, ...]) -> None:
        super().__init__(error.message)
        self.error = error
        self.warnings = warnings


@dataclass(frozen=True, slots=True)
class Submitted:
    """An object on its way in. `old` None: it is created. `body` is the text it was sent as."""

    obj: JsonObject
    old: JsonObject | None = None
    field_validation: str = "Warn"
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Admission:
    """The way in for every resource. `gather` reads what a resource's rules may know."""

    gather: Callable[[Resource, str], Awaitable[AdmissionContext]]
    extra_warnings: ExtraWarnings
    check_grant: CheckGrant
    quotas: Quotas

    async def admit(self, resource: Resource, sent: Submitted) -> Admitted:
        """Return the object as it may be stored, with warnings; raise ApiError for a refusal."""
        warnings = check_fields(resource, sent)
        try:
            admitted = await self._judged(resource, sent)
        except ApiError as error:
            raise Warned(error, warnings) from None
        extra = await self.extra_warnings(admitted.obj)
        told = dict.fromkeys((*warnings, *admitted.warnings, *extra))
        return Admitted(admitted.obj, tuple(told))

    async def _judged(self, resource: Resource, sent: Submitted) -> Admitted:
        check_fresh(resource, sent)
        namespace = str(sent.obj["metadata"].get("namespace", ""))
        context = await self.gather(resource, namespace)
        admitted = resource.admit(sent.obj, sent.old, context) if resource.admit else None
        admitted = admitted or Admitted(sent.obj)
        names = validate_name(resource, sent.obj) if sent.old is None else []
        names += validate_annotations(sent.obj)
        check_verdict(resource, admitted, names)
        return admitted


def check_fresh(resource: Resource, sent: Submitted) -> None:
    """Raise Conflict for a change of another version than is stored, or of another object.

    The store looks again as it writes; here it comes before the rules, which might well be kept by
    what the sender has not seen (Kubernetes, `registry/generic/registry`, Update).
    """
    if sent.old is not None:
        check_same(resource, sent.old, sent.obj)


def check_fields(resource: Resource, sent: Submitted) -> tuple[str, ...]:
    """Return a warning for each unknown or repeated field; raise BadRequest where that is strict.

    `Ignore` says nothing, as the caller asked.
    """
    found = [e.message for e in resource.unknown(sent.obj)] if resource.unknown else []
    return reported(resource, sent, found)


def reported(resource: Resource, sent: Submitted, unknown: list[str]) -> tuple[str, ...]:
    """Return these texts and those of repeated fields as warnings, or as the caller asked."""
    if sent.field_validation == "Ignore":
        return ()
    found = [f'duplicate field "{name}"' for name in duplicate_fields(sent.body)] + unknown
    if found and sent.field_validation == "Strict":
        listed = found[:MAX_LISTED]
        listed += [f"and {len(found) - MAX_LISTED} more"] if len(found) > MAX_LISTED else []
        raise BadRequest(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: strict decoding error: {', '.join(listed)}"
        )
    return tuple(found)


def check_verdict(resource: Resource, admitted: Admitted, names: list[FieldError]) -> None:
    """Raise Invalid for mistakes, all at once, or Forbidden for what was denied."""
    meta = admitted.obj.get("metadata", {})
    size = _size(admitted.obj)
    if size > MAX_OBJECT_BYTES:
        raise RequestTooLarge(
            f'{resource.id} "{meta.get("name", "")}" has {size} bytes; an object may have '
            f"{MAX_OBJECT_BYTES}: keep large values in files or in a model's folder"
        )
    errors = names + [e for e in admitted.errors if e not in names]
    if errors:
        subject = Subject(resource.kind, str(meta.get("name", "")), resource.group)
        raise Invalid(subject, errors)
    if admitted.denied:
        causes = [
            {"reason": c.reason, "message": c.message, "field": c.path} for c in admitted.causes
        ]
        raise Forbidden(
            f'admission webhook "{webhook_of(resource)}" denied the request: {admitted.denied}',
            details={"causes": causes} if causes else None,
        )


def _size(obj: JsonObject) -> int:
    try:
        return len(orjson.dumps(obj))
    except orjson.JSONEncodeError:  # no JSON at all: the schema or the store says where
        return 0


def webhook_of(resource: Resource) -> str:
    """Return the name under which upstream's webhook for a kind refuses."""
    # `serving.kserve.io` -> `inferenceservice.kserve-webhook-server.validator`
    owner = resource.group.split(".")[-2] if resource.group.count(".") else resource.group
    return f"{resource.singular or resource.kind.lower()}.{owner}-webhook-server.validator"
