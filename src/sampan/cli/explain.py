"""`sampan explain`: ask the explainer of a service, through the gateway as any client would."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from sampan.cli.answers import FORMS
from sampan.cli.daemon import connect
from sampan.cli.output import USAGE, CliError
from sampan.cli.predict import select_service
from sampan.cli.prediction import Question, Server, ask, read_body
from sampan.cli.targets import service_name, service_path


def explain(
    name: Annotated[str, typer.Argument(help="The InferenceService")],
    filename: Annotated[str, typer.Option("--filename", "-f", help="Request body: file or -")] = "",
    data: Annotated[str, typer.Option("--data", "-d", help="Request body as text")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    model: Annotated[str, typer.Option(help="The model, where its name is not NAME")] = "",
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait")] = 600.0,
    output: Annotated[str, typer.Option("--output", "-o", help="json, pretty or raw")] = "json",
) -> None:
    """Send a V1 request to be explained and print the explanation."""
    if output not in FORMS:
        raise CliError(f'-o "{output}": choose {", ".join(FORMS)}', USAGE)
    if bool(filename) == bool(data):
        raise CliError("give the request with -f FILE (or -f -), or with -d JSON", USAGE)
    body = data.encode() if data else read_body(filename)
    name = service_name(name)
    client = connect()
    found = client.get(service_path(namespace, name))
    if not found["spec"].get("explainer"):
        raise CliError(f'"{name}" has no explainer; give it spec.explainer')
    server = select_service(client, (namespace, name), Server("", timeout=timeout))
    question = Question(model or name, body, "v1", form=output)
    path = f"/v1/models/{question.model}:explain"
    sys.stdout.buffer.write(ask(server, replace(question, path=path)))
    sys.stdout.flush()
