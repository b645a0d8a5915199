"""Errors that a model raises or a client sees."""

from sampan.protocol.errors import (
    InferenceError,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ServerNotReady,
    UnsupportedProtocol,
)
from sampan.sdk.no_model_ready import NoModelReady

__all__ = [
    "InferenceError",
    "InvalidInput",
    "ModelNotFound",
    "ModelNotReady",
    "NoModelReady",
    "ServerNotReady",
    "UnsupportedProtocol",
]
