"""The predictor of this process."""

from sampan.sdk.predictor_config import get_predictor_config, set_predictor_config

__all__ = ["get_predictor_config", "set_predictor_config"]
