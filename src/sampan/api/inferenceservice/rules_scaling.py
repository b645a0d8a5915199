"""Rules about scaling, which differ by deployment mode and autoscaler class.

Standard mode with class `hpa` or `keda` has rules of its own, with another class none; every other
mode follows Knative's autoscaler (KServe, `inference_service_validation.go`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sampan.api.admission import Mistake
from sampan.api.inferenceservice.defaults import DEPLOYMENT_MODE
from sampan.api.inferenceservice.rules_pod import AUTOSCALER_CLASS
from sampan.machinery.quantity import parse_quantity
from sampan.machinery.registry import JsonObject

KNATIVE_CLASS = "autoscaling.knative.dev/class"
KNATIVE_HPA = "hpa.autoscaling.knative.dev"

_RESOURCE_MISSING = "metricSpec.Resource is not set for resource metric source type"
_PERCENT = "the target utilization percentage should be a [1-100] integer"
_MEBIBYTE = parse_quantity("1Mi")


def scales_rightly(
    annotations: Mapping[str, str], path: str, component: JsonObject
) -> Iterator[Mistake]:
    """Yield what is wrong with a component's scaling in its mode."""
    if annotations.get(DEPLOYMENT_MODE) == "Standard":
        match annotations.get(AUTOSCALER_CLASS):
            case "hpa":
                yield from _hpa(path, component)
            case "keda":
                yield from _keda(path, component)
            case "sampan":
                yield from _sampan(path, component)
    elif annotations.get(KNATIVE_CLASS) == KNATIVE_HPA:
        yield from _hpa(path, component)
    else:
        yield from _kpa(path, component)


def _sampan(path: str, component: JsonObject) -> Iterator[Mistake]:
    """Sampan's own class measures requests, and nothing else."""
    metric = component.get("scaleMetric", "concurrency")
    if metric not in ("concurrency", "rps"):
        text = f'"{metric}" is no measure of the class "sampan"; write "concurrency" or "rps"'
        yield Mistake(f"{path}.scaleMetric", text)
    if (component.get("autoScaling") or {}).get("metrics"):
        text = 'is not read by the class "sampan"; write scaleMetric and scaleTarget, or use "keda"'
        yield Mistake(f"{path}.autoScaling.metrics", text)


def _hpa(path: str, component: JsonObject) -> Iterator[Mistake]:
    metric, target = component.get("scaleMetric", "cpu"), component.get("scaleTarget")
    if metric not in ("cpu", "memory"):
        yield Mistake(f"{path}.scaleMetric", f"[{metric}] is not a supported metric")
    if target is not None:
        # Upstream's precedence of `and` and `or`: a memory target over 100 is refused as well.
        if (metric == "cpu" and target < 1) or target > 100:
            yield Mistake(f"{path}.scaleTarget", _PERCENT)
        if metric == "memory" and target < 1:
            yield Mistake(f"{path}.scaleTarget", "the target memory should be greater than 1 MiB")
    for where, entry in _metrics(path, component):
        if entry.get("type") != "Resource":
            text = (
                f"invalid HPA metric source type with value [{entry.get('type', '')}],"
                "valid metric source types are Resource"
            )
            yield Mistake(f"{where}.type", text)
        elif "resource" not in entry:
            yield Mistake(where, _RESOURCE_MISSING)


def _metrics(path: str, component: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    metrics = (component.get("autoScaling") or {}).get("metrics") or []
    for index, entry in enumerate(metrics):
        yield f"{path}.autoScaling.metrics[{index}]", entry


def _keda(path: str, component: JsonObject) -> Iterator[Mistake]:
    if "scaleMetric" in component:
        yield Mistake(f"{path}.scaleMetric", "ScaleMetric is not supported for KEDA")
    for where, entry in _metrics(path, component):
        match entry.get("type"):
            case "Resource":
                yield from _keda_resource(where, entry.get("resource"))
            case "External":
                text = "metricSpec.External is not set for external metric source type"
                yield from _keda_query(f"{where}.external", entry.get("external"), text)
            case "PodMetric":
                text = "metricSpec.PodMetric is not set for pod metric source type"
                yield from _keda_query(f"{where}.podmetric", entry.get("podmetric"), text)
            case other:
                text = (
                    f"unknown KEDA metric type with value [{other}]."
                    "Valid types are Resource,External,PodMetric"
                )
                yield Mistake(f"{where}.type", text)


def _keda_resource(path: str, resource: JsonObject | None) -> Iterator[Mistake]:
    if resource is None:
        yield Mistake(path, _RESOURCE_MISSING)
        return
    target = resource.get("target") or {}
    kind, where = target.get("type"), f"{path}.resource.target"
    match resource.get("name"):
        case "cpu":
            if kind != "Utilization":
                yield Mistake(where, "the cpu target value type should be Utilization")
        case "memory":
            if kind not in ("AverageValue", "Utilization"):
                text = "the memory target value type should be AverageValue or Utilization"
                yield Mistake(where, text)
            elif kind == "AverageValue" and _is_tiny(target.get("averageValue")):
                text = "the memory target value should be greater than 1 MiB"
                yield Mistake(f"{where}.averageValue", text)
        case other:
            yield Mistake(f"{path}.resource.name", f"resource type {other} is not supported")
    yield from _target(where, target)


def _is_tiny(amount: str | float | None) -> bool:
    return amount is not None and parse_quantity(amount) < _MEBIBYTE


def _keda_query(path: str, metric: JsonObject | None, missing: str) -> Iterator[Mistake]:
    if metric is None:
        yield Mistake(path, missing)
        return
    target = metric.get("target") or {}
    if not (metric.get("metric") or {}).get("query"):
        yield Mistake(f"{path}.metric.query", "the query should not be empty")
    if target.get("value") is None:
        yield Mistake(f"{path}.target.value", "the target threshold value should not be empty")
    yield from _target(f"{path}.target", target)


def _target(path: str, target: JsonObject) -> Iterator[Mistake]:
    kind = target.get("type")
    fields = {
        "Utilization": ("averageUtilization", "AverageUtilization"),
        "AverageValue": ("averageValue", "AverageValue"),
        "Value": ("value", "Value"),
    }
    if kind not in fields:
        return
    field, label = fields[kind]
    value = target.get(field)
    if value is None:
        yield Mistake(f"{path}.{field}", f"the {label} type should be set")
    elif kind == "Utilization" and not 1 <= value <= 100:
        yield Mistake(f"{path}.{field}", _PERCENT)


def _kpa(path: str, component: JsonObject) -> Iterator[Mistake]:
    if "deploymentStrategy" in component:
        text = "customizing deploymentStrategy is only supported for raw deployment mode"
        yield Mistake(f"{path}.deploymentStrategy", text)
    metric = component.get("scaleMetric", "concurrency")
    if metric not in ("concurrency", "rps"):
        yield Mistake(f"{path}.scaleMetric", f"[{metric}] is not a supported metric")
    if metric == "rps" and component.get("scaleTarget", 1) < 1:
        yield Mistake(f"{path}.scaleTarget", "the target for rps should be greater than 1")
