"""Models. KServe's bases of `Model` are the one class that Sampan's server asks for."""

from sampan.client.predictor_protocol import PredictorProtocol
from sampan.sdk.model import Model
from sampan.sdk.predictor_config import PredictorConfig
from sampan.server.model import InferenceVerb
from sampan.server.model import Model as BaseKServeModel
from sampan.server.model import Model as InferenceModel

__all__ = [
    "Model",
    "BaseKServeModel",
    "InferenceModel",
    "InferenceVerb",
    "PredictorConfig",
    "PredictorProtocol",
    "is_v2",
]


def is_v2(protocol: PredictorProtocol) -> bool:
    """Whether a protocol carries tensors, over REST or gRPC."""
    return protocol != PredictorProtocol.REST_V1
