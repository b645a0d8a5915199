"""How far a component is that runs as a Deployment of a cluster: `rollout status` in Standard mode.

A cluster keeps no revisions of such a service; what is told is what `kubectl rollout status` tells
of the Deployment, and then whether the service is Ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.cli.client import ApiClient, ApiProblem, JsonObject
from sampan.cli.output import CliError
from sampan.cli.rollout_status import Progress
from sampan.plan.service import component_name
from sampan.plan.types import Component

_LATE = "ProgressDeadlineExceeded"


def is_deployed(client: ApiClient, service: JsonObject) -> bool:
    """Return whether a service's components are Deployments of a cluster."""
    mode = (service.get("status") or {}).get("deploymentMode")
    return bool(client.server.context) and mode == "Standard"


def refuse_history(service: JsonObject, component: str) -> CliError:
    """Return why there are no revisions to look at or to go back to."""
    name = component_name(service, Component(component))
    return CliError(
        f'"{service["metadata"]["name"]}" is in Standard mode, of which a cluster keeps no '
        f"revisions; apply its former YAML, or see `kubectl rollout history deployment/{name}`"
    )


def gather_progress(client: ApiClient, service: JsonObject, component: str) -> Progress:
    """Return how far a component is."""
    metadata = service["metadata"]
    name = component_name(service, Component(component))
    path = f"/apis/apps/v1/namespaces/{metadata['namespace']}/deployments/{name}"
    try:
        deployment = client.get(path)
    except ApiProblem as problem:
        if problem.status.get("code") != 404:
            raise
        return Progress(f"waiting for Deployment {name} to be made")
    return derive_deployed(service, deployment)


def derive_deployed(service: JsonObject, deployment: JsonObject) -> Progress:
    """Return how far a service's Deployment is, and then the service itself. Pure."""
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    name, counted = deployment["metadata"]["name"], _counts(status)
    updated, there, available = counted
    observed = (service.get("status") or {}).get("observedGeneration")
    if observed != service["metadata"].get("generation"):
        return Progress(f"waiting for {service['metadata']['name']} to be looked at")
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return Progress(f"waiting for Deployment {name} to be looked at")
    late = _condition(status, "Progressing")
    if late.get("reason") == _LATE:
        return Progress(
            f"{name} exceeded its progress deadline: {late.get('message')}", failed=True
        )
    if updated < wanted:
        return Progress(f"{updated} of {wanted} replicas of {name} are new")
    if there > updated:
        return Progress(f"{there - updated} old replicas of {name} are to end")
    if available < updated:
        return Progress(f"{available} of {updated} new replicas of {name} are available")
    ready = _condition(service.get("status") or {}, "Ready")
    if ready.get("status") != "True":
        why = ready.get("message") or ready.get("reason") or "nothing is known yet"
        return Progress(f"waiting for {service['metadata']['name']} to be Ready: {why}")
    return Progress(f"{name} successfully rolled out: {available} replicas", done=True)


def _counts(status: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return how many replicas are new, are there, and can take requests."""
    names = ("updatedReplicas", "replicas", "availableReplicas")
    updated, there, available = (int(status.get(name) or 0) for name in names)
    return updated, there, available


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((c for c in status.get("conditions") or () if c["type"] == kind), {})
