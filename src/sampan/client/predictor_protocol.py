"""The protocols of a predictor, by KServe's names."""

from __future__ import annotations

from enum import Enum


class PredictorProtocol(Enum):
    """What `--predictor_protocol` takes."""

    REST_V1 = "v1"
    REST_V2 = "v2"
    GRPC_V2 = "grpc-v2"


def is_v2(protocol: str | PredictorProtocol) -> bool:
    """Whether this is V2 over REST."""
    return protocol in {PredictorProtocol.REST_V2, PredictorProtocol.REST_V2.value}


def is_v1(protocol: str | PredictorProtocol) -> bool:
    """Whether this is V1."""
    return protocol in {PredictorProtocol.REST_V1, PredictorProtocol.REST_V1.value}
