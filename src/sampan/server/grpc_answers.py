"""gRPC answers as responses of the wire: a message and its status, or a status alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, TypeAlias

from sampan.protocol.errors import InvalidInput
from sampan.protocol.grpc import framing
from sampan.protocol.grpc.infer import encode_response
from sampan.protocol.grpc.status import RpcError, Status, describe, encode_message
from sampan.protocol.tensors import InferOutput, InferResponse
from sampan.server.model import Headers
from sampan.wire.message import Response

Metadata: TypeAlias = "tuple[tuple[bytes, bytes], ...]"

CONTENT_TYPE = b"application/grpc"
OK: Metadata = ((b"grpc-status", b"0"),)
_RESERVED = frozenset(
    {"content-length", "content-type", "transfer-encoding", "connection", "te", "trailer"}
)


def answer(message: bytes) -> Response:
    """Return the answer that holds this message."""
    return Response(200, framing.pack(message), CONTENT_TYPE, (), OK)


def fail(error: BaseException) -> Response:
    """Return the answer that holds a status only."""
    return Response(200, b"", CONTENT_TYPE, make_trailers(error))


def make_trailers(error: BaseException | None) -> Metadata:
    """Return the trailers that end a call."""
    if error is None:
        return OK
    code, text = describe(error)
    trailers = ((b"grpc-status", b"%d" % code), (b"grpc-message", encode_message(text)))
    if code is Status.UNIMPLEMENTED and "grpc-encoding" in text:
        return (*trailers, (b"grpc-accept-encoding", framing.ENCODINGS))
    return trailers


def answer_inference(
    result: Any, headers: Headers, *, raw: bool, most: int, stamp: Metadata = ()
) -> Response:
    """Return the answer to an inference; `most` bytes of message are sent, `stamp` comes first."""
    parts = encode_response(as_infer_response(result), raw=raw)
    size = sum(map(len, parts))
    if size > most:
        raise RpcError(
            Status.RESOURCE_EXHAUSTED, f"Sent message larger than max ({size} vs. {most})"
        )
    body = b"".join((framing.PREFIX.pack(0, size), *parts))
    fields = (*stamp, *_fields(headers.items())) if headers else stamp
    return Response(200, body, CONTENT_TYPE, fields, OK)


def _fields(headers: Iterable[tuple[str, str]]) -> Metadata:
    """Return a model's response headers as metadata."""
    return tuple(
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
        if name.lower() not in _RESERVED and not name.lower().startswith("grpc-")
    )


def as_infer_response(result: Any) -> InferResponse:
    """Return a model's answer as tensors: an InferResponse, or a dict in V2's form."""
    if isinstance(result, InferResponse):
        return result
    if isinstance(result, AsyncIterator | Iterator):
        raise InvalidInput("the model answers in several parts; ask it by ModelStreamInfer")
    if not isinstance(result, dict) or not isinstance(result.get("outputs"), list):
        raise TypeError(
            f'the model answers a gRPC call with "{type(result).__name__}"; return an '
            "InferResponse, or a dict with model_name, id and outputs"
        )
    try:
        outputs = [
            InferOutput(
                item["name"], item["shape"], item["datatype"], item["data"], item.get("parameters")
            )
            for item in result["outputs"]
        ]
    except KeyError as error:
        raise InvalidInput(f"an output of the model lacks {error}; give it") from None
    return InferResponse(
        str(result.get("id") or ""),
        str(result.get("model_name") or ""),
        outputs,
        model_version=result.get("model_version"),
        parameters=result.get("parameters"),
    )
