"""What of an object no object of a cluster shows, as `sampan render` and `sampan lint` tell it."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.config import Config
from sampan.app.cluster_scaling import sampan_silences
from sampan.machinery.registry import JsonObject
from sampan.plan.fields.cluster_silences import cluster_silences
from sampan.plan.fields.table import make_field_warnings
from sampan.plan.fields.verdicts import Where
from sampan.plan.scaling import AUTOSCALER_CLASS, SAMPAN
from sampan.plan.service import annotations_of, deployment_mode
from sampan.platforms.kubernetes.settings import ClusterSettings

SERVICE, GRAPH = "InferenceService", "InferenceGraph"


def cluster_warnings(
    obj: JsonObject, config: Config, settings: ClusterSettings
) -> Iterator[tuple[str, str]]:
    """Yield `(path, sentence)` for each field of an admitted object that has no effect. Pure."""
    kind = str(obj["kind"])
    mode = deployment_mode(obj, config.default_deployment_mode) if kind in (SERVICE, GRAPH) else ""
    yield from make_field_warnings(kind, obj, Where.KUBERNETES, mode)
    if kind == GRAPH and annotations_of(obj).get(AUTOSCALER_CLASS) == SAMPAN:
        text = f'is of services: a graph of the class "{SAMPAN}" keeps one replica; leave it out'
        yield f'metadata.annotations["{AUTOSCALER_CLASS}"]', text
    if kind == SERVICE:
        yield from cluster_silences(obj, mode, gateway_api=settings.ingress.gateway_api)
        yield from dict.fromkeys(sampan_silences(obj, mode))  # two components may share one
