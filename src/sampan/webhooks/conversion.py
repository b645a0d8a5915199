"""`ConversionReview` (apiextensions.k8s.io/v1): objects from one served version to another."""

from __future__ import annotations

from typing import Any

import orjson

from sampan.machinery.errors import BadRequest
from sampan.machinery.registry import JsonObject, OlderVersion, Registry

API_VERSION = "apiextensions.k8s.io/v1"
KIND = "ConversionReview"


def convert_review(body: bytes, registry: Registry) -> JsonObject:
    """Return the answer to a review: all its objects converted, in order, or why none is.

    Raises BadRequest for what is no review.
    """
    request = _request(body)
    wanted = str(request.get("desiredAPIVersion", ""))
    try:
        converted = [convert(obj, wanted, registry) for obj in request.get("objects") or ()]
    except BadRequest as error:
        result: JsonObject = {"status": "Failure", "message": error.message}
        return _review({"uid": request["uid"], "result": result})
    done = {"uid": request["uid"], "convertedObjects": converted, "result": {"status": "Success"}}
    return _review(done)


def convert(obj: JsonObject, wanted: str, registry: Registry) -> JsonObject:
    """Return an object in the API version `wanted`; raise BadRequest where there is no way."""
    if obj.get("apiVersion") == wanted:
        return obj
    for resource in registry:
        for older in resource.older:
            if resource.kind == obj.get("kind"):
                return _convert(obj, wanted, resource.api_version, older)
    raise BadRequest(_no_way(obj, wanted))


def _convert(obj: JsonObject, wanted: str, stored: str, older: OlderVersion) -> JsonObject:
    way = (obj.get("apiVersion"), wanted)
    if way == (older.resource.api_version, stored):
        return older.to_stored(obj)
    if way == (stored, older.resource.api_version):
        return older.to_older(obj)
    raise BadRequest(_no_way(obj, wanted))


def _no_way(obj: JsonObject, wanted: str) -> str:
    given = f"{obj.get('kind')} of {obj.get('apiVersion')}"
    return f'{given} cannot be converted to "{wanted}"; ask for a version that is served'


def _request(body: bytes) -> dict[str, Any]:
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is no JSON ({error}); send a {KIND}") from None
    request = review.get("request") if isinstance(review, dict) else None
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise BadRequest(f'the body is no {KIND} with "request.uid"; is this an API server?')
    return request


def _review(response: JsonObject) -> JsonObject:
    return {"apiVersion": API_VERSION, "kind": KIND, "response": response}
