"""`sampan predict`: send a request to a service through the gateway, as any client would."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Annotated

import typer

from sampan.cli.answers import FORMS
from sampan.cli.client import ApiClient
from sampan.cli.daemon import connect
from sampan.cli.output import USAGE, CliError
from sampan.cli.prediction import (
    Question,
    Server,
    ask,
    ask_grpc,
    read_body,
    stream,
)
from sampan.cli.targets import GRAPH, service_name, service_path

_PROTOCOLS = ("v1", "v2", "generate")


def predict(
    name: Annotated[
        str, typer.Argument(help="The InferenceService, or ig/GRAPH; with --url, the model")
    ],
    filename: Annotated[str, typer.Option("--filename", "-f", help="Request body: file or -")] = "",
    data: Annotated[str, typer.Option("--data", "-d", help="Request body as text")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    url: Annotated[str, typer.Option(help="Any model server's base URL; asks no platform")] = "",
    model: Annotated[str, typer.Option(help="The model, where its name is not NAME")] = "",
    protocol: Annotated[str, typer.Option(help="v1, v2 or generate; default by the body")] = "",
    path: Annotated[str, typer.Option(help="Path instead of the protocol's")] = "",
    binary: Annotated[
        bool, typer.Option("--binary", help="V2: send and ask for raw tensors")
    ] = False,
    grpc: Annotated[bool, typer.Option("--grpc", help="V2 over gRPC; needs grpcio")] = False,
    streamed: Annotated[
        bool, typer.Option("--stream", help="Print each part of the answer when it comes")
    ] = False,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help='Header "NAME: VALUE"; repeatable')
    ] = None,
    token: Annotated[
        str, typer.Option(help="Bearer token; better in SAMPAN_TOKEN, which no process list shows")
    ] = "",
    cacert: Annotated[str, typer.Option(help="PEM file of the authorities to trust")] = "",
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for each part")] = 60.0,
    retries: Annotated[int, typer.Option(min=0, help="Further tries where it was too busy")] = 3,
    output: Annotated[str, typer.Option("--output", "-o", help="json, pretty or raw")] = "json",
) -> None:
    """Send a request and print the answer. A body with tensors goes by V2, else by V1."""
    _check_choices(protocol, output, (grpc, binary, streamed, bool(path)))
    if bool(filename) == bool(data):
        raise CliError("give the request with -f FILE (or -f -), or with -d JSON", USAGE)
    body = data.encode() if data else read_body(filename)
    server = Server(
        url,
        headers=parse_headers(header or []),
        token=token or os.environ.get("SAMPAN_TOKEN", ""),
        timeout=timeout,
        retries=retries,
        ca_file=cacert,
    )
    if not url:
        name = service_name(name)
        client = connect()
        client.get(service_path(namespace, name))
        server = select_service(client, (namespace, name), server)
    path = path or _usual_path(name)
    question = Question(model or name, body, protocol, path, binary, output)
    write = sys.stdout.buffer.write
    if streamed:
        for part in stream(server, question):
            write(part)
            sys.stdout.flush()
    else:
        write(ask_grpc(server, question) if grpc else ask(server, question))
    sys.stdout.flush()


def select_service(client: ApiClient, service: tuple[str, str], server: Server) -> Server:
    """Return the server with where the gateway answers for `(namespace, name)`.

    In a cluster that is the address in its status.
    """
    namespace, spoken = service
    if client.server.context:
        return _select_in_cluster(client, service, server)
    name = spoken.removeprefix(GRAPH)
    port = client.server.gateway_port
    return replace(
        server,
        url=f"http://{client.server.host}:{port}/serving/{namespace}/{name}",
        authority=f"{name}.{namespace}.localhost:{port}",
        mend=f"; see `sampan why {spoken} -n {namespace}`",
    )


def _select_in_cluster(client: ApiClient, service: tuple[str, str], server: Server) -> Server:
    namespace, name = service
    status = client.get(service_path(namespace, name)).get("status") or {}
    mend = f"; see `sampan why {name} -n {namespace}`"
    if not status.get("url"):
        raise CliError(f'"{name}" has no address yet{mend}')
    return replace(server, url=str(status["url"]), mend=mend)


def send(client: ApiClient, service: tuple[str, str], body: bytes) -> str:
    """Return the answer of `(namespace, name)` as one line; raise CliError for a refusal."""
    server = select_service(client, service, Server(""))
    question = Question(service[1], body, path=_usual_path(service[1]))
    return ask(server, question).decode().rstrip("\n")


def _usual_path(name: str) -> str:
    """Return where a graph is asked, which has one path; a service is by its protocol's."""
    return "/" if name.startswith(GRAPH) else ""


def parse_headers(words: list[str]) -> dict[str, str]:
    """Return headers by name; CliError for a word without a colon or with a line break."""
    headers: dict[str, str] = {}
    for word in words:
        name, colon, value = word.partition(":")
        if not colon or not name.strip() or not word.isprintable():
            raise CliError(f'--header "{word}": write it as "NAME: VALUE"', USAGE)
        headers[name.strip().lower()] = value.strip()
    return headers


def _check_choices(protocol: str, output: str, ways: tuple[bool, bool, bool, bool]) -> None:
    grpc, binary, streamed, path = ways
    if protocol not in {"", *_PROTOCOLS}:
        raise CliError(f'--protocol "{protocol}": choose {", ".join(_PROTOCOLS)}', USAGE)
    if output not in FORMS:
        raise CliError(f'-o "{output}": choose {", ".join(FORMS)}', USAGE)
    if grpc + binary + streamed > 1:
        raise CliError("--grpc, --binary and --stream exclude each other; give one", USAGE)
    if (grpc or binary) and (protocol not in {"", "v2"} or path):
        raise CliError("--grpc and --binary speak V2; leave out --protocol and --path", USAGE)
    if (grpc or binary) and output == "raw":
        raise CliError("-o raw: raw tensors are shown as JSON; choose json or pretty", USAGE)
