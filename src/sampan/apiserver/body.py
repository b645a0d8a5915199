"""Reading a request's body: JSON, YAML or protobuf in, one object out. Pure."""

from __future__ import annotations

import json
from typing import Any

import orjson

from sampan.apiserver import protobuf
from sampan.apiserver.protobuf_kinds import KINDS
from sampan.machinery.errors import BadRequest, UnsupportedMediaType
from sampan.machinery.registry import JsonObject

JSON_TYPES = frozenset({"", "application/json", "text/json"})
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})
PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}


def media_type(header: str) -> str:
    """Return a Content-Type without its parameters, in lower case."""
    return header.partition(";")[0].strip().lower()


def decode_object(content_type: str, body: bytes) -> JsonObject:
    """Return the object in a body; raise UnsupportedMediaType (CBOR, forms) or BadRequest.

    An empty body is an empty object.
    """
    kind = media_type(content_type)
    if kind == protobuf.MEDIA_TYPE and body:
        return protobuf.decode_object(body, KINDS)
    if kind not in JSON_TYPES | YAML_TYPES:
        raise _unsupported(kind, sorted(YAML_TYPES | JSON_TYPES - {""}))
    if not body.strip():
        return {}
    value = _decode_yaml(body) if kind in YAML_TYPES else decode_json(body)
    if not isinstance(value, dict):
        raise BadRequest(f"the body holds {_name(value)}, not an object; send one object")
    return value


def decode_patch(content_type: str, body: bytes, *, custom: bool) -> tuple[str, Any]:
    """Return the kind of a patch (`json`, `merge`, `strategic`, `apply`) and the patch itself.

    Custom kinds take no strategic merge patch, as upstream (415): they have no Go types to take
    merge keys from.
    """
    kind = PATCH_TYPES.get(media_type(content_type), "")
    served = [t for t, k in PATCH_TYPES.items() if not (custom and k == "strategic")]
    if not kind or (custom and kind == "strategic"):
        raise _unsupported(media_type(content_type), served)
    patch = _decode_yaml(body) if kind == "apply" else decode_json(body)
    wanted = list if kind == "json" else dict
    if not isinstance(patch, wanted):
        what = "a list of operations" if kind == "json" else "an object"
        raise BadRequest(f"a {kind} patch is {what}; the body holds {_name(patch)}")
    return kind, patch


def decode_json(body: bytes) -> Any:
    """Return the value of a JSON text; raise BadRequest with line and column."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None


def duplicate_fields(body: bytes) -> list[str]:
    """Return the names of keys that occur twice in one JSON object, as they occur.

    The fast parser keeps the last one silently; strict and warning field validation must tell.
    """
    seen: list[str] = []

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys and key not in seen:
                seen.append(key)
            keys.add(key)
        return dict(pairs)

    try:
        json.loads(body, object_pairs_hook=check)
    except (ValueError, RecursionError):
        return []
    return seen


def _decode_yaml(body: bytes) -> Any:
    from sampan.api.yamlfile import YamlError, parse_documents

    if body.lstrip()[:1] == b"{":  # JSON is YAML, and far faster read as JSON
        return decode_json(body)
    try:
        documents = parse_documents(body.decode())
    except YamlError as error:
        raise BadRequest(f"the body is not YAML: {error}") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: {error}") from None
    if len(documents) != 1:
        raise BadRequest(f"the body holds {len(documents)} YAML documents; send one object")
    return documents[0].obj


def _unsupported(sent: str, served: list[str]) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        f'the body of the request was in an unknown format "{sent}" - accepted media types '
        f"include: {', '.join(served)}"
    )


def _name(value: Any) -> str:
    words = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return words.get(type(value), "a number" if isinstance(value, int | float) else "an object")
