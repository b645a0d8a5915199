"""The router's arguments: upstream's `--graph-json`, and what an installation may choose."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sampan.router.annotation import GRAPH_OPTIONS, find_option_mistakes, with_options
from sampan.router.graph import Graph, InvalidGraph, parse_graph
from sampan.router.headers import Pattern, parse_patterns

PROPAGATE_HEADERS = "PROPAGATE_HEADERS"


@dataclass(frozen=True, slots=True)
class Options:
    """Parsed arguments and variables. `warnings` are sentences about what has no effect."""

    graph: Graph
    port: int
    host: str
    max_body_bytes: int
    shutdown_delay: float
    grace_period: float
    patterns: tuple[Pattern, ...]
    models: dict[str, str]
    runtime: str
    trust: bool
    warnings: tuple[str, ...]


def parse(argv: list[str]) -> Options:
    """Return the options; a wrong argument ends the process with 2, a wrong graph raises
    InvalidGraph."""
    parser = make_parser()
    known, rest = parser.parse_known_args(argv)
    if bool(known.model) != bool(known.runtime):
        parser.error("models of this process need both, --model and --runtime")
    if bool(known.graph_json) == bool(known.graph_file):
        parser.error("give the graph's spec, as JSON with --graph-json or in a --graph-file")
    patterns, problems = parse_patterns(os.environ.get(PROPAGATE_HEADERS, ""))
    return Options(
        graph=parse_graph(known.graph_json or read_graph(known.graph_file)),
        port=known.port,
        host=known.host,
        max_body_bytes=known.max_body_bytes,
        shutdown_delay=known.shutdown_delay,
        grace_period=known.grace_period,
        patterns=patterns,
        models=dict(known.model),
        runtime=known.runtime,
        trust=known.trust,
        warnings=(
            *(f'argument "{word}" is not known and has no effect' for word in rest),
            *(f"{PROPAGATE_HEADERS}: {problem}" for problem in problems),
        ),
    )


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the router's arguments."""
    parser = argparse.ArgumentParser(
        prog="sampan route",
        description="Serve an InferenceGraph: one address, and its steps behind it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--graph-json", default="", help="spec of the graph, as JSON; steps have a serviceUrl")
    add("--graph-file", default="", help="the same from a file; an InferenceGraph in YAML, too")
    add("--port", type=_port, default=8080, help="where to listen; 0: a free one")
    add("--host", default="127.0.0.1", help="the address to listen on; in a pod 0.0.0.0")
    add(
        "--max-body-bytes",
        type=_positive,
        default=64 * 1024 * 1024,
        help="of a request, and of a step's answer",
    )
    add(
        "--shutdown-delay",
        type=float,
        default=_usual_delay(),
        help="seconds of being not ready before it closes connections; 30 in a pod, else 0",
    )
    add(
        "--model",
        type=_named_folder,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a model of this process, for steps at local:/v1/models/NAME:predict; repeated",
    )
    add("--runtime", default="", help="what serves these models, such as sklearn")
    add("--trust", action="store_true", help="these models may run code when they are loaded")
    add("--grace-period", type=float, default=30.0, help="seconds for requests under way")
    return parser


def read_graph(name: str) -> bytes:
    """Return a graph's spec as JSON from a file; raise InvalidGraph."""
    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise InvalidGraph(f'"{name}" cannot be read: {error}') from None
    try:
        found = orjson.loads(data)
    except ValueError:
        found = _read_yaml(name, data)
    spec = found.get("spec") if isinstance(found, dict) else None
    return orjson.dumps(found if spec is None else _with_options(name, found))


def _with_options(name: str, graph: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of a graph with the options of its annotation in it; raise InvalidGraph."""
    mistake = next(find_option_mistakes(graph), None)
    if mistake:
        place = f"{mistake.place}: " if mistake.place else ""
        raise InvalidGraph(f'"{name}": annotation {GRAPH_OPTIONS}: {place}{mistake.text}')
    return {**graph["spec"], "nodes": with_options(graph)}


def _read_yaml(name: str, data: bytes) -> Any:
    from sampan.api.yamlfile import YamlError, parse_documents

    try:
        documents = parse_documents(data.decode(), name)
    except (UnicodeDecodeError, YamlError) as error:
        raise InvalidGraph(str(error)) from None
    if len(documents) != 1:
        raise InvalidGraph(f'"{name}" holds {len(documents)} documents; give one InferenceGraph')
    return documents[0].obj


def _usual_delay() -> float:
    """KServe's router waits: a cluster goes on sending until every node knows of the end."""
    return 30.0 if "KUBERNETES_SERVICE_HOST" in os.environ else 0.0


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is no port; use 0 to 65535')
    return number


def _named_folder(text: str) -> tuple[str, str]:
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f'"{text}" is no model; write it as NAME=DIR')
    return name, folder


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of bytes from 1 on')
    return number
