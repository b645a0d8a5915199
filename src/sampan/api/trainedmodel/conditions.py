"""The conditions of a TrainedModel; `Ready` depends on the three others."""

from __future__ import annotations

from sampan.api.condition_set import ConditionSet

READY = "Ready"
INFERENCE_SERVICE_READY = "InferenceServiceReady"
MEMORY_RESOURCE_AVAILABLE = "MemoryResourceAvailable"
IS_MMS_PREDICTOR = "IsMMSPredictor"

MODEL_CONDITIONS = ConditionSet(
    dependents=(INFERENCE_SERVICE_READY, MEMORY_RESOURCE_AVAILABLE, IS_MMS_PREDICTOR)
)
