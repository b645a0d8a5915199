"""A predictor on several nodes: a head that answers, and workers that it spreads the model over.

KServe, multi-node (Standard mode): the workers' pods are the runtime's `workerSpec` with the
service's on top. Head and workers of one generation find each other by Services of that
generation's name, so that an update starts a set of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sampan.api.gpu import gpu_types
from sampan.machinery.patch import strategic_merge
from sampan.machinery.registry import JsonObject
from sampan.plan.component import Parts, make_predictor, make_template_hash
from sampan.plan.gpu_shares import GpuShares, count_gpus, make_gpu_shares
from sampan.plan.merge import main_container, merge_container, pod_fields, with_env
from sampan.plan.model import MODEL_PATH
from sampan.plan.placeholders import PlaceholderError, make_metadata_root, render_placeholders
from sampan.plan.pod_metadata import SOURCE_URI, Inherited, make_pod_metadata
from sampan.plan.service import annotations_of, component_name, predictor
from sampan.plan.types import Blocked, Component, Role, Workload

WORKER_CONTAINER = "worker-container"
GENERATION_LABEL = "isvc.generation"
EXECUTOR = "multinode/executor-backend"
_SIZES = frozenset({"pipelineParallelSize", "tensorParallelSize"})


@dataclass(frozen=True, slots=True)
class _Worker:
    """The merged pod spec of the workers, and what decides over their number."""

    spec: JsonObject
    pipeline: int
    tensor: int


def is_multi_node(service: Mapping[str, Any]) -> bool:
    """Return whether a service asks for several nodes."""
    return predictor(service).get("workerSpec") is not None


def make_nodes(parts: Parts) -> tuple[Workload, ...] | Blocked:
    """Return the head's workload and the workers', none of the latter where the head suffices."""
    worker = _make_worker_spec(parts)
    if isinstance(worker, Blocked):
        return worker
    shares = _make_shares(parts, worker)
    if isinstance(shares, Blocked):
        return shares
    head = _make_head(parts, shares)
    workers = () if shares.nodes == 1 else (_make_workers(parts, worker, shares),)
    return tuple(_with_generation(parts, w) for w in (head, *workers))


def head_service_name(service: Mapping[str, Any]) -> str:
    """Return the name of the Service by which workers find their head."""
    return f"{service['metadata']['name']}-head-{generation(service)}"


def worker_service_name(service: Mapping[str, Any]) -> str:
    """Return the name of the Service of the workers."""
    return f"{service['metadata']['name']}-workers-{generation(service)}"


def generation(service: Mapping[str, Any]) -> str:
    """Return the generation that head and workers belong to."""
    return str(service["metadata"].get("generation") or 1)


def _make_worker_spec(parts: Parts) -> _Worker | Blocked:
    given = (parts.selection.runtime.get("spec") or {}).get("workerSpec")
    own = predictor(parts.service)["workerSpec"]
    if given is None:
        return Blocked(
            "InvalidWorkerSpecNotSet",
            f'runtime "{parts.selection.name}" has no workerSpec, which spec.predictor.workerSpec '
            "needs; name a runtime for several nodes in spec.predictor.model.runtime",
        )
    base, over = pod_fields(given), pod_fields(own)
    container = _container(base)
    if (on_top := _container(over)) is not None:
        container = on_top if container is None else merge_container(container, on_top)
    if container is None:
        return Blocked(
            "InvalidWorkerSpecNotSet",
            f'no container "{WORKER_CONTAINER}" is in the workerSpec of runtime '
            f'"{parts.selection.name}"; add it there or in spec.predictor.workerSpec',
        )
    try:
        rendered = render_placeholders(container, make_metadata_root(parts.service["metadata"]))
    except PlaceholderError as error:
        return Blocked("InvalidPredictorSpec", f"failed to replace placeholders: {error}")
    rest = [
        {k: v for k, v in spec.items() if k not in (*_SIZES, "containers")} for spec in (base, over)
    ]
    spec = {**strategic_merge(*rest), "containers": [rendered]}
    sizes = {name: int(own.get(name) or given.get(name) or 1) for name in _SIZES}
    return _Worker(spec, sizes["pipelineParallelSize"], sizes["tensorParallelSize"])


def _container(spec: Mapping[str, Any]) -> JsonObject | None:
    found = (c for c in spec.get("containers") or () if c.get("name") == WORKER_CONTAINER)
    return next(found, None)


def _make_shares(parts: Parts, worker: _Worker) -> GpuShares | Blocked:
    types = _types(parts)
    _, head_gpus = count_gpus(main_container(parts.spec), types)
    _, worker_gpus = count_gpus(worker.spec["containers"][0], types)
    annotations = (parts.selection.runtime.get("spec") or {}).get("annotations") or {}
    by_processes = annotations.get(EXECUTOR) == "mp"
    return make_gpu_shares(
        worker.pipeline, worker.tensor, head_gpus, worker_gpus, by_processes=by_processes
    )


def _make_head(parts: Parts, shares: GpuShares) -> Workload:
    name = str(parts.service["metadata"]["name"])
    in_volume = any(m.uri.startswith(("pvc://", "oci://", "oci+")) for m in parts.models)
    container = _with_variables(
        main_container(parts.spec),
        {
            "PIPELINE_PARALLEL_SIZE": str(shares.pipeline),
            "TENSOR_PARALLEL_SIZE": str(shares.tensor),
            "RAY_NODE_COUNT": str(shares.nodes),
            "REQUEST_GPU_COUNT": str(shares.head),
            "MODEL_NAME": name,
            **({"MODEL_DIR": MODEL_PATH} if in_volume else {}),
        },
    )
    served = _with_gpus(container, shares.head, _types(parts))
    others = [c for c in parts.spec["containers"] if c.get("name") != served.get("name")]
    return make_predictor(replace(parts, spec={**parts.spec, "containers": [served, *others]}))


def _make_workers(parts: Parts, worker: _Worker, shares: GpuShares) -> Workload:
    service = parts.service
    name = f"{component_name(service, Component.PREDICTOR)}-worker"
    container = _with_variables(
        worker.spec["containers"][0],
        {
            "RAY_NODE_COUNT": str(shares.nodes),
            "REQUEST_GPU_COUNT": str(shares.worker),
            "PIPELINE_PARALLEL_SIZE": str(shares.pipeline),
            "TENSOR_PARALLEL_SIZE": str(shares.tensor),
            "ISVC_NAME": str(service["metadata"]["name"]),
            "HEAD_SVC": head_service_name(service),
            "WORKER_SVC": worker_service_name(service),
        },
    )
    container = _with_gpus(container, shares.worker, _types(parts))
    handed_on = {SOURCE_URI: parts.models[0].uri} if parts.models else {}
    inherited = Inherited(defaults=parts.defaults.labels)
    metadata = make_pod_metadata(
        service, parts.config, Component.PREDICTOR, name, inherited, handed_on
    )
    template = {"metadata": metadata, "spec": {**worker.spec, "containers": [container]}}
    return Workload(
        component=Component.PREDICTOR,
        name=name,
        template=template,
        template_hash=make_template_hash(template, parts.models),
        replicas=shares.nodes - 1,
        model_name=str(service["metadata"]["name"]),
        models=parts.models,
        role=Role.WORKER,
    )


def _with_variables(container: Mapping[str, Any], variables: Mapping[str, str]) -> JsonObject:
    made: JsonObject = dict(container)
    for name, value in variables.items():
        made = with_env(made, name, value)
    return made


def _with_gpus(container: JsonObject, count: int, types: frozenset[str]) -> JsonObject:
    """The container with its GPUs as limit and as request, of the type that it names."""
    kind, _ = count_gpus(container, types)
    resources = container.get("resources") or {}
    amounts = {k: {**(resources.get(k) or {}), kind: str(count)} for k in ("limits", "requests")}
    return {**container, "resources": {**resources, **amounts}}


def _with_generation(parts: Parts, workload: Workload) -> Workload:
    metadata = workload.template["metadata"]
    labels = {**metadata["labels"], GENERATION_LABEL: generation(parts.service)}
    template = {**workload.template, "metadata": {**metadata, "labels": labels}}
    return replace(
        workload,
        template=template,
        template_hash=make_template_hash(template, workload.models, workload.container_concurrency),
    )


def _types(parts: Parts) -> frozenset[str]:
    return gpu_types(annotations_of(parts.service), parts.config.custom_gpu_resource_types)
