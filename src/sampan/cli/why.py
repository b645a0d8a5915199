"""`sampan why`: the chain from download to route, the first link that fails, and the mend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from sampan.cli.client import ApiClient, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.output import paint, say
from sampan.cli.targets import service_name, service_path

MARKS = {"done": ("✓", "32"), "running": ("…", "33"), "waiting": ("·", "2"), "failed": ("✗", "31")}


def why(
    name: Annotated[str, typer.Argument(help="The InferenceService")],
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    output: Annotated[str, typer.Option("--output", "-o", help="json")] = "",
) -> None:
    """Say why a service is, or is not, Ready. Exits 0 only when it is."""
    told = ask(connect(), namespace, service_name(name))
    say(json.dumps(told, indent=2) if output == "json" else rendered(told))
    if not told["ready"]:
        raise SystemExit(1)


def ask(client: ApiClient, namespace: str, name: str) -> JsonObject:
    """Return the explanation of a service as the API server gives it."""
    return client.get(f"{service_path(namespace, name)}/why")


def rendered(told: JsonObject) -> str:
    """Return the explanation for people."""
    lines = [f"{told['name']} is {_readiness(told)}"]
    lines += list(chain_lines(told["links"]))
    lines += list(replica_lines(told.get("replicas") or []))
    if told.get("lastLines"):
        lines += ["", "last lines of its log:"]
        lines += [f"  {line}" for line in told["lastLines"]]
    if told.get("mend"):
        lines += ["", f"{paint('to mend it:', '1')} {told['mend']}"]
    if told["ready"]:
        lines += ["", f"url: {told['url']}"]
    return "\n".join(lines)


def _readiness(told: JsonObject) -> str:
    if not told["ready"]:
        return "not Ready"
    behind = any(link["state"] != "done" for link in told["links"])
    return "Ready, by replicas of the previous template" if behind else "Ready"


def chain_lines(links: list[JsonObject]) -> Iterator[str]:
    """Yield the links of the chain, under the names of components where there are several."""
    several = len({link.get("component") for link in links} - {"", None}) > 1
    before = ""
    for link in links:
        component = link.get("component", "") if several else ""
        if component != before and component:
            yield f"  {paint(component, '1')}"
        before = component
        yield ("  " if component else "") + chain_line(link)


def replica_lines(workloads: list[JsonObject]) -> Iterator[str]:
    """Yield how many replicas each workload has that has an autoscaler, with its numbers."""
    for told in workloads:
        if told["reason"]:
            yield f"  {told['workload']} {told['replicas']}, {told['reason']}"


def chain_line(link: dict[str, Any]) -> str:
    """Return one link of the chain: a mark, its name, and what is known of it."""
    mark, colour = MARKS[link["state"]]
    detail = link.get("message", "")
    if link.get("reason") and link["state"] != "done":
        detail = f"{link['reason']}: {detail}" if detail else link["reason"]
    return f"  {paint(mark, colour)} {link['name']:<12} {detail}".rstrip()
