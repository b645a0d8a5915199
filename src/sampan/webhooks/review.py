"""`AdmissionReview` (admission.k8s.io/v1): what an API server asks, and what it is answered."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sampan.machinery.errors import ApiError, BadRequest
from sampan.machinery.patch import make_json_patch
from sampan.machinery.registry import JsonObject

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
MAX_WARNING = 256
"""Characters of one warning: API servers cut longer ones, and all beyond 4096."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be judged. `obj` is empty for a DELETE, `old` for a CREATE."""

    uid: str
    operation: str
    namespace: str
    obj: JsonObject
    old: JsonObject


def read_review(body: bytes) -> Asked:
    """Return what an API server asks; raise BadRequest."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is no JSON ({error}); send an {KIND}") from None
    request = review.get("request") if isinstance(review, dict) else None
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise BadRequest(f'the body is no {KIND} with "request.uid"; is this an API server?')
    if review.get("apiVersion") != API_VERSION:
        version = review.get("apiVersion")
        raise BadRequest(f'{KIND} of "{version}" is not answered; register for "v1"')
    return Asked(
        request["uid"],
        str(request.get("operation", "")),
        str(request.get("namespace") or ""),
        _object(request, "object"),
        _object(request, "oldObject"),
    )


def _object(request: Mapping[str, Any], name: str) -> JsonObject:
    found = request.get(name)
    if found is not None and not isinstance(found, dict):
        raise BadRequest(f'"request.{name}" is no object')
    return found or {}


def make_allowed(
    asked: Asked, changed: JsonObject | None = None, warnings: tuple[str, ...] = ()
) -> JsonObject:
    """Return the answer that lets an object pass, changed to `changed` where that is given."""
    response: JsonObject = {"uid": asked.uid, "allowed": True}
    patch = [] if changed is None else make_json_patch(asked.obj, changed)
    if patch:
        encoded = base64.b64encode(orjson.dumps(patch)).decode()
        response |= {"patchType": "JSONPatch", "patch": encoded}
    return _review(_with_warnings(response, warnings))


def make_refused(asked: Asked, error: ApiError, warnings: tuple[str, ...] = ()) -> JsonObject:
    """Return the answer that refuses; clients see code, reason and message of the error."""
    status = error.status()
    told = {k: status[k] for k in ("code", "reason", "message", "details") if k in status}
    response: JsonObject = {"uid": asked.uid, "allowed": False, "status": told}
    return _review(_with_warnings(response, warnings))


def _with_warnings(response: JsonObject, warnings: tuple[str, ...]) -> JsonObject:
    if not warnings:
        return response
    return {**response, "warnings": [_cut(w) for w in dict.fromkeys(warnings)]}


def _cut(text: str) -> str:
    return text if len(text) <= MAX_WARNING else f"{text[: MAX_WARNING - 1]}…"


def _review(response: JsonObject) -> JsonObject:
    return {"apiVersion": API_VERSION, "kind": KIND, "response": response}
