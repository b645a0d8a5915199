"""Admission of objects that come from files alone: by the API server's own checks, in its order."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sampan.api.config import CONFIG_MAP
from sampan.api.scheme import REGISTRY
from sampan.apiserver.admission import check_verdict
from sampan.apiserver.names import validate_annotations, validate_name
from sampan.machinery.errors import ApiError, FieldError, Forbidden, Invalid
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject, Resource

UNKNOWN_KIND = "UnknownKind"
DENIED = "Denied"
"""The reason of a mistake that KServe's webhook refuses, which names no field or several."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is said about an object, and the object as it would be stored.

    Unknown fields are left out of `obj`; it is None where anything else is wrong.
    """

    obj: JsonObject | None
    errors: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()


def judge(
    obj: JsonObject,
    configuration: Mapping[str, str],
    neighbours: Sequence[JsonObject] = (),
    *,
    strict: bool = True,
) -> Judged:
    """Return the verdict on creating an object. Pure.

    `configuration` is the data of `inferenceservice-config`; `neighbours` are the other objects of
    its kind and namespace. Unknown fields are mistakes if `strict`, as for `sampan apply`.
    """
    mistakes = tuple(_head_mistakes(obj))
    resource = REGISTRY.for_object(obj)
    if mistakes or resource is None:
        return Judged(None, mistakes or (_unknown_kind(obj),))
    placed = _placed(resource, obj)
    unknown = resource.unknown(placed) if resource.unknown and strict else []
    context = AdmissionContext(configuration, tuple(neighbours))
    admitted = resource.admit(placed, None, context) if resource.admit else Admitted(placed)
    refused = _refusals(resource, placed, admitted)
    errors = (*unknown, *(e for e in refused if e.path not in {u.path for u in unknown}))
    return Judged(None if refused else admitted.obj, errors, admitted.warnings)


def select_configuration(
    objects: Sequence[JsonObject], shipped: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the data of the `inferenceservice-config` among objects, else what is shipped.

    One that is refused is none: a Sampan that is up would keep the one before.
    """
    for obj in objects:
        metadata = obj.get("metadata")
        named = isinstance(metadata, dict) and metadata.get("name") == CONFIG_MAP
        stored = judge(obj, {}, strict=False).obj if named else None
        if stored is not None and stored["kind"] == "ConfigMap":
            data: Mapping[str, str] = stored.get("data") or {}
            return data
    return shipped


def _head_mistakes(obj: JsonObject) -> Iterator[FieldError]:
    version, kind, metadata = obj.get("apiVersion"), obj.get("kind"), obj.get("metadata") or {}
    if not (isinstance(version, str) and isinstance(kind, str) and version and kind):
        yield FieldError("", "an object needs apiVersion and kind, both of them text", _MISSING)
    elif not isinstance(metadata, dict):
        text = 'metadata is no object; write "name" and others below it'
        yield FieldError("metadata", text, _WRONG_TYPE)
    elif not (metadata.get("name") or metadata.get("generateName")):
        yield FieldError("metadata", "metadata.name is missing; give the object a name", _MISSING)
    else:
        yield from (
            FieldError(f"metadata.{f}", f'metadata.{f} is {v}; write it as "{v}"', _WRONG_TYPE)
            for f in ("name", "generateName", "namespace")
            if not isinstance(v := metadata.get(f) or "", str)
        )


_MISSING, _WRONG_TYPE = "FieldValueRequired", "FieldValueTypeInvalid"


def _unknown_kind(obj: JsonObject) -> FieldError:
    return FieldError("kind", describe_unknown_kind(obj["apiVersion"], obj["kind"]), UNKNOWN_KIND)


def describe_unknown_kind(version: str, kind: str) -> str:
    """Return that a kind is not known, with the one that may be meant. Pure."""
    names = [f"{kind} ({version})" for version, kind in REGISTRY.kinds()]
    same = [name for name in names if name.lower().startswith(f"{kind.lower()} (")]
    near = same or difflib.get_close_matches(f"{kind} ({version})", names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"KServe's kinds are of {_GROUP}"
    return f'unknown kind "{kind}" of "{version}"; {hint}'


_GROUP = "serving.kserve.io"


def _placed(resource: Resource, obj: JsonObject) -> JsonObject:
    """Return the object in the namespace that it gets where it names none."""
    if not resource.namespaced:
        return obj
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "namespace": metadata.get("namespace") or "default"}}


def _refusals(resource: Resource, obj: JsonObject, admitted: Admitted) -> tuple[FieldError, ...]:
    names = [*validate_name(resource, obj), *validate_annotations(obj)]
    try:
        check_verdict(resource, admitted, names)
    except Invalid as invalid:
        return tuple(invalid.errors)
    except Forbidden as forbidden:
        denied = (FieldError("", admitted.denied or forbidden.message, DENIED),)
        return tuple(FieldError(c.path, c.message, DENIED) for c in admitted.causes) or denied
    except ApiError as refused:
        return (FieldError("", refused.message, refused.reason),)
    return ()
