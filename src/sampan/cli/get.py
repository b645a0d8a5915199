"""`sampan get`: objects as tables (made by the server, as for kubectl), YAML, JSON or names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from sampan.cli.client import TABLE, ApiClient, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.output import CliError, note, say, table
from sampan.cli.targets import Target, find_targets, object_name

HEAD = {"apiVersion", "kind", "metadata"}
FORMS = ("", "wide", "yaml", "json", "name")


def get(
    what: Annotated[list[str], typer.Argument(help="KIND [NAME...], or KIND/NAME...")],
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="wide, yaml, json or name")] = "",
    selector: Annotated[str, typer.Option("--selector", "-l", help="Label selector")] = "",
    field_selector: Annotated[str, typer.Option(help="Field selector")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Then show changes")] = False,
) -> None:
    """Show objects."""
    if output not in FORMS:
        raise CliError(
            f'-o "{output}": choose wide, yaml, json or name (kubectl has the others)', 2
        )
    client = connect()
    where = "" if all_namespaces else namespace
    query = {"labelSelector": selector, "fieldSelector": field_selector}
    query = {k: v for k, v in query.items() if v}
    targets = find_targets(client, what)
    if len(targets) > 1:
        _show_several(client, targets, where, output, query)
    else:
        _show(client, targets[0], where, output, query)
    if watch:
        if len(targets) != 1:
            raise CliError("--watch follows one kind at a time", 2)
        _follow(client, targets[0], where, output, query)


def formatted(obj: Any, output: str) -> str:
    """Return an object as YAML or JSON text, without `managedFields`, as kubectl shows it."""
    obj = shown(obj)
    if output == "json":
        return json.dumps(obj, indent=4)
    import yaml

    return yaml.safe_dump(obj, sort_keys=False, allow_unicode=True).rstrip()


def shown(obj: Any) -> Any:
    """Return an object as a person reads it: apiVersion and kind first, no managedFields."""
    if not isinstance(obj, dict):
        return obj
    if isinstance(obj.get("items"), list):
        return {**obj, "items": [shown(item) for item in obj["items"]]}
    if not isinstance(obj.get("metadata"), dict):
        return obj
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    head = {k: obj[k] for k in ("apiVersion", "kind") if k in obj}
    return {**head, "metadata": metadata, **{k: v for k, v in obj.items() if k not in HEAD}}


def _show(
    client: ApiClient, target: Target, where: str, output: str, query: dict[str, str]
) -> None:
    if output in {"yaml", "json", "name"}:
        objects = list(_objects(client, target, where, query))
        _say_objects(objects, output, single=len(target.names) == 1)
        return
    text = _table(client, target, where, query, wide=output == "wide", several=False)
    if text:
        say(text)
    else:
        _note_nothing(where)


def _show_several(
    client: ApiClient, targets: list[Target], where: str, output: str, query: dict[str, str]
) -> None:
    """Show kinds one below the other, those without objects left out, as kubectl does."""
    if output in {"yaml", "json", "name"}:
        found = [obj for target in targets for obj in _objects(client, target, where, query)]
        _say_objects(found, output, single=False)
        return
    wide = output == "wide"
    tables = [_table(client, t, where, query, wide=wide, several=True) for t in targets]
    if any(tables):
        say("\n\n".join(filter(None, tables)))
    else:
        _note_nothing(where)


def _note_nothing(where: str) -> None:
    note(f"No resources found{f' in {where} namespace' if where else ''}.")


def _say_objects(objects: list[JsonObject], output: str, *, single: bool) -> None:
    if output == "name":
        for obj in objects:
            say(object_name(obj))
        return
    listed = {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": objects}
    say(formatted(objects[0] if single and len(objects) == 1 else listed, output))


def _table(
    client: ApiClient,
    target: Target,
    where: str,
    query: dict[str, str],
    *,
    wide: bool,
    several: bool,
) -> str:
    """Return the table of a kind, "" where it has no objects; among `several`, kinds are named."""
    tables = [
        client.request("GET", target.path(where, name), query=query, accept=TABLE).body
        for name in target.names or ("",)
    ]
    rows = [row for t in tables for row in t["rows"]]
    if not rows:
        return ""
    if several:
        kind = object_name({**_head(target), "metadata": {"name": ""}})
        rows = [{**row, "cells": [f"{kind}{row['cells'][0]}", *row["cells"][1:]]} for row in rows]
    return rendered(tables[0]["columnDefinitions"], rows, wide=wide, every=not where)


def _head(target: Target) -> JsonObject:
    return {"apiVersion": target.resource["groupVersion"], "kind": target.resource["kind"]}


def rendered(columns: list[JsonObject], rows: list[JsonObject], *, wide: bool, every: bool) -> str:
    """Return server-made table rows as text; `every` adds the namespace column."""
    shown = [i for i, c in enumerate(columns) if wide or c.get("priority", 0) == 0]
    header = [columns[i]["name"].upper() for i in shown]
    lines = [[_cell(row["cells"][i]) for i in shown] for row in rows]
    if every and any(row["object"]["metadata"].get("namespace") for row in rows):
        header = ["NAMESPACE", *header]
        lines = [
            [row["object"]["metadata"].get("namespace", ""), *line]
            for row, line in zip(rows, lines, strict=True)
        ]
    return table(header, lines)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _objects(
    client: ApiClient, target: Target, where: str, query: dict[str, str]
) -> Iterator[JsonObject]:
    if target.names:
        for name in target.names:
            yield client.get(target.path(where, name))
        return
    listed = client.get(target.path(where), query)
    for item in listed["items"]:
        yield {**_head(target), **item}


def _follow(
    client: ApiClient, target: Target, where: str, output: str, query: dict[str, str]
) -> None:
    version = client.get(target.path(where), {**query, "limit": "1"})["metadata"]["resourceVersion"]
    asked = {**query, "watch": "true", "resourceVersion": version}
    if target.names:
        asked["fieldSelector"] = f"metadata.name={target.names[0]}"
    accept = TABLE if output in {"", "wide"} else "application/json"
    columns: list[JsonObject] = []
    for line in client.lines(target.path(where), asked, accept):
        event = json.loads(line)
        obj = event["object"]
        if event["type"] == "ERROR":
            raise CliError(str(obj.get("message", obj)))
        if obj.get("kind") == "Table":
            columns = obj.get("columnDefinitions") or columns
            text = rendered(columns, obj["rows"], wide=output == "wide", every=not where)
            say("\n".join(text.splitlines()[1:]))
        elif output == "name":
            say(object_name(obj))
        else:
            say(formatted(obj, output) if output == "json" else f"---\n{formatted(obj, output)}")
