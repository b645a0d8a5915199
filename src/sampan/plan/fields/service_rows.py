"""Rows of an InferenceService."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api.inferenceservice.implementation import FORMATS
from sampan.plan.fields.component_rows import (
    COMPONENT,
    EXPLAINER,
    EXTENSION,
    MODEL,
    OTHERS,
    PREDICTOR,
)
from sampan.plan.fields.metadata_rows import LABELS, SERVICE_ANNOTATIONS
from sampan.plan.fields.verdicts import Honoured, Inside, Rejected, Row, Warned, Written, everywhere


def _below(root: str, rows: Mapping[str, Row]) -> dict[str, Row]:
    return {f"{root}.{name}" if name else root: row for name, row in rows.items()}


def _predictor(root: str) -> dict[str, Row]:
    rows = {root: everywhere(Inside("PodSpec")), **_below(root, {**COMPONENT, **PREDICTOR})}
    rows |= _below(f"{root}.model", MODEL)
    for name in FORMATS:
        rows |= _below(f"{root}.{name}", EXTENSION)
    return rows


def _other(component: str, own: Mapping[str, Row]) -> dict[str, Row]:
    root = f"spec.{component}"
    rows = {**COMPONENT, **OTHERS, **own}
    return {root: everywhere(Inside("PodSpec")), **_below(root, rows)}


_CANARY = "spec.canary[].predictor"
_SCALED = ("maxReplicas", "scaleMetric", "scaleTarget")
_REFUSED = Rejected("it is refused when applying, as KServe does")
_OF_THE_SERVICE = Warned("is the service's to say; a canary's is not read")

_CANARY_ROWS: Mapping[str, Row] = {
    "spec.canary": Row(
        Honoured("as a share of the traffic for each"),
        Honoured("as a Deployment and a share of the traffic for each, in Standard mode"),
        example=[{"trafficPercent": 10}],
    ),
    **_predictor(_CANARY),
    **{
        f"{_CANARY}.{name}": everywhere(_REFUSED)
        for name in ("autoScaling", "autoScaling.behavior", *_SCALED)
    },
    **{
        f"{_CANARY}.{name}": everywhere(_OF_THE_SERVICE)
        for name in ("canaryTrafficPercent", "timeout")
    },
}

SERVICE: Mapping[str, Row] = {
    "status": everywhere(Written()),
    **_below("metadata", SERVICE_ANNOTATIONS),
    **_below("metadata", LABELS),
    **_predictor("spec.predictor"),
    **_other("transformer", {}),
    **_other("explainer", EXPLAINER),
    **_CANARY_ROWS,
}
"""By path. What lies below a row and has none of its own is as the row says."""
