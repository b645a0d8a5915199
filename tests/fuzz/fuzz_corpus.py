"""Valid requests of every protocol that REST speaks: what the mutations start from."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

JSON = ("Content-Type", b"application/json")
BINARY = ("Content-Type", b"application/octet-stream")
EVENT = ("Content-Type", b"application/cloudevents+json")

ROW = [6.8, 2.8, 4.8, 1.4]
V1: tuple[Any, ...] = (
    {"instances": [ROW, ROW]},
    {"inputs": [ROW]},
    {"instances": [{"a": 1.5, "b": 2}]},
    {"instances": ["text", "more"]},
    {"instances": [], "parameters": {"content_type": "pd"}},
)
V2: tuple[Any, ...] = (
    {"id": "1", "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [ROW]}]},
    {
        "inputs": [
            {"name": "x", "shape": [2, 4], "datatype": "FP64", "data": [*ROW, *ROW]},
            {"name": "y", "shape": [2], "datatype": "BYTES", "data": ["a", "é"]},
        ],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "output-0", "parameters": {"binary_data": True}}, {"name": "x"}],
    },
    {"inputs": [{"name": "x", "shape": [3], "datatype": "BOOL", "data": [True, False, True]}]},
    {
        "inputs": [{"name": "x", "shape": [1], "datatype": "UINT64", "data": [2**64 - 1]}],
        "parameters": {"content_type": "pd", "n": 1, "f": 0.5, "b": False},
    },
    {"inputs": [{"name": "x", "shape": [0, 4], "datatype": "INT8", "data": []}]},
)
GENERATE: tuple[Any, ...] = (
    {"text_input": "hello", "parameters": {"temperature": 0.5, "stop": "x"}},
    {"x": [1.5, 2], "y": True},
)
EVENT_HEAD = {
    "specversion": "1.0",
    "id": "36077800",
    "source": "https://example.com",
    "type": "com.example.row",
    "time": "2026-01-02T03:04:05Z",
}
EVENTS: tuple[Any, ...] = (
    {**EVENT_HEAD, "data": {"instances": [ROW]}},
    {
        **EVENT_HEAD,
        "datacontenttype": "application/json",
        "data_base64": "eyJpbnN0YW5jZXMiOltdfQ==",
    },
    {**EVENT_HEAD, "subject": "s", "dataschema": "https://example.com/s", "extra": 1, "data": [1]},
)

FLOATS = np.array([ROW, ROW], dtype="<f4").tobytes()
TEXTS = b"\x02\x00\x00\x00ab\x00\x00\x00\x00\x03\x00\x00\x00\xc3\xa9c"
BINARIES: tuple[tuple[Any, bytes], ...] = (
    (
        {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32",
                     "parameters": {"binary_data_size": len(FLOATS)}}]},
        FLOATS,
    ),
    (
        {"id": "b",
         "inputs": [
             {"name": "x", "shape": [3], "datatype": "BYTES",
              "parameters": {"binary_data_size": len(TEXTS)}},
             {"name": "y", "shape": [2, 2], "datatype": "INT16",
              "parameters": {"binary_data_size": 8}},
             {"name": "z", "shape": [1], "datatype": "INT32", "data": [7]}],
         "parameters": {"binary_data_output": True}},
        TEXTS + bytes(range(8)),
    ),
    (
        {"inputs": [{"name": "x", "shape": [2], "datatype": datatype,
                     "parameters": {"binary_data_size": 4}} for datatype in ("FP16", "BF16")],
         "outputs": [{"name": "x", "parameters": {"binary_data": True}}]},
        b"\x00\x3e\x00\x41\xc0\x3f\x20\x40",
    ),
)  # fmt: skip


def framed(path: bytes, body: bytes, *, head: bytes = b"") -> bytes:
    """Return a request with a declared length."""
    return (
        b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n%s"
        b"Content-Length: %d\r\n\r\n%s" % (path, head, len(body), body)
    )


def chunked(path: bytes, *pieces: bytes, trailer: bytes = b"") -> bytes:
    """Return a request whose body comes in chunks."""
    chunks = b"".join(b"%x;e=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n%s\r\n" % (
        path,
        chunks,
        trailer,
    )


_V1, _V2 = json.dumps(V1[0]).encode(), json.dumps(V2[0]).encode()
MESSAGES: tuple[bytes, ...] = (
    framed(b"/v1/models/iris:predict", _V1),
    framed(b"/v2/models/iris/infer", _V2),
    framed(b"/v1/models/echo:predict", _V1, head=b"Expect: 100-continue\r\n"),
    framed(b"/v1/models/echo:predict", _V1, head=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    framed(b"/v1/models/echo:predict", _V1, head=b"Cookie: a=b; c=d\r\nX-Request-Id: 7\r\n"),
    chunked(b"/v2/models/echo/infer", _V2[:20], _V2[20:]),
    chunked(b"/v1/models/echo:predict", _V1, trailer=b"X-Sum: 1\r\n"),
    b"GET /v2/models/iris HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"GET /metrics HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    framed(b"/v1/models/iris:predict", _V1) * 3,
    b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n" + framed(b"/v2/repository/index", b"{}"),
)
PATHS = ("/v1/models/iris:predict", "/v1/models/echo:predict")
PATHS_V2 = ("/v2/models/iris/infer", "/v2/models/echo/infer")
