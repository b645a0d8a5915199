"""`sampan rollout status`: what of a rollout is still to come, until it is done or has failed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.cli.client import ApiClient, JsonObject
from sampan.cli.output import CliError, say

NOTE = "serving.sampan.dev/rollout"
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """What there is to say of a rollout; `done`: nothing is to come, `failed`: nor will it."""

    text: str
    done: bool = False
    failed: bool = False


def follow(client: ApiClient, path: str, component: str, seconds: float) -> None:
    """Say each change of a rollout until it is done; raise CliError where it fails or lasts.

    With no seconds it says once how far it is.
    """
    deadline, told = time.monotonic() + seconds, ""
    while True:
        progress = gather_progress(client, path, component)
        if progress.text != told and not progress.failed:
            say(progress.text)
            told = progress.text
        if progress.failed:
            raise CliError(progress.text)
        if progress.done or not seconds:
            return
        if time.monotonic() > deadline:
            name = path.rpartition("/")[2]
            raise CliError(f"not done after {seconds:g} s: {told}; see `sampan why {name}`")
        time.sleep(_POLL_SECONDS)


def gather_progress(client: ApiClient, path: str, component: str) -> Progress:
    """Return how far a service's component is, where it runs."""
    from sampan.cli import rollout_deployment

    service = client.get(path)
    stopped = _why_not(service.get("status") or {})
    if stopped is None and rollout_deployment.is_deployed(client, service):
        return rollout_deployment.gather_progress(client, service, component)
    return derive_progress(service, component)


def derive_progress(service: JsonObject, component: str) -> Progress:
    """Return how far a service's component is. Pure."""
    status, name = service.get("status") or {}, service["metadata"]["name"]
    generation = service["metadata"].get("generation")
    told = (status.get("components") or {}).get(component) or {}
    if status.get("observedGeneration") != generation or not told.get("latestCreatedRevision"):
        return _why_not(status) or Progress(f"waiting for {name} to be looked at")
    created, ready = told["latestCreatedRevision"], told.get("latestReadyRevision")
    if failure := _rolled_back(status, component, created):
        return failure
    if created != ready:
        model = status.get("modelStatus") or {}
        if component == "predictor" and model.get("transitionStatus") == "BlockedByFailedLoad":
            message = (model.get("lastFailureInfo") or {}).get("message", "")
            return Progress(f"{created} does not start: {message}", failed=True)
        return Progress(f"waiting for {created} to be ready")
    wanted = (service["spec"].get(component) or {}).get("canaryTrafficPercent")
    return _share(told, created, wanted) or _canaries(status) or _finished(told, created)


def _why_not(status: Mapping[str, Any]) -> Progress | None:
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if conditions.get("Stopped", {}).get("status") == "True":
        text = "it is stopped: nothing is rolled out until it is started"
        return Progress(text, failed=True)
    return None


def _rolled_back(status: Mapping[str, Any], component: str, created: str) -> Progress | None:
    note = json.loads((status.get("annotations") or {}).get(NOTE) or "{}")
    failed = (note.get(component) or {}).get("rolledBack") or {}
    if failed.get("revision") != created:
        return None
    return Progress(f"{created} was rolled back: {failed['message']}", failed=True)


def _share(told: Mapping[str, Any], created: str, wanted: int | None) -> Progress | None:
    """What is told while the newest revision has less than it is to have."""
    target = 100 if wanted is None or told.get("latestRolledoutRevision") == created else wanted
    targets = told.get("traffic") or ()
    share = sum(int(t.get("percent") or 0) for t in targets if t["revisionName"] == created)
    return None if share >= target else Progress(f"{created} has {share} of {target} percent")


def _canaries(status: Mapping[str, Any]) -> Progress | None:
    waiting = [c["name"] for c in status.get("canaryStatuses") or () if not c["ready"]]
    return Progress(f"waiting for canary {', '.join(waiting)} to be ready") if waiting else None


def _finished(told: Mapping[str, Any], created: str) -> Progress:
    shares = ", ".join(f"{t['revisionName']} {t['percent']}%" for t in told.get("traffic") or ())
    word = "successfully rolled out" if told.get("latestRolledoutRevision") == created else "ready"
    return Progress(f"{created} {word}: {shares}", done=True)
