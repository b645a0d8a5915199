"""The conditions of an LLMInferenceService; `Ready` depends on three of them."""

from __future__ import annotations

from sampan.api.condition_set import ConditionSet

PRESETS_COMBINED = "PresetsCombined"
WORKLOADS_READY = "WorkloadsReady"
ROUTER_READY = "RouterReady"

OF_WORKLOADS = (
    "MainWorkloadReady",
    "WorkerWorkloadReady",
    "PrefillWorkloadReady",
    "PrefillWorkerWorkloadReady",
    "ScalingReady",
    "PrefillScalingReady",
)
"""What `WorkloadsReady` is made of; those that are absent do not count."""

OF_ROUTER = (
    "GatewaysReady",
    "HTTPRoutesReady",
    "InferencePoolReady",
    "SchedulerWorkloadReady",
    "TokenizerReady",
)
"""What `RouterReady` is made of; those that are absent do not count."""

LLM_CONDITIONS = ConditionSet(dependents=(PRESETS_COMBINED, WORKLOADS_READY, ROUTER_READY))
