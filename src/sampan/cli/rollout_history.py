"""The revisions of a component that are kept, as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.cli.client import ApiClient, JsonObject
from sampan.cli.output import CliError, table

_REVISIONS = "/apis/apps/v1/namespaces/{}/controllerrevisions"
_MARKS = (
    ("latestCreatedRevision", "newest"),
    ("latestRolledoutRevision", "rolled out"),
    ("previousRolledoutRevision", "previous"),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A revision that is kept: its number, its name, and the spec of its component."""

    number: int
    name: str
    spec: JsonObject
    created: str = ""


def find_kept(client: ApiClient, service: JsonObject, component: str) -> list[Kept]:
    """Return the revisions of a service's component, oldest first."""
    metadata = service["metadata"]
    selector = f"serving.kserve.io/inferenceservice={metadata['name']},component={component}"
    path = _REVISIONS.format(metadata["namespace"])
    items = client.get(path, {"labelSelector": selector})["items"]
    mine = [i for i in items if _owner(i) == metadata["uid"]]
    found = [
        Kept(
            int(i["revision"]),
            i["metadata"]["name"],
            (i.get("data") or {}).get("spec") or {},
            str(i["metadata"].get("creationTimestamp", "")),
        )
        for i in mine
    ]
    return sorted(found, key=lambda kept: kept.number)


def _owner(obj: Mapping[str, Any]) -> str:
    owners = obj["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("uid", ""))


def find_revision(kept: list[Kept], number: int) -> Kept:
    """Return the revision of that number; raise CliError with those that there are."""
    found = next((k for k in kept if k.number == number), None)
    if found is None:
        known = ", ".join(str(k.number) for k in kept) or "none"
        raise CliError(f"revision {number} is not kept; there are {known}")
    return found


def render_history(service: JsonObject, component: str, kept: list[Kept]) -> str:
    """Return the table of revisions: number, name, share, what it is now, model, when."""
    if not kept:
        name = service["metadata"]["name"]
        return f'"{name}" has no revision of its {component} yet; see `sampan why {name}`'
    told = ((service.get("status") or {}).get("components") or {}).get(component) or {}
    rows = [
        (str(k.number), k.name, _share(told, k.name), _state(told, k.name), _model(k), k.created)
        for k in kept
    ]
    return table(("REVISION", "NAME", "SHARE", "STATE", "MODEL", "CREATED"), rows)


def render_revision(kept: list[Kept], number: int) -> str:
    """Return the spec of one revision as YAML; raise CliError where it is not kept."""
    from sampan.cli.get import formatted

    return formatted(find_revision(kept, number).spec, "yaml")


def _share(told: Mapping[str, Any], name: str) -> str:
    shares = [int(t.get("percent") or 0) for t in _targets(told) if t.get("revisionName") == name]
    return f"{sum(shares)}%" if shares else ""


def _targets(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(told.get("traffic") or ())


def _state(told: Mapping[str, Any], name: str) -> str:
    return ", ".join(word for field, word in _MARKS if told.get(field) == name)


def _model(kept: Kept) -> str:
    """Where its model is, or else the image that serves it."""
    model = kept.spec.get("model") or {}
    containers = kept.spec.get("containers") or [{}]
    return str(model.get("storageUri") or containers[0].get("image") or "")
