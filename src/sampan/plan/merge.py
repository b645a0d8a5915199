"""The pod spec of a predictor: its runtime's and its own, merged.

KServe, merging of runtime and service: containers and pod specs merge as Kubernetes strategic merge
patches with the service on top, except that arguments are appended to the runtime's. Placeholders
are rendered in the main and the transformer container only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sampan.machinery.errors import BadRequest
from sampan.machinery.patch import strategic_merge
from sampan.machinery.registry import JsonObject
from sampan.plan.image import make_image, wants_gpu
from sampan.plan.placeholders import PlaceholderError, make_metadata_root, render_placeholders
from sampan.plan.select import Selection
from sampan.plan.server_type import RuntimeDefaults, server_type
from sampan.plan.service import MAIN_CONTAINER, TRANSFORMER_CONTAINER, labels_of, model, predictor
from sampan.plan.types import Blocked

INVALID_SPEC = "InvalidPredictorSpec"
SERVICE_NAME_ENV = "INFERENCE_SERVICE_NAME"

# The model's fields that are not a container's.
_MODEL_FIELDS = frozenset(
    {
        "modelFormat",
        "runtime",
        "storageUri",
        "runtimeVersion",
        "protocolVersion",
        "storage",
        "confidential",
    }
)
# The predictor's fields that are not a pod's: KServe's component extension and the model's place.
_COMPONENT_FIELDS = frozenset(
    {
        "minReplicas",
        "maxReplicas",
        "scaleTarget",
        "scaleMetric",
        "scaleMetricType",
        "autoScaling",
        "containerConcurrency",
        "timeout",
        "canaryTrafficPercent",
        "logger",
        "batcher",
        "labels",
        "annotations",
        "deploymentStrategy",
        "name",
        "model",
        "storageUris",
        "storageContainerName",
        "workerSpec",
    }
)
# What a runtime gives to the pod. Its init containers and hostIPC are not copied (KServe).
_RUNTIME_POD_FIELDS = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "volumes",
    "imagePullSecrets",
    "schedulerName",
    "resourceClaims",
)


@dataclass(frozen=True, slots=True)
class MergedPod:
    """A predictor's pod spec, or why there is none."""

    spec: JsonObject
    blocked: Blocked | None = None


def make_pod_spec(
    service: Mapping[str, Any], selection: Selection, defaults: RuntimeDefaults
) -> MergedPod:
    """Return the predictor's pod spec, with `INFERENCE_SERVICE_NAME` in every container."""
    merged = (
        _make_custom(service)
        if model(service) is None
        else _make_with_runtime(service, selection, defaults)
    )
    if merged.blocked:
        return merged
    name = str(service["metadata"]["name"])
    containers = [with_env(c, SERVICE_NAME_ENV, name) for c in merged.spec["containers"]]
    return replace(merged, spec={**merged.spec, "containers": containers})


def main_container(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container that serves the model: `kserve-container`, else the first."""
    containers = spec["containers"]
    return next((c for c in containers if c.get("name") == MAIN_CONTAINER), containers[0])


def _make_custom(service: Mapping[str, Any]) -> MergedPod:
    """A custom predictor is used as it stands, with `kserve-container` first."""
    spec = pod_fields(predictor(service))
    containers = _plain(spec.get("containers") or [])
    if not containers:
        return _blocked(
            "spec.predictor has neither a model nor containers; give it spec.predictor.model or "
            f'a container named "{MAIN_CONTAINER}"'
        )
    containers.sort(key=lambda c: c.get("name") != MAIN_CONTAINER)
    return MergedPod({**spec, "containers": containers})


def _make_with_runtime(
    service: Mapping[str, Any], selection: Selection, defaults: RuntimeDefaults
) -> MergedPod:
    runtime_spec = selection.runtime.get("spec") or {}
    runtime_containers = _by_name(runtime_spec.get("containers") or ())
    if not runtime_containers:
        return _blocked(
            "no container configuration found in selected serving runtime: "
            f'"{selection.name}" has no containers; add one named "{MAIN_CONTAINER}"'
        )
    if MAIN_CONTAINER not in runtime_containers:
        return _blocked(
            f"failed to find {MAIN_CONTAINER} in ServingRuntime containers: "
            f'"{selection.name}" has {_names(runtime_containers)}; rename its server\'s container'
        )
    own_containers = _by_name(predictor(service).get("containers") or ())
    base = {k: runtime_spec[k] for k in _RUNTIME_POD_FIELDS if runtime_spec.get(k)}
    own = {k: v for k, v in pod_fields(predictor(service)).items() if k != "containers"}
    try:
        served = _make_served(service, selection, defaults, (runtime_containers, own_containers))
        spec = strategic_merge(base, own)
    except PlaceholderError as error:
        return _blocked(
            "failed to replace placeholders in serving runtime "
            f"{selection.name} Container {MAIN_CONTAINER}: {error}"
        )
    except BadRequest as error:
        return _blocked(
            f'spec.predictor does not merge with runtime "{selection.name}": {error.message}; '
            "change the one that lacks it"
        )
    taken = {c.get("name") for c in served}
    others = [
        c
        for c in (*runtime_containers.values(), *own_containers.values())
        if c.get("name") not in taken
    ]
    return MergedPod({**spec, "containers": [*served, *others]})


def _make_served(
    service: Mapping[str, Any],
    selection: Selection,
    defaults: RuntimeDefaults,
    containers: tuple[Mapping[str, JsonObject], Mapping[str, JsonObject]],
) -> list[JsonObject]:
    """The containers whose placeholders are rendered: the server, then a collocated transformer."""
    in_runtime, _ = containers
    wanted = model(service) or {}
    patch = _plain({k: v for k, v in wanted.items() if k not in _MODEL_FIELDS})
    patch = _with_defaults(patch, defaults)
    labels = {**labels_of(service), **defaults.labels}
    root = make_metadata_root({**service["metadata"], "labels": labels})
    main = render_placeholders(merge_container(in_runtime[MAIN_CONTAINER], patch), root)
    main["image"] = make_image(
        str(main.get("image", "")),
        str(wanted.get("runtimeVersion") or ""),
        server_type(selection.runtime),
        gpu=wants_gpu(main),
    )
    transformers = [c[TRANSFORMER_CONTAINER] for c in containers if TRANSFORMER_CONTAINER in c]
    if not transformers:
        return [main]
    transformer = transformers[0] if len(transformers) == 1 else merge_container(*transformers)
    return [main, render_placeholders(transformer, root)]


def merge_container(runtime: JsonObject, own: JsonObject) -> JsonObject:
    """Return the service's container over the runtime's; arguments are appended, not replaced."""
    patch = {k: v for k, v in own.items() if k != "args" and not (k == "name" and not v)}
    merged: JsonObject = strategic_merge(runtime, patch)
    args = [*(runtime.get("args") or []), *(own.get("args") or [])]
    chosen = {e.get("name"): e for e in own.get("env") or []}
    env = [_one_source(e, chosen) for e in merged.get("env") or []]
    return {**merged, **({"args": args} if args else {}), **({"env": env} if env else {})}


def _one_source(entry: JsonObject, chosen: Mapping[Any, JsonObject]) -> JsonObject:
    """A variable that ended with both a value and a source keeps the service's choice."""
    own = chosen.get(entry.get("name"), {})
    if "value" in entry and "valueFrom" in entry:
        dropped = "value" if "valueFrom" in own else "valueFrom"
        return {k: v for k, v in entry.items() if k != dropped}
    return entry


def _with_defaults(container: JsonObject, defaults: RuntimeDefaults) -> JsonObject:
    """Add the runtime's defaults to the service's side of the merge."""
    for name, value in defaults.env.items():
        if not any(e.get("name") == name for e in container.get("env") or []):
            container = with_env(container, name, value)
    if defaults.args:
        container = {**container, "args": [*(container.get("args") or []), *defaults.args]}
    return container


def with_env(container: Mapping[str, Any], name: str, value: str) -> JsonObject:
    """Return the container with a variable set: in its place if it is there, else at the end."""
    entry = {"name": name, "value": value}
    env = container.get("env") or []
    if any(e.get("name") == name for e in env):
        return {**container, "env": [entry if e.get("name") == name else e for e in env]}
    return {**container, "env": [*env, entry]}


def pod_fields(component: Mapping[str, Any]) -> JsonObject:
    """Return a component's fields that are a pod's."""
    return {
        k: _plain(v) for k, v in component.items() if k not in _COMPONENT_FIELDS and v is not None
    }


def _plain(value: Any) -> Any:
    """A copy without nulls and empty lists: in a merge patch they would delete or mean nothing."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None and v != []}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _by_name(containers: Iterable[Mapping[str, Any]]) -> dict[str, JsonObject]:
    return {str(c.get("name", "")): _plain(c) for c in containers}


def _names(containers: Mapping[str, Any]) -> str:
    return ", ".join(f'"{name}"' for name in containers)


def _blocked(message: str) -> MergedPod:
    return MergedPod({}, Blocked(INVALID_SPEC, message))
