"""The same objects as a real KServe makes, for each of its own samples, in each set-up.

Two pictures of each service are compared: while nothing is ready, and once everything is. A
difference must be allowed by a rule of differences.yaml, which has its reason.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.platforms.kubernetes.conftest import SET_UPS
from tests.platforms.kubernetes.recorded_differences import Difference, differences, rules


@pytest.fixture(scope="session", params=SET_UPS)
def recordings(request, golden_folder):
    """The set-up, and every admitted InferenceService of it by sample name."""
    return request.param, read_recordings(golden_folder / request.param)


def read_recordings(folder: Path) -> dict[str, Any]:
    found = {p.stem: json.loads(p.read_text()) for p in folder.glob("inferenceservice-*.json")}
    return {name: found[name] for name in sorted(found) if found[name]["admission"]["allowed"]}


def whole_picture(recording: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects once everything is ready: the first ones, overlaid by what changed."""
    ready = recording["ready"]
    found = {key_of(o): o for o in (*recording["objects"], *ready["objects"])}
    gone = {tuple(key) for key in ready.get("gone", ())}
    return [o for o in found.values() if (o["kind"], o["metadata"]["name"]) not in gone]


def key_of(obj: dict[str, Any]) -> tuple[str, str, str]:
    return obj["apiVersion"], obj["kind"], obj["metadata"]["name"]


def ready_names(service: dict[str, Any]) -> set[str]:
    """The workloads that the status says are ready: two never are, for want of a Secret."""
    name = service["metadata"]["name"]
    true = {c["type"] for c in service["status"]["conditions"] if c["status"] == "True"}
    components = ("predictor", "transformer", "explainer")
    return {f"{name}-{c}" for c in components if f"{c.capitalize()}Ready" in true}


def service_of(recording: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {**recording["defaulted"], "status": status}


def all_differences(set_up, recordings, rendered) -> list[Difference]:
    found: list[Difference] = []
    for name, recording in recordings.items():
        service = service_of(recording, recording["status"])
        found += differences(name, rendered(service, set_up) or [], recording["objects"])
        ready = recording.get("ready")
        if ready is not None:
            service = service_of(recording, ready["status"])
            ours = rendered(service, set_up, ready=ready_names(service)) or []
            found += differences(name, ours, whole_picture(recording))
    return found


def test_every_object_is_kserve_s_or_differs_by_a_listed_rule(recordings, rendered):
    set_up, services = recordings
    listed = rules()
    unlisted = [
        d
        for d in all_differences(set_up, services, rendered)
        if not any(rule.allows(d) for rule in listed)
    ]
    shown = "\n".join(str(d) for d in unlisted[:20])
    assert not unlisted, f"{len(unlisted)} differences that no rule lists:\n{shown}"
