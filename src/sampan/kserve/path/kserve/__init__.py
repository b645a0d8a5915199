"""KServe's Python SDK as Sampan has it: each name from the part of Sampan it lives in."""

from kserve.constants import constants
from kserve.inference_client import InferenceGRPCClient
from kserve.utils import utils
from sampan.client.rest import InferenceRESTClient, RESTConfig
from sampan.protocol.tensors import InferInput, InferOutput, InferRequest, InferResponse
from sampan.sdk.model import Model
from sampan.sdk.model_repository import ModelRepository
from sampan.sdk.model_server import ModelServer
from sampan.sdk.predictor_config import PredictorConfig

__all__ = [
    "Model",
    "ModelServer",
    "ModelRepository",
    "PredictorConfig",
    "InferenceRESTClient",
    "InferenceGRPCClient",
    "RESTConfig",
    "InferRequest",
    "InferInput",
    "InferResponse",
    "InferOutput",
    "constants",
    "utils",
]


_OF_CLUSTERS = ("KServeClient", "V1", "Knative", "ApiClient", "Configuration")
"""How the names of KServe's Kubernetes client begin, and of its classes for objects."""


def __getattr__(name: str) -> object:
    message = (
        f'"kserve.{name}" is not among the names that Sampan answers for; '
        'install KServe\'s own package for it ("pip install kserve")'
    )
    if name.startswith(_OF_CLUSTERS):  # `from kserve import ...` keeps an ImportError's words only
        raise ImportError(message + ", which works with Sampan's API server")
    raise AttributeError(message)
