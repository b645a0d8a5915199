"""Clients."""

from sampan.client.grpc import InferenceGRPCClient
from sampan.client.rest import InferenceRESTClient, RESTConfig

__all__ = ["InferenceGRPCClient", "InferenceRESTClient", "RESTConfig"]
