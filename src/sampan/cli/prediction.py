"""What `sampan predict` and `sampan run` ask a model: how it goes out, how the answer is shown."""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from sampan.cli.answers import parts_of, render, render_response
from sampan.cli.output import SYSTEM, USAGE, USER, CliError
from sampan.client import Client, InferResponse, NoAnswer, RequestFailed
from sampan.client.calls import Answer, Call, infer
from sampan.protocol.errors import ServingError
from sampan.protocol.tensors import InferRequest

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model answers: the base URL, what goes with each request, what mends a silence.

    `authority` is the name that a gateway tells services apart by, where the path does not.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    token: str = ""
    timeout: float = 60.0
    retries: int = 3
    ca_file: str = ""
    authority: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A body for a model. `path` replaces that of the protocol; `form` is how to show answers."""

    model: str
    body: bytes
    protocol: str = ""
    path: str = ""
    binary: bool = False
    form: str = "json"


def ask(server: Server, question: Question) -> bytes:
    """Ask over HTTP; return the answer as it is to be written. CliError for a refusal."""
    protocol = question.protocol or select_protocol(question.body)
    with make_client(server) as client:
        try:
            if question.binary:
                asked = infer(question.model, read_tensors(question), binary=True)
                return render_response(client.send(asked), question.form)
            path = question.path or predict_path(question.model, protocol)
            headers = {"content-type": _JSON}
            plain = Call("POST", path, _whole, question.body, headers)
            return render(client.send(plain).body, question.form)
        except (RequestFailed, NoAnswer, ServingError) as error:
            raise _problem(error, server.mend) from None


def stream(server: Server, question: Question) -> Iterator[bytes]:
    """Ask over HTTP; yield each part of the answer when it comes. CliError for a refusal.

    Server-sent events are yielded one by one as their data, anything else piece by piece; an
    event that tells of an error ends with it.
    """
    protocol = question.protocol or select_protocol(question.body)
    stem = f"/v2/models/{quote(question.model, safe='')}"
    usual = f"{stem}/generate_stream" if protocol == "generate" else ""
    path = question.path or usual or predict_path(question.model, protocol)
    with make_client(server) as client:
        try:
            pieces = client.stream(path, _parsed(question.body))
            yield from pieces if question.form == "raw" else parts_of(pieces)
        except (RequestFailed, NoAnswer, ServingError) as error:
            raise _problem(error, server.mend) from None


def ask_grpc(server: Server, question: Question) -> bytes:
    """Ask over gRPC; return the answer as it is to be written. CliError for a refusal."""
    import asyncio

    try:
        import grpc  # type: ignore[import-untyped]  # ships no types
    except ImportError:
        raise CliError(
            'gRPC needs the module "grpc"; install "sampan[grpc]", or ask without --grpc', SYSTEM
        ) from None
    try:
        request = read_tensors(question)
        return render_response(asyncio.run(_infer_grpc(server, request)), question.form)
    except ServingError as error:
        raise _problem(error, server.mend) from None
    except grpc.aio.AioRpcError as error:
        words = f"{error.code().name} {error.details()}"
        ours = error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        broken = ours or error.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
        raise CliError(
            words + (server.mend if broken else ""), SYSTEM if broken else USER
        ) from None


async def _infer_grpc(server: Server, request: InferRequest) -> InferResponse:
    from sampan.client.grpc import InferenceGRPCClient

    parts = urlsplit(server.url)
    secure = parts.scheme == "https"
    bearer = {"authorization": f"Bearer {server.token}"} if server.token else {}
    named = [("grpc.default_authority", server.authority)] if server.authority else []
    async with InferenceGRPCClient(
        parts.netloc,
        use_ssl=secure,
        root_certificates=server.ca_file or None,
        channel_args=named,
        timeout=server.timeout,
        retries=server.retries,
    ) as client:
        metadata = {name.lower(): value for name, value in server.headers.items()} | bearer
        return await client.infer(request, headers=tuple(metadata.items()))


def make_client(server: Server) -> Client:
    """Return the client; CliError for a URL or a certificate that is none."""
    try:
        context = ssl.create_default_context(cafile=server.ca_file) if server.ca_file else None
        return Client(
            server.url,
            token=server.token,
            headers=server.headers,
            timeout=server.timeout,
            retries=server.retries,
            ssl_context=context,
        )
    except ValueError as error:
        raise CliError(str(error), USAGE) from None
    except OSError as error:  # ssl.SSLError is one
        raise CliError(
            f'--cacert "{server.ca_file}" holds no certificates ({error}); give a PEM file', USAGE
        ) from None


def read_body(filename: str) -> bytes:
    """Return the bytes of a request file, or of standard input for `-`."""
    if filename == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(filename).read_bytes()
    except OSError as error:
        raise CliError(f'the request "{filename}" cannot be read: {error.strerror}') from None


def read_tensors(question: Question) -> InferRequest:
    """Return a V2 body as a request whose tensors go out raw; CliError where it is none."""
    from sampan.protocol import v2

    try:
        request = v2.decode(question.body, _JSON.encode(), None, question.model)
        for tensor in request.inputs:
            tensor.set_data_from_numpy(tensor.as_numpy(), binary_data=True)
    except ImportError as error:
        raise CliError(
            f'tensors need the module "{error.name}"; install "sampan[server]"', SYSTEM
        ) from None
    except (ServingError, ValueError) as error:
        raise CliError(
            f'the request is no V2 request ({error}); send "inputs", each with name, shape, '
            "datatype and data"
        ) from None
    if not request.request_outputs:
        request.parameters = {**(request.parameters or {}), "binary_data_output": True}
    return request


def select_protocol(body: bytes) -> str:
    """Return `v2` for a body with tensors (`inputs` of objects), `generate` for a text, or `v1`."""
    if b'"datatype"' not in body and b'"text_input"' not in body:
        return "v1"  # spares the parsing of a large V1 body
    try:
        parsed = json.loads(body)
    except ValueError:
        return "v1"
    if not isinstance(parsed, dict):
        return "v1"
    inputs: Any = parsed.get("inputs")
    tensors = isinstance(inputs, list) and inputs and isinstance(inputs[0], dict)
    if tensors and {"datatype", "shape"} <= inputs[0].keys():
        return "v2"
    return "generate" if "text_input" in parsed else "v1"


def predict_path(model: str, protocol: str) -> str:
    """Return the path that a protocol asks a model at."""
    name = quote(model, safe="")
    if protocol == "v1":
        return f"/v1/models/{name}:predict"
    return f"/v2/models/{name}/{'generate' if protocol == 'generate' else 'infer'}"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise CliError(f"the request is no JSON ({error}); --stream sends JSON only") from None


def _whole(answer: Answer) -> Answer:
    return answer


def _problem(error: Exception, mend: str) -> CliError:
    """Say whose fault it is: 1 for a request that was refused, 3 for what the system lacks."""
    if isinstance(error, RequestFailed):
        broken = error.status >= 500
        return CliError(
            f"{error.status} {error.error}" + (mend if broken else ""), SYSTEM if broken else USER
        )
    return CliError(f"{error}{mend if isinstance(error, NoAnswer) else ''}", SYSTEM)
