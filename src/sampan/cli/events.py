"""`sampan events`: what happened to an object, or to all of a namespace, the newest last."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import typer

from sampan.cli.client import ApiClient, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.output import USAGE, CliError, note, say, table
from sampan.cli.targets import find_named

HEADER = ("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE")
TYPES = ("Normal", "Warning")
FORMS = ("", "yaml", "json")


def events(
    what: Annotated[
        list[str] | None, typer.Argument(help="NAME (an InferenceService), or KIND/NAME")
    ] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A")] = False,
    types: Annotated[str, typer.Option(help="Normal or Warning; both: all")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Then show new ones")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="yaml or json")] = "",
) -> None:
    """Show events of an object, or of a namespace, the newest last."""
    if output not in FORMS:
        raise CliError(f'-o "{output}": choose yaml or json', USAGE)
    if types not in ("", *TYPES):
        raise CliError(f'--types "{types}": choose {" or ".join(TYPES)}', USAGE)
    client = connect()
    asked = _asked(client, what or [], namespace, everywhere=all_namespaces)
    query = _query(asked, types)
    listed = client.get(asked.path, query)
    found = sorted(listed["items"], key=_last_seen)
    if asked.obj and not found:
        client.get(asked.obj)  # an object that is gone still has events; one that never was has not
    _show(found, output, every=asked.every)
    if watch:
        version = listed["metadata"]["resourceVersion"]
        _follow(client, asked, {**query, "resourceVersion": version}, output)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose events: the path of the collection, the fields to select by, the object's own path."""

    path: str
    fields: tuple[str, ...] = ()
    obj: str = ""
    every: bool = False


def _asked(client: ApiClient, words: list[str], namespace: str, *, everywhere: bool) -> _Asked:
    own = f"/api/v1/namespaces/{namespace}/events"
    if not words:
        return _Asked("/api/v1/events" if everywhere else own, every=everywhere)
    targets = [(target, name) for target in find_named(client, words) for name in target.names]
    if len(targets) > 1:
        raise CliError("name one object, or none for all of the namespace", USAGE)
    ((target, name),) = targets
    fields = (f"involvedObject.kind={target.resource['kind']}", f"involvedObject.name={name}")
    every = everywhere or not target.resource["namespaced"]
    path = "/api/v1/events" if every else own
    return _Asked(path, fields, target.path(namespace, name), every=everywhere)


def _query(asked: _Asked, types: str) -> dict[str, str]:
    wanted = [*asked.fields, *([f"type={types}"] if types else [])]
    return {"fieldSelector": ",".join(wanted)} if wanted else {}


def _last_seen(event: JsonObject) -> str:
    return str(event.get("lastTimestamp") or event["metadata"].get("creationTimestamp") or "")


def _show(found: list[JsonObject], output: str, *, every: bool) -> None:
    from sampan.cli.get import formatted

    if output:
        say(formatted({"apiVersion": "v1", "kind": "EventList", "items": found}, output))
    elif found:
        header = ("NAMESPACE", *HEADER) if every else HEADER
        say(table(header, [_row(event, every=every) for event in found]))
    else:
        note("No events found.")


def _row(event: JsonObject, *, every: bool) -> list[str]:
    told = event.get("involvedObject") or {}
    row = [
        event_age(event, time.time()),
        str(event.get("type", "")),
        str(event.get("reason", "")),
        f"{str(told.get('kind', '')).lower()}/{told.get('name', '')}",
        str(event.get("message", "")),
    ]
    return [str(event["metadata"].get("namespace", "")), *row] if every else row


def event_age(event: JsonObject, now: float) -> str:
    """Return when an event was last seen, and how often where more than once, as kubectl does."""
    from sampan.apiserver.durations import render_age

    age, count = render_age(_last_seen(event), now), int(event.get("count") or 1)
    if count < 2:
        return age
    return f"{age} (x{count} over {render_age(event.get('firstTimestamp'), now)})"


def _follow(client: ApiClient, asked: _Asked, query: dict[str, str], output: str) -> None:
    from sampan.cli.get import formatted

    for change in client.watch(asked.path, query):
        event = change["object"]
        if change["type"] == "ERROR":
            raise CliError(str(event.get("message", event)))
        if change["type"] == "DELETED":
            continue
        if output:
            say(
                formatted(event, output) if output == "json" else f"---\n{formatted(event, output)}"
            )
        else:
            say("   ".join(_row(event, every=asked.every)))
