"""What a person's own model file imports: KServe's names and signatures, typed.

`from sampan.sdk import Model, ModelServer`. With `sampan.kserve` the same names answer to
`from kserve import ...`.
"""

from sampan.client.rest import InferenceRESTClient, RESTConfig
from sampan.protocol.errors import (
    InferenceError,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ServerNotReady,
    UnsupportedProtocol,
)
from sampan.protocol.tensors import (
    InferInput,
    InferOutput,
    InferRequest,
    InferResponse,
    RequestedOutput,
)
from sampan.sdk.model import Model
from sampan.sdk.model_repository import ModelRepository
from sampan.sdk.model_server import ModelServer
from sampan.sdk.no_model_ready import NoModelReady
from sampan.sdk.predictor_config import PredictorConfig
from sampan.server.model import Headers, InferenceVerb
from sampan.server.payloads import get_predict_input, get_predict_response

__all__ = [
    "Model",
    "ModelServer",
    "ModelRepository",
    "PredictorConfig",
    "InferRequest",
    "InferInput",
    "InferResponse",
    "InferOutput",
    "RequestedOutput",
    "InferenceVerb",
    "Headers",
    "InferenceRESTClient",
    "RESTConfig",
    "get_predict_input",
    "get_predict_response",
    "InferenceError",
    "InvalidInput",
    "ModelNotFound",
    "ModelNotReady",
    "NoModelReady",
    "ServerNotReady",
    "UnsupportedProtocol",
]
