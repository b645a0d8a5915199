"""Patches of a service that go forward, back or on hold: JSON patches (RFC 6902). Pure.

Each tests the version that it was made for, so that nobody's change is written over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.cli.client import JsonObject
from sampan.cli.output import CliError
from sampan.cli.rollout_history import Kept, find_revision

JSON_PATCH = "application/json-patch+json"
PAUSED = "serving.sampan.dev/rollout-paused"
_EMPTY: tuple[Any, ...] = (None, "", [], {}, 0)


def select_undone(service: JsonObject, component: str, kept: list[Kept], number: int) -> Kept:
    """Return the revision to go back to; `number` 0: while one is on its way the last that had all
    traffic, else the one before that. Raise CliError where there is none.
    """
    if number:
        return find_revision(kept, number)
    told = ((service.get("status") or {}).get("components") or {}).get(component) or {}
    rolled_out = str(told.get("latestRolledoutRevision") or "")
    under_way = told.get("latestCreatedRevision") != rolled_out
    name = rolled_out if under_way else str(told.get("previousRolledoutRevision") or "")
    found = next((k for k in kept if k.name == name), None)
    if found is None:
        service_name = service["metadata"]["name"]
        raise CliError(
            f'no revision of the {component} of "{service_name}" was rolled out before; see '
            f"`sampan rollout history {service_name}`, and choose one with --to-revision"
        )
    if not under_way and found.spec == service["spec"].get(component):
        service_name = service["metadata"]["name"]
        raise CliError(
            f'"{found.name}" is the same as what runs; see `sampan rollout history '
            f"{service_name}`, and choose one with --to-revision"
        )
    return found


def make_undo(service: JsonObject, component: str, spec: Mapping[str, Any]) -> list[JsonObject]:
    """Return the patch that puts a revision's spec back, with all traffic and no canaries."""
    back = {k: v for k, v in spec.items() if k != "canaryTrafficPercent"}
    patch = [_same(service), {"op": "replace", "path": f"/spec/{component}", "value": back}]
    if component == "predictor" and service["spec"].get("canary") is not None:
        patch.append({"op": "remove", "path": "/spec/canary"})
    return patch


def make_promotion(service: JsonObject, component: str, canary: str) -> list[JsonObject]:
    """Return the patch that gives a canary all traffic; raise CliError where there is none.

    One of `spec.canary` becomes the stable predictor with its name, so that its replicas stay.
    """
    entries = service["spec"].get("canary") or []
    if entries or canary:
        return _promote_entry(service, entries, canary)
    if "canaryTrafficPercent" not in (service["spec"].get(component) or {}):
        name = service["metadata"]["name"]
        raise CliError(
            f'the {component} of "{name}" has no canary: neither canaryTrafficPercent nor '
            f"spec.canary is set; see `sampan rollout status {name}`"
        )
    return [_same(service), {"op": "remove", "path": f"/spec/{component}/canaryTrafficPercent"}]


def _promote_entry(service: JsonObject, entries: list[JsonObject], canary: str) -> list[JsonObject]:
    names = [str(entry["predictor"].get("name", "")) for entry in entries]
    known = ", ".join(f'"{name}"' for name in names) or "none"
    if canary and canary not in names:
        raise CliError(f'spec.canary has no "{canary}"; there are {known}')
    if not canary and len(names) > 1:
        raise CliError(f"which one? choose with --canary among {known}")
    chosen = entries[names.index(canary) if canary else 0]
    own = {k: v for k, v in chosen["predictor"].items() if v not in _EMPTY and k != "minReplicas"}
    stable = {**service["spec"]["predictor"], **own}
    left = [entry for entry in entries if entry is not chosen]
    patch = [_same(service), {"op": "replace", "path": "/spec/predictor", "value": stable}]
    last: JsonObject = {"op": "remove", "path": "/spec/canary"}
    if left:
        last = {"op": "replace", "path": "/spec/canary", "value": left}
    return [*patch, last]


def make_pause(service: JsonObject, paused: bool) -> list[JsonObject]:
    """Return the patch that keeps the shares as they are, or lets them go on."""
    return make_annotation(service, PAUSED, "true" if paused else "")


def make_annotation(service: JsonObject, key: str, value: str) -> list[JsonObject]:
    """Return the patch that sets an annotation, or with "" takes it away."""
    given = service["metadata"].get("annotations")
    path = "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")
    if not value:
        return [{"op": "remove", "path": path}] if key in (given or {}) else []
    if given is None:
        return [{"op": "add", "path": "/metadata/annotations", "value": {key: value}}]
    return [{"op": "add", "path": path, "value": value}]


def _same(service: JsonObject) -> JsonObject:
    version = service["metadata"]["resourceVersion"]
    return {"op": "test", "path": "/metadata/resourceVersion", "value": version}
