"""Knative Services: a component as revisions, with the share of each.

KServe, Knative mode: what scales is written as annotations of the revision. Of a service that has
rolled out before, the newest revision takes `canaryTrafficPercent` and the one before the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.fields.cluster_silences import WHOLE
from sampan.plan.pod_metadata import APP_LABEL
from sampan.plan.service import annotations_of
from sampan.plan.types import Workload
from sampan.platforms.kubernetes.deployment import make_pod_spec
from sampan.platforms.kubernetes.source import Source, make_metadata

AUTOSCALING = "autoscaling.knative.dev"
INITIAL_SCALE = f"{AUTOSCALING}/initial-scale"
TAG_ROUTING = "serving.kserve.io/enable-tag-routing"
# Of the Knative Service itself, not of its revisions.
_OF_SERVICE = frozenset(
    {"serving.knative.dev/rollout-duration", "serving.knative.openshift.io/enablePassthrough"}
)


def render_knative_service(source: Source, workload: Workload) -> JsonObject:
    """Return the Knative Service of a workload."""
    metadata = workload.template["metadata"]
    # Its own label `app` belongs to Standard mode: Knative writes one for each revision.
    labels = {k: v for k, v in metadata["labels"].items() if k != APP_LABEL}
    annotations = {**_startable(source, metadata["annotations"]), **_autoscaling(workload)}
    of_service = {k: v for k, v in annotations.items() if k in _OF_SERVICE}
    template = {
        "labels": {k: v for k, v in labels.items() if k not in source.config.labels_kept_back},
        "annotations": {k: v for k, v in annotations.items() if k not in _OF_SERVICE},
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": make_metadata(source, workload.name, labels, of_service),
        "spec": {
            "template": {"metadata": template, "spec": _revision_spec(source, workload)},
            "traffic": make_traffic(source, workload),
        },
    }


def make_traffic(source: Source, workload: Workload) -> list[JsonObject]:
    """Return which revision gets which share."""
    tagged = annotations_of(source.service).get(TAG_ROUTING) == "true"
    tag = {"tag": "latest"} if tagged else {}
    components = (source.service.get("status") or {}).get("components") or {}
    before = (components.get(workload.component.value) or {}).get("latestRolledoutRevision")
    percent = workload.canary_percent
    if percent is None or not before:
        return [{"latestRevision": True, "percent": 100, **tag}]
    newest = {"latestRevision": True, "percent": percent, **tag}
    if percent >= 100:
        return [newest]
    rest = {"revisionName": before, "latestRevision": False, "percent": 100 - percent}
    return [newest, {**rest, "tag": "prev"}]


def _revision_spec(source: Source, workload: Workload) -> JsonObject:
    spec = dict(make_pod_spec(source, workload))
    # Knative knows the new name of the field alone, and drops the old one without a word.
    if account := spec.pop("serviceAccount", None):
        spec.setdefault("serviceAccountName", account)
    if workload.timeout_seconds is not None:
        spec["timeoutSeconds"] = workload.timeout_seconds
        spec["responseStartTimeoutSeconds"] = workload.timeout_seconds
    if workload.container_concurrency is not None:
        spec["containerConcurrency"] = workload.container_concurrency
    return spec


def asks_for_zero(workload: Workload) -> bool:
    """Return whether a workload's revisions are to begin without a pod."""
    return _initial_scale(workload.template["metadata"]["annotations"]) == 0


def _startable(source: Source, annotations: Mapping[str, str]) -> Mapping[str, str]:
    """An initial scale that Knative would refuse is left out, as KServe leaves it out."""
    refused = _initial_scale(annotations) is None and INITIAL_SCALE in annotations
    refused = refused or (_initial_scale(annotations) == 0 and not source.starts_at_zero)
    return {k: v for k, v in annotations.items() if k != INITIAL_SCALE or not refused}


def _initial_scale(annotations: Mapping[str, str]) -> int | None:
    """The annotated scale; None where there is none, or no whole number."""
    text = str(annotations.get(INITIAL_SCALE, ""))
    return int(text) if re.fullmatch(WHOLE, text) else None


def _autoscaling(workload: Workload) -> Mapping[str, str]:
    scaling, given = workload.scaling, workload.template["metadata"]["annotations"]
    wanted: dict[str, Any] = {
        "class": given.get(f"{AUTOSCALING}/class") or f"kpa.{AUTOSCALING}",
        "target": scaling.target,
        "metric": scaling.metric or None,
        "min-scale": 1 if scaling.minimum is None else scaling.minimum,
        "max-scale": scaling.maximum or None,
    }
    return {f"{AUTOSCALING}/{k}": str(v) for k, v in wanted.items() if v is not None}
