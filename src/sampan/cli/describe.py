"""`sampan describe`: one object in full, with its conditions and events."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import Annotated, Any

import typer

from sampan.cli.client import ApiClient, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.events import event_age
from sampan.cli.get import formatted
from sampan.cli.output import CliError, say, table
from sampan.cli.targets import Target, find_targets

HIDDEN = {"managedFields"}
OWN_LINES = {"apiVersion", "kind", "metadata", "status"}


def describe(
    what: Annotated[list[str], typer.Argument(help="KIND NAME, or KIND/NAME")],
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
) -> None:
    """Show objects in full, with conditions and events."""
    client = connect()
    for target in find_targets(client, what):
        if not target.names:
            raise CliError(f"which {target.resource['name']}? give a name", 2)
        for name in target.names:
            say(described(client, target, namespace, name))


def described(client: ApiClient, target: Target, namespace: str, name: str) -> str:
    """Return the description of one object."""
    obj = client.get(target.path(namespace, name))
    metadata = {k: v for k, v in obj["metadata"].items() if k not in HIDDEN}
    parts = [f"Name:       {name}"]
    if metadata.get("namespace"):
        parts.append(f"Namespace:  {metadata['namespace']}")
    parts.append(f"Kind:       {obj['kind']} ({obj['apiVersion']})")
    parts += [_section(k, metadata[k]) for k in ("labels", "annotations") if metadata.get(k)]
    own = {k: v for k, v in obj.items() if k not in OWN_LINES}
    parts += [_section(k, v) for k, v in (_sizes(own) if obj["kind"] == "Secret" else own).items()]
    parts += _status(obj.get("status") or {})
    parts.append(_events(client, metadata.get("namespace", ""), obj))
    return "\n".join(parts)


def _sizes(secret: JsonObject) -> JsonObject:
    """Return the fields of a Secret with the sizes of its values in their place."""
    data = {key: f"{len(b64decode(value))} bytes" for key, value in secret.get("data", {}).items()}
    return {**secret, "data": data} if data else secret


def _status(status: JsonObject) -> list[str]:
    parts = []
    rest = {k: v for k, v in status.items() if k != "conditions"}
    if rest:
        parts.append(f"Status:\n{_indented(formatted(rest, 'yaml'))}")
    if status.get("conditions"):
        rows = [
            [c["type"], c["status"], c.get("reason", ""), c.get("message", "")]
            for c in status["conditions"]
        ]
        parts.append(
            f"Conditions:\n{_indented(table(['TYPE', 'STATUS', 'REASON', 'MESSAGE'], rows))}"
        )
    return parts


def _events(client: ApiClient, namespace: str, obj: JsonObject) -> str:
    selector = f"involvedObject.kind={obj['kind']},involvedObject.name={obj['metadata']['name']}"
    path = f"/api/v1/namespaces/{namespace}/events" if namespace else "/api/v1/events"
    items = client.get(path, {"fieldSelector": selector})["items"]
    if not items:
        return "Events:     none"
    items.sort(key=lambda e: e.get("lastTimestamp") or "")
    now = time.time()
    rows = [
        [e.get("type", ""), e.get("reason", ""), event_age(e, now), e.get("message", "")]
        for e in items
    ]
    return f"Events:\n{_indented(table(['TYPE', 'REASON', 'AGE', 'MESSAGE'], rows))}"


def _section(name: str, value: Any) -> str:
    if not isinstance(value, dict | list):
        return f"{name.capitalize() + ':':<12}{value}"
    return f"{name.capitalize()}:\n{_indented(formatted(value, 'yaml'))}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
