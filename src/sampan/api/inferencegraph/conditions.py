"""The conditions of an InferenceGraph: `Ready` depends on no other, `Stopped` stands beside it."""

from __future__ import annotations

from sampan.api.condition_set import ConditionSet

READY = "Ready"
STOPPED = "Stopped"

GRAPH_CONDITIONS = ConditionSet(dependents=())
