"""Answers of models as they are written to standard output. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

import orjson

from sampan.cli.output import SYSTEM, CliError
from sampan.client import InferResponse
from sampan.client.events import EventReader
from sampan.protocol.tensors import listed

FORMS = ("json", "pretty", "raw")
_EVENT_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""How a body of server-sent events begins (HTML, section 9.2)."""


def render(body: bytes, form: str) -> bytes:
    """Return a body as it is to be written: as it came, or as JSON on one line or many."""
    if form == "raw":
        return body
    try:
        value = json.loads(body)
    except ValueError:
        return body.decode(errors="replace").encode() + b"\n"
    indent = 2 if form == "pretty" else None
    return json.dumps(value, ensure_ascii=False, indent=indent).encode() + b"\n"


def render_response(response: InferResponse, form: str) -> bytes:
    """Return a V2 response as JSON, its raw tensors as lists."""
    outputs = [
        {
            "name": tensor.name,
            "shape": list(tensor.shape),
            "datatype": tensor.datatype,
            "data": listed(tensor.as_numpy().reshape(-1)),
        }
        for tensor in response.outputs
    ]
    told = {"model_name": response.model_name, "id": response.id, "outputs": outputs}
    return render(orjson.dumps(told), "json" if form == "raw" else form)


def parts_of(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the data of server-sent events a line each; what is none is yielded as it comes.

    CliError where an event tells that the stream broke off.
    """
    reader: EventReader | None = None
    begun = False
    for piece in pieces:
        if not begun:
            reader = EventReader() if piece.startswith(_EVENT_FIELDS) else None
            begun = True
        if reader is None:
            yield piece
            continue
        for data in reader.feed(piece):
            yield data.encode() + b"\n"
            _stop_at_error(data)


def _stop_at_error(data: str) -> None:
    """End with 3 where an event is the server's way to say that the stream broke off."""
    if not data.startswith('{"error"'):
        return
    try:
        value = json.loads(data)
    except ValueError:
        return
    if list(value) == ["error"]:
        raise CliError(f"the stream broke off: {value['error']}", SYSTEM)
