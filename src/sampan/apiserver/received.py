"""The object of a request, completed from its path and held to it. Pure."""

from __future__ import annotations

from typing import Any

from sampan.apiserver.call import Call
from sampan.machinery.errors import BadRequest
from sampan.machinery.registry import JsonObject


def make_received(call: Call, sent: JsonObject) -> JsonObject:
    """Return the object with kind, apiVersion, namespace and name of the path where it has none.

    Raises BadRequest where it says another one.
    """
    r, route = call.resource, call.route
    if not isinstance(sent, dict):  # what a JSON patch of the whole document may leave
        raise BadRequest(f"an object is expected, not {type(sent).__name__}; patch its fields")
    obj = dict(sent)
    _set(obj, "apiVersion", r.api_version, "the API version in the data ({}) does not match the "
         "expected API version ({})")  # fmt: skip
    _set(obj, "kind", r.kind, "the kind in the data ({}) does not match the expected kind ({})")
    meta = obj.get("metadata")
    if meta is not None and not isinstance(meta, dict):
        raise BadRequest("metadata: an object is expected, with at least a name")
    obj["metadata"] = meta = dict(meta or {})
    if r.namespaced:
        _set(meta, "namespace", route.namespace, "the namespace of the provided object ({}) does "
             "not match the namespace sent on the request ({})")  # fmt: skip
    elif meta.get("namespace") == "":
        del meta["namespace"]
    if route.name:
        _set(meta, "name", route.name, "the name of the object ({}) does not match the name on "
             "the URL ({})")  # fmt: skip
    return obj


def _set(target: dict[str, Any], field: str, wanted: str, text: str) -> None:
    given = target.get(field)
    if given and given != wanted:
        raise BadRequest(text.format(given, wanted))
    target[field] = wanted
