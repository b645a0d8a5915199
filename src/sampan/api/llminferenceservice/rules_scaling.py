"""Rules about replicas that follow the load (upstream's webhook, in its words).

Most of them stand in the schema too, which is asked first; these hold where it cannot say enough.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.llminferenceservice.review import forbidden, invalid, required, workloads
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject


def scales_rightly(service: JsonObject) -> Iterator[FieldError]:
    """One mechanism scales, between bounds that fit."""
    for workload in workloads(service):
        scaling = workload.spec.get("scaling")
        if scaling is None:
            continue
        path = f"{workload.path}.scaling"
        least, most = scaling.get("minReplicas"), scaling.get("maxReplicas", 0)
        if workload.spec.get("replicas") is not None:
            text = (
                "scaling and replicas are mutually exclusive; use scaling for autoscaled "
                "deployments or replicas for static deployments"
            )
            yield invalid(path, scaling, text)
        if least is not None and least > most:
            text = f"minReplicas ({least}) cannot exceed maxReplicas ({most})"
            yield invalid(f"{path}.minReplicas", least, text)
        yield from _mechanism(path, scaling)


def _mechanism(path: str, scaling: JsonObject) -> Iterator[FieldError]:
    wva, keda = scaling.get("wva"), scaling.get("keda")
    if wva is not None and keda is not None:
        text = "wva and keda are mutually exclusive; choose one scaling mechanism"
        yield invalid(path, scaling, text)
    elif keda is not None:
        if not keda.get("triggers"):
            text = "at least one trigger is required when using direct KEDA scaling"
            yield required(f"{path}.keda.triggers", text)
        yield from _keda(f"{path}.keda", keda, path, scaling)
    elif wva is not None:
        yield from _wva(path, scaling, wva)
    else:
        text = "either wva or keda must be specified when scaling is configured"
        yield required(path, text)


def _wva(path: str, scaling: JsonObject, wva: JsonObject) -> Iterator[FieldError]:
    hpa, keda = wva.get("hpa"), wva.get("keda")
    if hpa is not None and keda is not None:
        text = "hpa and keda are mutually exclusive; choose one actuator backend"
        yield invalid(f"{path}.wva", wva, text)
    if hpa is None and keda is None:
        text = "either hpa or keda must be specified as the actuator backend"
        yield required(f"{path}.wva", text)
    if keda is not None:
        modifiers = (keda.get("advanced") or {}).get("scalingModifiers") or {}
        if any(modifiers.values()):
            text = (
                "scalingModifiers must not be set; WVA controls the scaling metric formula and "
                "logic"
            )
            yield forbidden(f"{path}.wva.keda.advanced.scalingModifiers", text)
        yield from _keda(f"{path}.wva.keda", keda, path, scaling)


def _keda(path: str, keda: JsonObject, above: str, scaling: JsonObject) -> Iterator[FieldError]:
    hpa = (keda.get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
    if hpa.get("name"):
        text = (
            "horizontalPodAutoscalerConfig.name must not be set; the controller manages the HPA "
            "name"
        )
        yield forbidden(f"{path}.advanced.horizontalPodAutoscalerConfig.name", text)
    idle, least = keda.get("idleReplicaCount"), scaling.get("minReplicas")
    if idle is None:
        return
    if least is None:
        text = (
            "minReplicas is required when idleReplicaCount is set; idleReplicaCount "
            f"({idle}) must be less than minReplicas"
        )
        yield required(f"{above}.minReplicas", text)
    elif idle >= least:
        text = (
            f"idleReplicaCount ({idle}) must be less than minReplicas ({least}); "
            "idleReplicaCount defines the replica floor when no triggers are active"
        )
        yield invalid(f"{path}.idleReplicaCount", idle, text)
