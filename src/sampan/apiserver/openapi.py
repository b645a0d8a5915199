"""OpenAPI v3 documents, one a group and version: for `kubectl explain`, validation and apply. Pure.

Only what Kubernetes clients read is told: the schemas with their group, version and kind, and the
paths with their verbs. kubectl looks for the parameter `fieldValidation` of a kind's PATCH to
learn that the server checks fields itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from sampan.apiserver.discovery import Served
from sampan.apiserver.meta_schemas import META, SCHEMAS, make_list_schema
from sampan.machinery.registry import JsonObject, Resource

ANY_OBJECT: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
VERB_METHODS = {
    "list": "get",
    "create": "post",
    "deletecollection": "delete",
    "get": "get",
    "update": "put",
    "patch": "patch",
    "delete": "delete",
}
COLLECTION_VERBS = ("list", "create", "deletecollection")
OBJECT_VERBS = ("get", "update", "patch", "delete")
_TEXT, _FLAG, _NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
_WRITE = (("dryRun", _TEXT), ("fieldManager", _TEXT), ("fieldValidation", _TEXT))
_LIST = (
    ("labelSelector", _TEXT),
    ("fieldSelector", _TEXT),
    ("limit", _NUMBER),
    ("continue", _TEXT),
    ("resourceVersion", _TEXT),
    ("resourceVersionMatch", _TEXT),
    ("sendInitialEvents", _FLAG),
    ("allowWatchBookmarks", _FLAG),
    ("timeoutSeconds", _NUMBER),
    ("watch", _FLAG),
)
_DELETE = (("dryRun", _TEXT), ("gracePeriodSeconds", _NUMBER), ("propagationPolicy", _TEXT))
PARAMETERS: dict[str, tuple[tuple[str, JsonObject], ...]] = {
    "get": (),
    "list": _LIST,
    "create": _WRITE,
    "update": _WRITE,
    "patch": (*_WRITE, ("force", _FLAG)),
    "delete": _DELETE,
    "deletecollection": (*_DELETE, *_LIST[:2]),
}


def document_path(group: str, version: str) -> str:
    """Return the path of a document below `/openapi/v3/`."""
    return f"apis/{group}/{version}" if group else f"api/{version}"


def build_documents(served: Iterable[Served]) -> dict[str, bytes]:
    """Return every document as JSON, by its path below `/openapi/v3/`.

    Asks each resource for its schema, which may take some hundred milliseconds.
    """
    grouped: dict[str, list[Served]] = {}
    for one in served:
        path = document_path(one.resource.group, one.resource.version)
        grouped.setdefault(path, []).append(one)
    return {path: orjson.dumps(build_document(members)) for path, members in grouped.items()}


def build_index(documents: dict[str, bytes]) -> JsonObject:
    """Return the answer to `/openapi/v3`: where each document is, with a hash of its content."""
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={content_hash(content)}"}
            for path, content in documents.items()
        }
    }


def content_hash(content: bytes) -> str:
    """Return what names a document's content: clients cache it under this."""
    return hashlib.sha256(content).hexdigest().upper()


def build_document(members: Iterable[Served]) -> JsonObject:
    """Return the OpenAPI v3 document of one group and version."""
    schemas: JsonObject = dict(SCHEMAS)
    paths: JsonObject = {}
    for one in members:
        r = one.resource
        schemas[schema_name(r)] = make_schema(r)
        schemas[f"{schema_name(r)}List"] = make_list_schema(r, schema_name(r))
        paths.update(_paths(one))
    info = {"title": "Sampan", "version": "unversioned"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def schema_name(resource: Resource) -> str:
    """Return the name of a kind's schema: its group backwards, as Kubernetes names them."""
    if not resource.group:
        return f"io.k8s.api.core.{resource.version}.{resource.kind}"
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def make_schema(resource: Resource) -> JsonObject:
    """Return a kind's schema, with the `metadata` that all objects share and its group and kind."""
    schema = dict(resource.schema() if resource.schema else ANY_OBJECT)
    properties = dict(schema.get("properties") or {})
    properties.setdefault("apiVersion", META["apiVersion"])
    properties.setdefault("kind", META["kind"])
    properties["metadata"] = META["metadata"]
    schema["properties"] = properties
    schema["x-kubernetes-group-version-kind"] = [_group_version_kind(resource)]
    return schema


def _group_version_kind(resource: Resource) -> JsonObject:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _paths(one: Served) -> JsonObject:
    r = one.resource
    root = f"/apis/{r.group}/{r.version}" if r.group else f"/api/{r.version}"
    inside = f"{root}/namespaces/{{namespace}}/{r.plural}" if r.namespaced else f"{root}/{r.plural}"
    verbs = [v for v in one.verbs if v in VERB_METHODS]
    paths = {
        inside: _operations(r, [v for v in COLLECTION_VERBS if v in verbs]),
        f"{inside}/{{name}}": _operations(r, [v for v in OBJECT_VERBS if v in verbs], named=True),
    }
    for part in one.subresources:
        paths[f"{inside}/{{name}}/{part.name}"] = _operations(r, list(part.verbs), named=True)
    if r.namespaced:
        paths[f"{root}/{r.plural}"] = _operations(r, ["list"], namespaced=False)
    return paths


def _operations(
    resource: Resource, verbs: list[str], *, named: bool = False, namespaced: bool | None = None
) -> JsonObject:
    namespaced = resource.namespaced if namespaced is None else namespaced
    places = (["namespace"] if namespaced else []) + (["name"] if named else [])
    operations: JsonObject = {VERB_METHODS[verb]: _operation(resource, verb) for verb in verbs}
    operations["parameters"] = [
        {"name": place, "in": "path", "required": True, "schema": _TEXT} for place in places
    ]
    return operations


def _operation(resource: Resource, verb: str) -> JsonObject:
    name = schema_name(resource) + ("List" if verb == "list" else "")
    content: Any = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    operation: JsonObject = {
        "responses": {"200": {"description": "OK", "content": content}},
        "parameters": [
            {"name": parameter, "in": "query", "schema": schema}
            for parameter, schema in PARAMETERS[verb]
        ],
        "x-kubernetes-action": "post" if verb == "create" else verb,
        "x-kubernetes-group-version-kind": _group_version_kind(resource),
    }
    if verb in ("create", "update"):
        operation["requestBody"] = {"content": content}
    elif verb == "patch":
        operation["requestBody"] = {
            "content": {t: {"schema": ANY_OBJECT} for t in _patches(resource)}
        }
    return operation


def _patches(resource: Resource) -> tuple[str, ...]:
    kinds = ("apply-patch+yaml", "json-patch+json", "merge-patch+json")
    strategic = () if resource.group else ("strategic-merge-patch+json",)
    return tuple(f"application/{k}" for k in (*kinds, *strategic))
