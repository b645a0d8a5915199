"""Tensors, requests and responses of V2."""

from sampan.protocol.bytes_tensor import deserialize_bytes_tensor, serialize_byte_tensor
from sampan.protocol.tensors import (
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
    RequestedOutput,
)

__all__ = [
    "InferInput",
    "InferOutput",
    "InferRequest",
    "InferResponse",
    "RequestedOutput",
    "deserialize_bytes_tensor",
    "serialize_byte_tensor",
]
