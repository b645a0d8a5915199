"""`sampan why` where no daemon explains: from the conditions of an object, and from its pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sampan.cli.client import ApiClient, ApiProblem, JsonObject
from sampan.cli.targets import Target

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
LINES = 5
_MAIN = "kserve-container"


def explain(client: ApiClient, target: Target, namespace: str, name: str) -> JsonObject:
    """Return the explanation of an object, in the form in which a daemon gives it."""
    from sampan.plan.explain_object import explain_object, is_in_order
    from sampan.plan.mends import make_mend
    from sampan.plan.observed import LinkState

    obj = client.get(target.path(namespace, name))
    links = explain_object(obj, (), ())
    failing = next((one for one in links if one.state is LinkState.FAILED), None)
    ready = is_in_order(obj, links)
    pods = [] if ready else _pods(client, namespace, name)
    culprit = next(filter(None, map(_trouble, pods)), None)
    told = [
        {"name": o.name, "state": o.state.value, "reason": o.link.reason, "message": o.link.message}
        for o in links
    ]
    reason = str(culprit["reason"]) if culprit else failing.link.reason if failing else ""
    return {
        "about": str(target.resource["kind"]),
        "name": name,
        "ready": ready,
        "url": str((obj.get("status") or {}).get("url") or ""),
        "links": told + ([culprit] if culprit else []),
        "mend": make_mend("", reason, name) if reason else "",
        "lastLines": _last_lines(client, namespace, culprit) if culprit else [],
    }


def _pods(client: ApiClient, namespace: str, name: str) -> list[JsonObject]:
    path, query = (
        f"/api/v1/namespaces/{namespace}/pods",
        {"labelSelector": f"{SERVICE_LABEL}={name}"},
    )
    found: list[JsonObject] = client.get(path, query).get("items") or []
    return found


def _trouble(pod: Mapping[str, Any]) -> JsonObject | None:
    """Return what keeps a pod from being ready, as a link of the chain; None for nothing. Pure."""
    name = str(pod["metadata"]["name"])
    for container, state in _states(pod):
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            return _link(name, container, str(waiting["reason"]), str(waiting.get("message", "")))
        if ended.get("exitCode"):
            text = str(ended.get("message") or f"exit code {ended['exitCode']}")
            return _link(name, container, str(ended.get("reason") or "Error"), text)
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            reason, text = condition.get("reason", "Unschedulable"), condition.get("message", "")
            return _link(name, "", str(reason), str(text))
    return None


def _states(pod: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            yield str(container["name"]), container.get("state") or {}


def _link(pod: str, container: str, reason: str, message: str) -> JsonObject:
    return {
        "name": "pod",
        "state": "failed",
        "reason": reason,
        "message": f"{pod}: {message}" if message else pod,
        "pod": pod,
        "container": container,
    }


def _last_lines(client: ApiClient, namespace: str, link: Mapping[str, Any]) -> list[str]:
    """Return the last lines that the container wrote, of its last run where it has ended."""
    if not link["container"]:
        return []
    path = f"/api/v1/namespaces/{namespace}/pods/{link['pod']}/log"
    for previous in ("true", "false"):
        query = {"container": link["container"], "tailLines": str(LINES), "previous": previous}
        try:
            lines = [line.decode(errors="replace").rstrip() for line in client.lines(path, query)]
        except ApiProblem:
            continue
        if lines:
            return lines
    return []
