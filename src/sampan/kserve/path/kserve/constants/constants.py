"""Fixed values of the interface."""

from sampan.client.predictor_protocol import PredictorProtocol
from sampan.protocol.v2 import HEADER_LENGTH as INFERENCE_CONTENT_LENGTH_HEADER
from sampan.sdk.arguments import (
    DEFAULT_GRPC_PORT,
    DEFAULT_HTTP_PORT,
    MAX_GRPC_MESSAGE_LENGTH,
)
from sampan.sdk.logs import KSERVE_LOGLEVEL

__all__ = [
    "PredictorProtocol",
    "INFERENCE_CONTENT_LENGTH_HEADER",
    "DEFAULT_HTTP_PORT",
    "DEFAULT_GRPC_PORT",
    "MAX_GRPC_MESSAGE_LENGTH",
    "KSERVE_LOGLEVEL",
    "KSERVE_GROUP",
    "KSERVE_KIND_INFERENCESERVICE",
    "KSERVE_PLURAL_INFERENCESERVICE",
]

KSERVE_GROUP = "serving.kserve.io"
KSERVE_KIND_INFERENCESERVICE = "InferenceService"
KSERVE_PLURAL_INFERENCESERVICE = "inferenceservices"
