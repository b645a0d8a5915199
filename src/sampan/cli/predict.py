"""`sampan predict`: send a request to a service through the gateway, as any client would."""

from __future__ import annotations

import http.client
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from sampan.cli.client import ApiClient
from sampan.cli.daemon import connect
from sampan.cli.output import SYSTEM, USER, CliError, say
from sampan.cli.targets import service_name, service_path


def predict(
    name: Annotated[str, typer.Argument(help="The InferenceService")],
    filename: Annotated[str, typer.Option("--filename", "-f", help="Request body: file or -")] = "",
    data: Annotated[str, typer.Option("--data", "-d", help="Request body as text")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    path: Annotated[str, typer.Option(help="Path instead of the V1 or V2 predict path")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer")] = 60.0,
) -> None:
    """Send a request and print the answer. A body with `inputs` goes by V2, else by V1."""
    if bool(filename) == bool(data):
        raise CliError("give the request with -f FILE (or -f -), or with -d JSON", 2)
    body = data.encode() if data else read_body(filename)
    client = connect()
    service = service_name(name)
    client.get(service_path(namespace, service))
    say(send(client, (namespace, service), body, path=path, timeout=timeout))


def read_body(filename: str) -> bytes:
    """Return the bytes of a request file, or of standard input for `-`."""
    if filename == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(filename).read_bytes()
    except OSError as error:
        raise CliError(f'the request "{filename}" cannot be read: {error.strerror}') from None


def send(
    client: ApiClient,
    service: tuple[str, str],
    body: bytes,
    *,
    path: str = "",
    timeout: float = 60.0,
) -> str:
    """Return the answer of `(namespace, name)` as compact text; raise CliError for a refusal."""
    namespace, name = service
    target = f"/serving/{namespace}/{name}{path or predict_path(name, body)}"
    connection = http.client.HTTPConnection(
        client.server.host, client.server.gateway_port, timeout=timeout
    )
    try:
        # A server that refuses a large body answers and closes before all of it was sent.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(
                "POST", target, body=body, headers={"Content-Type": "application/json"}
            )
        response = connection.getresponse()
        answer = response.read()
    except OSError as error:
        raise CliError(
            f"the gateway on port {client.server.gateway_port} gave no answer ({error}); "
            f"see `sampan why {name} -n {namespace}`",
            SYSTEM,
        ) from None
    if response.status >= 400:
        raise CliError(
            f"{response.status} {answer.decode(errors='replace').strip()}"
            + (f"; see `sampan why {name} -n {namespace}`" if response.status >= 500 else ""),
            USER if response.status < 500 else SYSTEM,
        )
    return _readable(answer)


def predict_path(name: str, body: bytes) -> str:
    """Return the V2 path for a body with tensors (`inputs` of objects), else the V1 path."""
    if b'"datatype"' not in body:  # spares the parsing of a large V1 body
        return f"/v1/models/{name}:predict"
    try:
        parsed = json.loads(body)
    except ValueError:
        return f"/v1/models/{name}:predict"
    inputs: Any = parsed.get("inputs") if isinstance(parsed, dict) else None
    tensors = isinstance(inputs, list) and inputs and isinstance(inputs[0], dict)
    if tensors and {"datatype", "shape"} <= inputs[0].keys():
        return f"/v2/models/{name}/infer"
    return f"/v1/models/{name}:predict"


def _readable(answer: bytes) -> str:
    try:
        return json.dumps(json.loads(answer), ensure_ascii=False)
    except ValueError:
        return answer.decode(errors="replace")
