"""`sampan graph view` and `inspect`: an InferenceGraph drawn, and one request on its way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sampan.cli.client import ApiClient, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.files import load_objects
from sampan.cli.output import USAGE, CliError, note, paint, say
from sampan.cli.prediction import read_body
from sampan.cli.targets import GRAPH, service_path

if TYPE_CHECKING:
    from sampan.app.graph_inspection import Edge, Inspection

ACTIONS = ("view", "inspect")
_SHOWN = 300  # characters of a body in a terminal; -o json shows all


def graph(
    action: Annotated[str, typer.Argument(help="view or inspect")],
    name: Annotated[str, typer.Argument(help="An InferenceGraph, or with view a file of one")],
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    filename: Annotated[str, typer.Option("--filename", "-f", help="Request: file or -")] = "",
    data: Annotated[str, typer.Option("--data", "-d", help="Request as text")] = "",
    svg: Annotated[Path | None, typer.Option(help="view: write a picture")] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="inspect: json")] = "",
) -> None:
    """Draw a graph, or send a request through it and show what each step was sent and answered."""
    if action not in ACTIONS:
        raise CliError(f'"{action}" is nothing to do here; write "view" or "inspect"', USAGE)
    if output not in {"", "json"}:
        raise CliError(f'-o "{output}": write json, or leave it out', USAGE)
    if action == "view":
        view(name, namespace, svg)
        return
    if bool(filename) == bool(data):
        raise CliError("give the request with -f FILE (or -f -), or with -d JSON", USAGE)
    inspect(name, namespace, data.encode() if data else read_body(filename), output)


def view(name: str, namespace: str, svg: Path | None) -> None:
    """Draw a graph that is applied, or of a file."""
    from sampan.router.annotation import with_options
    from sampan.router.outline import outline, render_svg, render_text
    from sampan.router.shape import find_cycle, find_overflow

    found = _of_file(name) if Path(name).is_file() else _stored(connect(), namespace, name)
    nodes = with_options(found)
    problem = find_cycle(nodes) or find_overflow(nodes)
    if problem:
        raise CliError(problem.text)
    say(render_text(outline(found["metadata"]["name"], nodes)))
    if svg is not None:
        svg.write_text(render_svg(outline(found["metadata"]["name"], nodes)))
        note(f"wrote {svg}")


def inspect(name: str, namespace: str, body: bytes, output: str) -> None:
    """Send a request through a graph; exits with 1 where the graph has no answer."""
    from sampan.app.graph_inspection import inspect_graph
    from sampan.router.graph import InvalidGraph
    from sampan.router.steps import RouterError

    client = connect()
    spec = _resolved(client, namespace, _stored(client, namespace, name))
    try:
        found = asyncio.run(inspect_graph(spec, body))
    except InvalidGraph as error:
        raise CliError(str(error)) from None
    if output == "json":
        say(json.dumps(_as_json(found), indent=2))
    else:
        say("\n".join(_lines(found)))
    if isinstance(found.result, RouterError):
        raise SystemExit(1)


def _stored(client: ApiClient, namespace: str, name: str) -> JsonObject:
    return client.get(service_path(namespace, f"{GRAPH}{name.removeprefix(GRAPH)}"))


def _of_file(name: str) -> JsonObject:
    objects = [one.obj for one in load_objects([name])]
    found = [obj for obj in objects if obj.get("kind") == "InferenceGraph"]
    if len(found) != 1:
        raise CliError(f'"{name}" holds {len(found)} InferenceGraphs; give a file of one')
    return found[0]


def _resolved(client: ApiClient, namespace: str, found: JsonObject) -> JsonObject:
    """Return the graph's spec with the address of each step; CliError where one has none."""
    from sampan.plan.graph import make_resolved_nodes
    from sampan.plan.types import Blocked

    root = f"/apis/serving.kserve.io/{{}}/namespaces/{namespace}"
    services = _listed(client, root.format("v1beta1") + "/inferenceservices")
    runtimes = _listed(client, "/apis/serving.kserve.io/v1alpha1/clusterservingruntimes")
    runtimes |= _listed(client, root.format("v1alpha1") + "/servingruntimes")
    graphs = _listed(client, root.format("v1alpha1") + "/inferencegraphs")
    nodes = make_resolved_nodes(found, (graphs | services).get, runtimes.get)
    if isinstance(nodes, Blocked):
        raise CliError(nodes.message)
    return {**found["spec"], "nodes": nodes}


def _listed(client: ApiClient, path: str) -> dict[str, JsonObject]:
    return {item["metadata"]["name"]: item for item in client.get(path)["items"]}


def _lines(found: Inspection) -> Iterator[str]:
    for edge in found.edges:
        yield f"{paint(f'{edge.node}/{edge.step}', '1')}  {_how(edge)}  {edge.url}"
        yield f"  sent      {_short(edge.sent)}"
        if edge.status:
            yield f"  answered  {_short(edge.answered)}"
        elif edge.cause:
            yield f"  failed    {edge.cause}"
    status, body = _answer(found)
    yield f"{paint('answer', '1')}  {status}  {1000 * found.seconds:.1f} ms"
    yield f"  {_short(body)}"


def _how(edge: Edge) -> str:
    if edge.ended is None:
        return "called off"
    took = f"{1000 * (edge.ended - edge.began):.1f} ms"
    return f"{edge.status}  {took}" if edge.status else f"failed  {took}"


def _short(body: bytes) -> str:
    text = " ".join(body.decode(errors="replace").split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ... ({len(body)} bytes)"


def _answer(found: Inspection) -> tuple[int, bytes]:
    from sampan.router.answers import error_body
    from sampan.router.body import text_of
    from sampan.router.steps import RouterError

    result = found.result
    if isinstance(result, RouterError):
        return result.status, error_body(result)
    return result.status, text_of(result.body)


def _as_json(found: Inspection) -> JsonObject:
    status, body = _answer(found)
    edges = [
        {
            "node": edge.node,
            "step": edge.step,
            "url": edge.url,
            "began": edge.began,
            "ended": edge.ended,
            "status": edge.status,
            "cause": edge.cause,
            "sent": _value(edge.sent),
            "answered": _value(edge.answered),
        }
        for edge in found.edges
    ]
    return {"edges": edges, "status": status, "seconds": found.seconds, "answer": _value(body)}


def _value(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
