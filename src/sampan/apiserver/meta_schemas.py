"""Schemas of what every object has: `metadata`, `apiVersion`, `kind`, and lists of objects. Pure.

Descriptions are what `kubectl explain KIND.metadata` prints.
"""

from __future__ import annotations

from sampan.machinery.registry import JsonObject, Resource

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"


def _text(description: str) -> JsonObject:
    return {"type": "string", "description": description}


def _reference(name: str, description: str) -> JsonObject:
    target = {"$ref": f"#/components/schemas/{name}"}
    return {"allOf": [target], "default": {}, "description": description}


def _list(item: JsonObject, description: str) -> JsonObject:
    return {"type": "array", "items": item, "description": description}


def _map(description: str) -> JsonObject:
    values = {"type": "string", "default": ""}
    return {"type": "object", "additionalProperties": values, "description": description}


def _object(properties: JsonObject, description: str, required: tuple[str, ...] = ()) -> JsonObject:
    schema: JsonObject = {"type": "object", "description": description, "properties": properties}
    return {**schema, "required": list(required)} if required else schema


_OWNER = _object(
    {
        "apiVersion": _text("API version of the owner."),
        "kind": _text("Kind of the owner."),
        "name": _text("Name of the owner."),
        "uid": _text("UID of the owner: an object of the same name made later is another owner."),
        "controller": {"type": "boolean", "description": "Whether the owner manages this object."},
        "blockOwnerDeletion": {
            "type": "boolean",
            "description": "Whether a foreground deletion of the owner waits for this object.",
        },
    },
    "An object on which this one depends.",
    ("apiVersion", "kind", "name", "uid"),
)

_MANAGED = _object(
    {
        "manager": _text("Who wrote the fields."),
        "operation": _text("How: Apply or Update."),
        "apiVersion": _text("Version of the kind in which the fields are named."),
        "time": {**_text("When the fields were last changed."), "format": "date-time"},
        "fieldsType": _text("The form of fieldsV1; always FieldsV1."),
        "fieldsV1": {"type": "object", "description": "The set of fields, as a tree."},
        "subresource": _text("The subresource through which they were written, if any."),
    },
    "The fields that one manager wrote.",
)

SCHEMAS: JsonObject = {
    OBJECT_META: _object(
        {
            "name": _text("Name of the object, unique in its namespace. It cannot be changed."),
            "generateName": _text("Prefix of a name that the server completes at creation."),
            "namespace": _text("Namespace of the object. It cannot be changed."),
            "labels": _map("Keys and values to select objects by."),
            "annotations": _map("Keys and values for tools; not for selection."),
            "uid": _text("Identity of this object, set by the server."),
            "resourceVersion": _text("Version of the object; changes with each write. Opaque."),
            "generation": {
                "type": "integer",
                "format": "int64",
                "description": "Counts the changes of the desired state, set by the server.",
            },
            "creationTimestamp": {
                **_text("When the object was created, set by the server."),
                "format": "date-time",
            },
            "deletionTimestamp": {
                **_text("When deletion was asked for, set by the server."),
                "format": "date-time",
            },
            "deletionGracePeriodSeconds": {
                "type": "integer",
                "format": "int64",
                "description": "Seconds that the object was given to end, set by the server.",
            },
            "finalizers": _list(
                {"type": "string", "default": ""},
                "Who must act before the object goes; it goes when the list is empty.",
            ),
            "ownerReferences": _list(_OWNER, "Objects whose deletion takes this one along."),
            "managedFields": _list(_MANAGED, "Who wrote which fields, kept by the server."),
            "selfLink": _text("No longer set by any server."),
        },
        "What every stored object has.",
    ),
    LIST_META: _object(
        {
            "resourceVersion": _text("Version that the list is of; a watch can start from it."),
            "continue": _text("Where the next page starts; empty at the end."),
            "remainingItemCount": {
                "type": "integer",
                "format": "int64",
                "description": "How many objects follow this page, where that is known.",
            },
            "selfLink": _text("No longer set by any server."),
        },
        "What every list has.",
    ),
}

META: JsonObject = {
    "apiVersion": _text("Version of the schema of this object, as GROUP/VERSION."),
    "kind": _text("Kind of this object."),
    "metadata": _reference(OBJECT_META, "Name, namespace, labels and what the server keeps."),
}


def make_list_schema(resource: Resource, name: str) -> JsonObject:
    """Return the schema of a kind's list; `name` is the schema of its items."""
    items = _list({"$ref": f"#/components/schemas/{name}"}, "The objects.")
    properties = {
        "apiVersion": META["apiVersion"],
        "kind": META["kind"],
        "metadata": _reference(LIST_META, "Version of the list, and where it goes on."),
        "items": items,
    }
    identity = {
        "group": resource.group,
        "version": resource.version,
        "kind": f"{resource.kind}List",
    }
    schema = _object(properties, f"A list of {resource.kind} objects.", ("items",))
    return {**schema, "x-kubernetes-group-version-kind": [identity]}
