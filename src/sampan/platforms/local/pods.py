"""Replicas shown as pods, for `kubectl get pods` and `kubectl logs`: the pure rendering.

Only what is known is shown: no node, no IP of a network that is not there. Environment variables
are left out, since they may hold secrets.
"""

from __future__ import annotations

import uuid
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.timestamps import rfc3339
from sampan.plan.observed import Exit
from sampan.platforms.local.process import ProcessState

NODE = "localhost"


def make_pod(state: ProcessState) -> JsonObject:
    """Return a replica as a Pod. `spec.containers[0].command` is what runs on this machine."""
    spec = state.spec
    service = spec.service
    metadata: JsonObject = {
        "name": spec.replica,
        "namespace": service.namespace,
        "uid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"sampan:{service.namespace}/{spec.replica}")),
        "creationTimestamp": rfc3339(state.created_at),
        "labels": {
            f"serving.kserve.io/{service.kind.lower()}": service.object_name,
            "component": spec.component,
            "app": f"isvc.{spec.workload}",
        },
        "annotations": {"serving.sampan.dev/template-hash": spec.template_hash},
    }
    if state.draining:
        metadata["deletionTimestamp"] = rfc3339(state.created_at)
    container = {
        "name": spec.container,
        "image": spec.image,
        "command": list(spec.argv),
        "ports": [{"containerPort": port} for port in spec.ports],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": NODE, "containers": [container]},
        "status": make_pod_status(state),
    }


def make_pod_status(state: ProcessState) -> JsonObject:
    """Return the Pod status: phase, conditions, and the container's state and last end."""
    ready = state.ready and state.running
    status: JsonObject = {
        "phase": "Running" if state.running or state.started_at else "Pending",
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "conditions": [_condition("Ready", ready), _condition("ContainersReady", ready)],
        "containerStatuses": [_container_status(state, ready=ready)],
    }
    if state.started_at:
        status["startTime"] = rfc3339(state.created_at)
    return status


def _container_status(state: ProcessState, *, ready: bool) -> JsonObject:
    status: JsonObject = {
        "name": state.spec.container,
        "image": state.spec.image,
        "imageID": "",
        "ready": ready,
        "started": state.running,
        "restartCount": state.restarts,
        "state": _container_state(state),
        "lastState": {},
    }
    if state.last_exit is not None and state.running:
        status["lastState"] = {"terminated": _terminated(state.last_exit)}
    if state.pid:
        status["containerID"] = f"process://{state.pid}"
    return status


def _container_state(state: ProcessState) -> JsonObject:
    if state.running:
        return {"running": {"startedAt": rfc3339(state.started_at)}}
    if state.last_exit is None:
        return {"waiting": {"reason": "ContainerCreating", "message": state.load.message}}
    if state.back_off_until:
        message = f"restarted not before {rfc3339(state.back_off_until)}: {state.last_exit.message}"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    return {"terminated": _terminated(state.last_exit)}


def _terminated(ended: Exit) -> dict[str, Any]:
    return {
        "exitCode": 255 if ended.code is None else ended.code,
        "reason": ended.reason,
        "message": ended.message,
        "startedAt": rfc3339(ended.started_at),
        "finishedAt": rfc3339(ended.finished_at),
    }


def _condition(kind: str, value: bool) -> JsonObject:
    return {"type": kind, "status": "True" if value else "False"}
