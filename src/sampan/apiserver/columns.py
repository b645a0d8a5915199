"""The columns of kinds whose cells need more than a JSONPath: pods, events, access, quotas. Pure.

The names, order and priorities are those that kubectl users know from Kubernetes; priority 1 is
shown with `-o wide`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sampan.apiserver.durations import render_age
from sampan.machinery.registry import JsonObject

Cell: TypeAlias = Callable[[JsonObject, float], Any]
"""`(object, now) -> value`."""


@dataclass(frozen=True, slots=True)
class ComputedColumn:
    """A column whose cells a function makes."""

    name: str
    cell: Cell
    type: str = "string"
    priority: int = 0


def _name(obj: JsonObject, _now: float) -> Any:
    return obj["metadata"].get("name", "")


def _age(obj: JsonObject, now: float) -> str:
    return render_age(obj["metadata"].get("creationTimestamp"), now)


def _containers(obj: JsonObject) -> list[JsonObject]:
    found: list[JsonObject] = obj.get("status", {}).get("containerStatuses") or []
    return found


def _ready(obj: JsonObject, _now: float) -> str:
    statuses = _containers(obj)
    total = len(obj.get("spec", {}).get("containers") or statuses)
    return f"{sum(1 for s in statuses if s.get('ready'))}/{total}"


def _pod_status(obj: JsonObject, _now: float) -> str:
    """Return the word that tells most: a container's reason before the pod's phase."""
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = obj.get("status", {})
    for container in _containers(obj):
        state = container.get("state", {})
        for kind in ("waiting", "terminated"):
            if reason := state.get(kind, {}).get("reason"):
                return str(reason)
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _restarts(obj: JsonObject, now: float) -> str:
    statuses = _containers(obj)
    count = sum(int(s.get("restartCount", 0)) for s in statuses)
    ends = [s.get("lastState", {}).get("terminated", {}).get("finishedAt") for s in statuses]
    last = max((e for e in ends if e), default="")
    return f"{count} ({render_age(last, now)} ago)" if count and last else str(count)


def _status_field(name: str) -> Cell:
    return lambda obj, _now: obj.get("status", {}).get(name) or "<none>"


def _spec_field(name: str) -> Cell:
    return lambda obj, _now: obj.get("spec", {}).get(name) or "<none>"


def _field(name: str) -> Cell:
    return lambda obj, _now: obj.get(name) or ""


def _last_seen(obj: JsonObject, now: float) -> str:
    series = obj.get("series") or {}
    seen = series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("eventTime")
    return render_age(seen, now)


def _first_seen(obj: JsonObject, now: float) -> str:
    return render_age(obj.get("firstTimestamp") or obj.get("eventTime"), now)


def _object(obj: JsonObject, _now: float) -> str:
    about = obj.get("involvedObject") or {}
    kind, name = str(about.get("kind", "")).lower(), about.get("name", "")
    return f"{kind}/{name}" if name else kind


def _subobject(obj: JsonObject, _now: float) -> str:
    return str((obj.get("involvedObject") or {}).get("fieldPath", ""))


def _source(obj: JsonObject, _now: float) -> str:
    source = obj.get("source") or {}
    named = source.get("component") or obj.get("reportingComponent") or ""
    return ", ".join(part for part in (named, source.get("host", "")) if part)


def _message(obj: JsonObject, _now: float) -> str:
    return str(obj.get("message") or "").strip()


def _count(obj: JsonObject, _now: float) -> int:
    series = obj.get("series") or {}
    return int(obj.get("count") or series.get("count") or 1)


def _role(obj: JsonObject, _now: float) -> str:
    role = obj.get("roleRef") or {}
    return f"{role.get('kind', '')}/{role.get('name', '')}"


def _used_of(limits: bool) -> Cell:
    """Return a quota's amounts as kubectl knows them: `pods: 1/3, ...`."""

    def cell(obj: JsonObject, _now: float) -> str:
        status = obj.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        names = sorted(n for n in hard if n.startswith("limits.") is limits)
        return ", ".join(f"{n}: {used.get(n, '0')}/{hard[n]}" for n in names)

    return cell


PODS = (
    ComputedColumn("Name", _name),
    ComputedColumn("Ready", _ready),
    ComputedColumn("Status", _pod_status),
    ComputedColumn("Restarts", _restarts),
    ComputedColumn("Age", _age),
    ComputedColumn("IP", _status_field("podIP"), priority=1),
    ComputedColumn("Node", _spec_field("nodeName"), priority=1),
)

EVENTS = (
    ComputedColumn("Last Seen", _last_seen),
    ComputedColumn("Type", _field("type")),
    ComputedColumn("Reason", _field("reason")),
    ComputedColumn("Object", _object),
    ComputedColumn("Subobject", _subobject, priority=1),
    ComputedColumn("Source", _source, priority=1),
    ComputedColumn("Message", _message),
    ComputedColumn("First Seen", _first_seen, priority=1),
    ComputedColumn("Count", _count, "integer", priority=1),
    ComputedColumn("Name", _name, priority=1),
)

BINDINGS = (
    ComputedColumn("Name", _name),
    ComputedColumn("Role", _role),
    ComputedColumn("Age", _age),
)

QUOTAS = (
    ComputedColumn("Name", _name),
    ComputedColumn("Request", _used_of(limits=False)),
    ComputedColumn("Limit", _used_of(limits=True)),
    ComputedColumn("Age", _age),
)

COMPUTED: Mapping[str, tuple[ComputedColumn, ...]] = {
    "pods": PODS,
    "events": EVENTS,
    "rolebindings.rbac.authorization.k8s.io": BINDINGS,
    "clusterrolebindings.rbac.authorization.k8s.io": BINDINGS,
    "resourcequotas": QUOTAS,
}
"""By resource id; every other resource has the columns of its registry entry."""


def _replicas(obj: JsonObject, _: float) -> str | None:
    """The replicas that answer and those that are wanted, as the controller notes them."""
    notes = (obj.get("status") or {}).get("annotations") or {}
    told = notes.get("serving.sampan.dev/replicas")
    return str(told) if told is not None else None


ADDED: Mapping[str, Mapping[str, ComputedColumn]] = {
    "inferenceservices.serving.kserve.io": {"Ready": ComputedColumn("Replicas", _replicas)},
}
"""By resource id and the column that it stands behind: columns that KServe's CRDs do not have."""
