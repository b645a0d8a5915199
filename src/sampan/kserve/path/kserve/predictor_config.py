"""Where a predictor is."""

from sampan.sdk.predictor_config import PredictorConfig

__all__ = ["PredictorConfig"]
