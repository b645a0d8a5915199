"""The ConfigMap that lists the models of a multi-model predictor, for the agent in its pods.

KServe, multi-model: made empty with the service; each TrainedModel adds an entry to it, so that
whoever applies it must leave the entries that are there.
"""

from __future__ import annotations

from sampan.machinery.registry import JsonObject
from sampan.plan.pod_metadata import AGENT_CONFIG_VOLUME
from sampan.plan.types import Component
from sampan.platforms.kubernetes.source import Source, make_metadata

MODELS_KEY = "models.json"


def render_modelconfig(source: Source) -> JsonObject | None:
    """Return the ConfigMap of a multi-model predictor, None for any other."""
    predictor = source.workload(Component.PREDICTOR)
    annotations = predictor.template["metadata"]["annotations"] if predictor else {}
    name = annotations.get(AGENT_CONFIG_VOLUME)
    if not name:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": make_metadata(source, name, {}, {}),
        "data": {MODELS_KEY: "[]"},
    }
