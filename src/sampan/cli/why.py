"""`sampan why`: what stands between an object and Ready, link by link, and the mend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from sampan.cli.client import ApiClient, ApiProblem, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.output import paint, say
from sampan.cli.targets import Target, find_named, service_path

MARKS = {"done": ("✓", "32"), "running": ("…", "33"), "waiting": ("·", "2"), "failed": ("✗", "31")}


def why(
    what: Annotated[list[str], typer.Argument(help="NAME (an InferenceService), or KIND/NAME")],
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    output: Annotated[str, typer.Option("--output", "-o", help="json")] = "",
) -> None:
    """Say why an object is, or is not, Ready. Exits 0 only when it is."""
    client = connect()
    named = [(target, name) for target in find_named(client, what) for name in target.names]
    found = [_told(client, target, namespace, name) for target, name in named]
    if output == "json":
        say(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    else:
        say("\n\n".join(map(rendered, found)))
    if not all(told["ready"] for told in found):
        raise SystemExit(1)


def _told(client: ApiClient, target: Target, namespace: str, name: str) -> JsonObject:
    try:
        return client.get(f"{target.path(namespace, name)}/why")
    except ApiProblem:
        if not client.server.context:
            raise
    from sampan.cli.why_cluster import explain

    return explain(client, target, namespace, name)


def ask(client: ApiClient, namespace: str, name: str) -> JsonObject:
    """Return the explanation of a service as the API server gives it."""
    return client.get(f"{service_path(namespace, name)}/why")


def rendered(told: JsonObject) -> str:
    """Return the explanation for people."""
    about = f'{told["about"]} "{told["name"]}"' if told.get("about") else told["name"]
    lines = [f"{about} is {_readiness(told)}"]
    lines += list(chain_lines(told["links"]))
    if told.get("message") and not _is_told(told.get("reason", ""), told["links"]):
        lines += ["", f"  {told['reason']}: {told['message']}"]
    lines += list(replica_lines(told.get("replicas") or []))
    lines += list(rolled_back_lines(told.get("rolledBack") or []))
    if told.get("lastLines"):
        lines += ["", "last lines of its log:"]
        lines += [f"  {line}" for line in told["lastLines"]]
    if told.get("mend"):
        lines += ["", f"{paint('to mend it:', '1')} {told['mend']}"]
    if told["ready"] and told["url"]:
        lines += ["", f"url: {told['url']}"]
    return "\n".join(lines)


def _is_told(reason: str, links: list[JsonObject]) -> bool:
    """Tell whether a link of the chain has the reason; where nothing runs none may have it."""
    return not reason or any(link.get("reason") == reason for link in links)


def _readiness(told: JsonObject) -> str:
    if told.get("about") and not any(link["name"] == "Ready" for link in told["links"]):
        return "in order" if told["ready"] else "not in order"
    if not told["ready"]:
        return "not Ready"
    behind = any(link["state"] != "done" for link in told["links"]) and not told.get("about")
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
            at_hand = f"; {told['atHand']}" if told.get("atHand") else ""
            yield f"  {told['workload']} {told['replicas']}, {told['reason']}{at_hand}"


def rolled_back_lines(revisions: list[JsonObject]) -> Iterator[str]:
    """Yield each revision that was taken back by itself, by which numbers, and what mends it."""
    mark, colour = MARKS["failed"]
    for told in revisions:
        about = f"{told['revision']} was rolled back: {told['reason']}: {told['message']}"
        yield f"  {paint(mark, colour)} {about}"
        if told["mend"]:
            yield f"    {paint('to mend it:', '1')} {told['mend']}"


def chain_line(link: dict[str, Any]) -> str:
    """Return one link of the chain: a mark, its name, and what is known of it."""
    mark, colour = MARKS[link["state"]]
    detail = link.get("message", "")
    if link.get("reason") and link["state"] != "done":
        detail = f"{link['reason']}: {detail}" if detail else link["reason"]
    return f"  {paint(mark, colour)} {link['name']:<12} {detail}".rstrip()
