"""Definitions of KServe's kinds, derived from their typed views.

A view's fields, docstrings and `Facts` become a structural schema (Kubernetes, "Specifying a
structural schema"), one definition a view. Runs when `definitions.json` is generated, never in a
server.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from sampan.api.schema.derive_core import INT_OR_STRING, QUANTITY
from sampan.api.view import Core, Facts, Inline, View
from sampan.machinery.registry import JsonObject

_SCALARS: Mapping[object, str] = {str: "string", int: "integer", bool: "boolean", float: "number"}

_SHARED: Mapping[str, JsonObject] = {"Quantity": QUANTITY, "IntOrString": INT_OR_STRING}
"""Core types that are written out where they are used, as a cluster has them."""


def derive_views(roots: tuple[type[View], ...]) -> dict[str, JsonObject]:
    """Return the definition of each view and of every view that it reaches, by class name.

    Raise ValueError when two views share a name, which would hide one of them.
    """
    definitions: dict[str, JsonObject] = {}
    found: dict[str, type[View]] = {}
    waiting = list(roots)
    while waiting:
        view = waiting.pop()
        if found.setdefault(view.__name__, view) is not view:
            raise ValueError(
                f'two views have the name "{view.__name__}", in {view.__module__} and '
                f"{found[view.__name__].__module__}; rename one"
            )
        if view.__name__ not in definitions:
            definitions[view.__name__] = _definition(view)
            for field in view.model_fields.values():
                waiting += _views(field.annotation)
    return definitions


def _views(annotation: Any) -> list[type[View]]:
    if inspect.isclass(annotation) and issubclass(annotation, View):
        return [annotation]
    return [view for part in get_args(annotation) for view in _views(part)]


def _definition(view: type[View]) -> JsonObject:
    fields = {str(field.alias): field for field in view.model_fields.values()}
    properties = {name: _field(field) for name, field in sorted(fields.items())}
    schema: JsonObject = {
        "type": "object",
        "description": _one_line(inspect.getdoc(view)),
        "properties": properties,
        **view.schema_facts,
    }
    required = [name for name in properties if properties[name].pop("$required", False)]
    if required:
        schema["required"] = required
    if view.inlines:
        schema["$inline"] = [_inline(inline) for inline in view.inlines]
    return schema


def _inline(inline: Inline) -> JsonObject:
    return {
        "core": inline.core,
        "only": sorted(inline.only),
        "without": sorted(inline.without),
        "optional": sorted(inline.optional),
        "lists": {name: list(keys) for name, keys in inline.lists},
    }


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _field(field: FieldInfo) -> JsonObject:
    known: JsonObject = {
        "description": _one_line(field.description),
        "$required": field.is_required(),
    }
    return known | _with_notes(_type(field.annotation), list(field.metadata))


def _with_notes(schema: JsonObject, notes: list[object]) -> JsonObject:
    for note in notes:
        if isinstance(note, Core):
            schema = dict(_SHARED[note.name]) if note.name in _SHARED else {"$ref": note.name}
        elif isinstance(note, Facts):
            schema = {**schema, **note.keywords}
    return schema


def _type(annotation: Any) -> JsonObject:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return {}
    if origin is Annotated:
        return _with_notes(_type(arguments[0]), list(arguments[1:]))
    if origin in (Union, UnionType):
        return _type(next(a for a in arguments if a is not NoneType))
    if origin is list:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is dict:
        values = {} if arguments[1] is Any else {"additionalProperties": _type(arguments[1])}
        return {"type": "object", **values}
    if inspect.isclass(annotation) and issubclass(annotation, View):
        return {"$ref": annotation.__name__}
    return {"type": _SCALARS[annotation]}
