"""The conditions of an LLMInferenceServiceConfig: `Ready` alone."""

from __future__ import annotations

from sampan.api.condition_set import ConditionSet

CONFIG_CONDITIONS = ConditionSet(dependents=())
