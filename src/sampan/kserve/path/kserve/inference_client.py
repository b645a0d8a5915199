"""Clients."""

from sampan.client.rest import InferenceRESTClient, RESTConfig

__all__ = ["InferenceRESTClient", "RESTConfig"]
