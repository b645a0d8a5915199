"""What a write makes of an object: the rules of `metadata`, shared by every store.

Pure: the new uid, the time and the next version come in as arguments. The rules are those of
Kubernetes (API conventions, "Metadata"; API concepts, "Resource versions"; "Finalizers").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from sampan.machinery.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    Subject,
)
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.timestamps import rfc3339

SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)
"""Fields of `metadata` that a caller's update never changes."""

GENERATED_SUFFIX = 5
"""Random characters that `generateName` is completed with."""

GENERATED_PREFIX = 63 - GENERATED_SUFFIX
"""A longer `generateName` is cut, so that the name still fits a DNS label."""

MAX_DEPTH = 200
"""Objects nested deeper are refused: JSON encoders and decoders stop at 254 levels."""


class Effect(Enum):
    """What a write does to the stored object."""

    UNCHANGED = auto()
    STORED = auto()
    REMOVED = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The object after a write, still with its old resourceVersion, and whether it is written."""

    effect: Effect
    obj: JsonObject


@dataclass(frozen=True, slots=True)
class Birth:
    """What a create needs of the world: a new uid, random characters for a name, and the time."""

    uid: str
    suffix: str
    now: float


def make_created(resource: Resource, obj: JsonObject, birth: Birth) -> JsonObject:
    """Return the object as it is first stored, without a resourceVersion.

    `generateName` becomes a name; a resource with a status subresource starts without status.
    Raises Invalid or BadRequest when it cannot be stored at all.
    """
    new = checked_copy(resource, obj)
    meta = new["metadata"]
    if meta.pop("resourceVersion", ""):
        raise BadRequest("resourceVersion should not be set on objects to be created; remove it")
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = meta["generateName"][:GENERATED_PREFIX] + birth.suffix
    validate_identity(resource, new)
    for name in SERVER_OWNED:
        meta.pop(name, None)
    meta["uid"] = birth.uid
    meta["creationTimestamp"] = rfc3339(birth.now)
    if resource.generation:
        meta["generation"] = 1
    if resource.status_subresource:
        new.pop("status", None)
    return new


def make_updated(resource: Resource, old: JsonObject, obj: JsonObject) -> Outcome:
    """Return what replacing `old` by `obj` makes; raise Conflict or Invalid.

    The stored status stays where there is a status subresource. An object that waits for its
    finalizers goes when the last one is removed.
    """
    new = checked_copy(resource, obj)
    check_same(resource, old, new)
    if resource.status_subresource:
        _keep(new, old, "status")
    meta, before = new["metadata"], old["metadata"]
    for name in (*SERVER_OWNED, "resourceVersion"):
        _keep(meta, before, name)
    if not meta.get("finalizers"):
        meta.pop("finalizers", None)
    if "deletionTimestamp" in before:
        _check_no_new_finalizers(resource, before, meta)
        if "finalizers" not in meta:
            return Outcome(Effect.REMOVED, new)
    if same_content(old, new):
        return Outcome(Effect.UNCHANGED, old)
    if resource.generation and _spec_of(old) != _spec_of(new):
        meta["generation"] = before.get("generation", 0) + 1
    return Outcome(Effect.STORED, new)


def make_status_updated(resource: Resource, old: JsonObject, obj: JsonObject) -> Outcome:
    """Return `old` with the status of `obj`; raise Conflict, or NotFound without a subresource.

    `metadata.managedFields` is taken too when given, since it records who wrote the status.
    """
    if not resource.status_subresource:
        raise NotFound(f'"{resource.id}" has no status subresource; update the object itself')
    given = checked_copy(resource, obj)
    check_same(resource, old, given)
    new = dict(old)
    _keep(new, given, "status")
    if "managedFields" in given["metadata"]:
        new["metadata"] = {
            **old["metadata"],
            "managedFields": given["metadata"]["managedFields"],
        }
    if same_content(old, new):
        return Outcome(Effect.UNCHANGED, old)
    return Outcome(Effect.STORED, new)


def make_deleted(old: JsonObject, now: float) -> Outcome:
    """Return what deleting makes: gone, or marked while finalizers remain."""
    meta = old["metadata"]
    if not meta.get("finalizers"):
        return Outcome(Effect.REMOVED, old)
    if "deletionTimestamp" in meta:
        return Outcome(Effect.UNCHANGED, old)
    marked = {**meta, "deletionTimestamp": rfc3339(now), "deletionGracePeriodSeconds": 0}
    if "generation" in meta:
        marked["generation"] = meta["generation"] + 1
    return Outcome(Effect.STORED, {**old, "metadata": marked})


def make_versioned(obj: JsonObject, version: int) -> JsonObject:
    """Return the object with this resourceVersion."""
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


def same_content(old: JsonObject, new: JsonObject) -> bool:
    """Whether two objects differ in nothing but resourceVersion and the times of managedFields."""
    return _comparable(old) == _comparable(new)


def check_same(resource: Resource, old: JsonObject, new: JsonObject) -> None:
    """Raise Conflict when the caller's uid or resourceVersion is not the stored one."""
    meta = new["metadata"]
    check_preconditions(resource, old, meta.get("uid") or None, None)
    version = meta.get("resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise modified(resource, old["metadata"]["name"])


def check_preconditions(
    resource: Resource, old: JsonObject, uid: str | None, version: str | None
) -> None:
    """Raise Conflict when the stored uid or resourceVersion is not the one insisted on."""
    meta = old["metadata"]
    wanted = (("UID", uid, meta.get("uid")), ("ResourceVersion", version, meta["resourceVersion"]))
    for word, expected, stored in wanted:
        if expected is not None and expected != stored:
            raise Conflict(
                f'Operation cannot be fulfilled on {resource.id} "{meta["name"]}": '
                f"Precondition failed: {word} in precondition: {expected}, "
                f"{word} in object meta: {stored}",
                details=_details(resource, meta["name"]),
            )


def not_found(resource: Resource, name: str) -> NotFound:
    """Return the error for a name that is not there, in Kubernetes's words."""
    return NotFound(f'{resource.id} "{name}" not found', details=_details(resource, name))


def already_exists(resource: Resource, name: str) -> AlreadyExists:
    """Return the error for a name that is taken, in Kubernetes's words."""
    return AlreadyExists(f'{resource.id} "{name}" already exists', details=_details(resource, name))


def modified(resource: Resource, name: str) -> Conflict:
    """Return the error for a stale resourceVersion, in Kubernetes's words."""
    return Conflict(
        f'Operation cannot be fulfilled on {resource.id} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again",
        details=_details(resource, name),
    )


def checked_copy(resource: Resource, obj: JsonObject) -> JsonObject:
    """Return a deep copy that is plain JSON of this resource; raise BadRequest naming the path."""
    if not isinstance(obj, dict):
        raise BadRequest(f"an object is expected for {resource.id}, not {type(obj).__name__}")
    new: JsonObject = _copied(obj, "", MAX_DEPTH)
    _check_kind(resource, new)
    if not isinstance(new.setdefault("metadata", {}), dict):
        raise BadRequest("metadata: an object is expected, with at least a name")
    return new


def _check_kind(resource: Resource, new: JsonObject) -> None:
    new.setdefault("kind", resource.kind)
    new.setdefault("apiVersion", resource.api_version)
    group = str(new["apiVersion"]).rpartition("/")[0]
    if new["kind"] != resource.kind or group != resource.group:
        raise BadRequest(
            f'an object of apiVersion "{new["apiVersion"]}" and kind "{new["kind"]}" is none of '
            f'{resource.id}; send apiVersion "{resource.api_version}" and kind "{resource.kind}"'
        )


def validate_identity(resource: Resource, obj: JsonObject) -> None:
    """Raise Invalid for a missing or unsafe name, or a namespace where none belongs.

    Only what every name must hold: it is one path segment (Kubernetes, `IsValidPathSegmentName`).
    The stricter rules of each kind are its own.
    """
    meta = obj["metadata"]
    errors = []
    name, namespace = meta.get("name"), meta.get("namespace") or ""
    if not name:
        text = "Required value: name or generateName is required"
        errors.append(FieldError("metadata.name", text, "FieldValueRequired"))
    else:
        errors += _unsafe("metadata.name", name)
    if resource.namespaced and not namespace:
        text = f"Required value: {resource.kind} objects live in a namespace"
        errors.append(FieldError("metadata.namespace", text, "FieldValueRequired"))
    elif resource.namespaced:
        errors += _unsafe("metadata.namespace", namespace)
    elif namespace:
        text = f'Forbidden: {resource.kind} is cluster-scoped; remove "{namespace}"'
        errors.append(FieldError("metadata.namespace", text, "FieldValueForbidden"))
    if errors:
        raise Invalid(Subject(resource.kind, str(name or ""), resource.group), errors)


def location(resource: Resource, obj: JsonObject) -> tuple[str, str]:
    """Return the namespace ("" for cluster scope) and the name of an object; raise Invalid."""
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    meta = meta if isinstance(meta, dict) else {}
    validate_identity(resource, {"metadata": meta})
    return (meta["namespace"] if resource.namespaced else ""), meta["name"]


def _unsafe(path: str, name: Any) -> list[FieldError]:
    if not isinstance(name, str):
        return [FieldError(path, f'Invalid value: "{name}": must be a string')]
    if name in {".", ".."}:
        return [FieldError(path, f"Invalid value: \"{name}\": may not be '{name}'")]
    found = [c for c in "/%\0" if c in name]
    return [FieldError(path, f"Invalid value: \"{name}\": may not contain '{c}'") for c in found]


def _check_no_new_finalizers(resource: Resource, before: JsonObject, meta: JsonObject) -> None:
    added = [f for f in meta.get("finalizers", ()) if f not in before.get("finalizers", ())]
    if added:
        names = ", ".join(f'"{name}"' for name in added)
        raise Invalid(
            Subject(resource.kind, before["name"], resource.group),
            [
                FieldError(
                    "metadata.finalizers",
                    "Forbidden: no new finalizers can be added if the object is being deleted, "
                    f"found new finalizers []string{{{names}}}",
                    "FieldValueForbidden",
                )
            ],
        )


def _copied(value: Any, path: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _encodable(value, path)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if depth == 0:
        raise BadRequest(f"{path[:80]}...: nested deeper than {MAX_DEPTH} levels; flatten it")
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise BadRequest(f"{path or 'the object'}: keys are strings in JSON; quote the others")
        return {
            _encodable(k, path): _copied(v, f"{path}.{k}" if path else k, depth - 1)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [_copied(v, f"{path}[{i}]", depth - 1) for i, v in enumerate(value)]
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise BadRequest(
        f'{path}: "{value}" has no form in JSON; '
        "use a string, a boolean, a finite number or a 64-bit integer"
    )


def _encodable(text: str, path: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            at = f"{path or 'the object'}: character {error.start}"
            raise BadRequest(f"{at} is half of a surrogate pair; send whole characters") from None
    return text


def _comparable(obj: JsonObject) -> JsonObject:
    meta = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    if isinstance(meta.get("managedFields"), list):
        meta["managedFields"] = [
            {k: v for k, v in entry.items() if k != "time"} if isinstance(entry, dict) else entry
            for entry in meta["managedFields"]
        ]
    return {**obj, "metadata": meta}


def _spec_of(obj: JsonObject) -> JsonObject:
    return {k: v for k, v in obj.items() if k not in {"metadata", "status"}}


def _keep(new: JsonObject, old: JsonObject, name: str) -> None:
    if name in old:
        new[name] = old[name]
    else:
        new.pop(name, None)


def _details(resource: Resource, name: str) -> dict[str, Any]:
    group = {"group": resource.group} if resource.group else {}
    return {"name": name, **group, "kind": resource.plural}
