"""A light client of any KServe-compatible server: V1, V2 in JSON and binary, streams, gRPC.

`Client` needs nothing but the standard library and orjson; `AsyncClient` and KServe's
`InferenceRESTClient` bring httpx in when one is made, `InferenceGRPCClient` grpcio, and arrays
NumPy. Nothing of the server is imported.
"""

from sampan.client.asynchronous import AsyncClient
from sampan.client.blocking import Client
from sampan.client.failure import NoAnswer, RequestFailed
from sampan.client.retry import RetryPolicy
from sampan.protocol.tensors import (
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
    RequestedOutput,
)

__all__ = [
    "Client",
    "AsyncClient",
    "RetryPolicy",
    "RequestFailed",
    "NoAnswer",
    "InferRequest",
    "InferInput",
    "InferOutput",
    "InferResponse",
    "RequestedOutput",
]
