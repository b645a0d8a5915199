"""Objects as a `meta.k8s.io/v1` Table: what `kubectl get` prints. Pure.

Cells are JSONPath results, as of a CRD's `additionalPrinterColumns`: dates become ages, a
collection under an integer column its size, several results of a string column are joined.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sampan.apiserver.columns import ADDED, COMPUTED, ComputedColumn
from sampan.apiserver.durations import render_age
from sampan.apiserver.jsonpath import find
from sampan.machinery.registry import Column, JsonObject, Resource

INCLUDE_OBJECT = ("None", "Metadata", "Object")
_AGE = Column("Age", ".metadata.creationTimestamp", "date")


def build_table(
    resource: Resource, objects: Iterable[JsonObject], now: float, include: str = "Metadata"
) -> JsonObject:
    """Return a Table of the objects; `include` tells how much of each goes with its row."""
    columns = columns_of(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [_definition(c) for c in columns],
        "rows": [_row(columns, obj, now, include) for obj in objects],
    }


def columns_of(resource: Resource) -> tuple[ComputedColumn, ...]:
    """Return the columns of a resource, its name first."""
    if resource.id in COMPUTED:
        return COMPUTED[resource.id]
    added = ADDED.get(resource.id, {})
    columns = [COMPUTED["pods"][0]]
    for column in resource.columns or (_AGE,):
        columns.append(_computed(column))
        if column.name in added:
            columns.append(added[column.name])
    return tuple(columns)


def make_partial(obj: JsonObject) -> JsonObject:
    """Return an object's `PartialObjectMetadata`."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj.get("metadata", {}),
    }


def make_cell(column: Column, obj: JsonObject, now: float) -> Any:
    """Return the value of a declared column, None where the object has none."""
    found = find(column.json_path, obj)
    if not found:
        return None
    if column.type == "string":
        return " ".join(_text(value) for value in found)
    return _typed(column.type, found[0], now)


def _typed(kind: str, value: Any, now: float) -> Any:
    if kind == "date":
        return render_age(value if isinstance(value, str) else None, now)
    if kind == "integer" and isinstance(value, dict | list):
        return len(value)
    if kind in ("integer", "number"):
        usable = isinstance(value, int | float) and not isinstance(value, bool)
        return (int(value) if kind == "integer" else value) if usable else None
    return value if kind == "boolean" and isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _computed(column: Column) -> ComputedColumn:
    return ComputedColumn(
        column.name,
        lambda obj, now: make_cell(column, obj, now),
        # the age is told as text, relative to now, so the table needs no clock of the reader
        "string" if column.type == "date" else column.type,
        column.priority,
    )


def _definition(column: ComputedColumn) -> JsonObject:
    return {
        "name": column.name,
        "type": column.type,
        "format": "name" if column.name == "Name" else "",
        "description": "",
        "priority": column.priority,
    }


def _row(
    columns: tuple[ComputedColumn, ...], obj: JsonObject, now: float, include: str
) -> JsonObject:
    row: JsonObject = {"cells": [column.cell(obj, now) for column in columns]}
    if include != "None":
        row["object"] = obj if include == "Object" else make_partial(obj)
    return row
