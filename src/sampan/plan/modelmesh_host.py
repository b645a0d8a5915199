"""The processes that the services of ModelMesh mode share: one workload a runtime and namespace.

ModelMesh makes a Deployment of each multi-model ServingRuntime that is used, named
`modelmesh-serving-{runtime}`. Here its replicas are processes of Sampan's own multi-model server,
which stands in the place of the runtime's containers and of the adapter beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sampan.machinery.quantity import QuantityError, parse_quantity
from sampan.plan.component import make_template_hash
from sampan.plan.mesh_settings import MeshSettings
from sampan.plan.routes import make_path_prefix
from sampan.plan.types import (
    Backend,
    Component,
    Gateway,
    Plan,
    Route,
    ServiceKey,
    Workload,
    mesh_key,
)

MESH_NAME = "modelmesh-serving"
"""ModelMesh's Service, under which all models of a namespace answer."""
IMAGE = "sampan/modelmeshserver:latest"
DRIVER = "modelmesh.serving.sampan.dev"
"""The kind of the volume in which the register of models lies, and the reports of processes."""

MEMORY_BUFFER = 128 * 1024**2
"""What a process keeps for itself of its container's memory (ModelMesh: memBufferBytes)."""
MEMORY_DEFAULT = 1024**3
"""A container's memory where its runtime asks for none."""
LOAD_TIMEOUT_MS = 90_000
LOADING_ANNOTATION = "maxLoadingConcurrency"
SERVER_TYPES = ("mlserver", "triton", "ovms")
"""Servers whose models the multi-model server stands in for."""

_FOLDER = "/models"
_REQUIREMENTS_ANNOTATION = "serving.sampan.dev/requirements"
_PACKAGES = {"onnx": "onnxruntime>=1.24", "catboost": "catboost>=1.2"}
"""What formats need beside what the server has by itself."""


def workload_name(runtime: str) -> str:
    """Return the name of the workload of a runtime."""
    return f"{MESH_NAME}-{runtime}"


def server_type_of(runtime: Mapping[str, Any]) -> str:
    """Return the server that a runtime's adapter knows ("": it has no adapter)."""
    return str(((runtime.get("spec") or {}).get("builtInAdapter") or {}).get("serverType") or "")


def make_host_workload(runtime: Mapping[str, Any]) -> Workload:
    """Return what runs for a runtime; it takes its models from the register in its folder."""
    name, spec = str(runtime["metadata"]["name"]), runtime["spec"]
    own = _own_container(runtime)
    container = {
        "name": "kserve-container",
        "image": IMAGE,
        "args": [f"--model_dir={_FOLDER}", "--http_port=8080"],
        **({"env": own["env"]} if own.get("env") else {}),
        **({"resources": own["resources"]} if own.get("resources") else {}),
        "volumeMounts": [{"name": "models", "mountPath": _FOLDER}],
    }
    template = {
        "metadata": {
            "labels": {**(spec.get("labels") or {}), "modelmesh-service": MESH_NAME},
            "annotations": {**(spec.get("annotations") or {}), **_requirements(spec)},
        },
        "spec": {
            "containers": [container],
            "volumes": [{"name": "models", "csi": {"driver": DRIVER}}],
        },
    }
    return Workload(
        component=Component.PREDICTOR,
        name=workload_name(name),
        template=template,
        template_hash=make_template_hash(template, ()),
        replicas=max(1, int(spec.get("replicas") or 1)),
        model_name="",
        protocol="grpc-v2",
        runtime_name=name,
    )


def make_mesh_settings(runtime: Mapping[str, Any]) -> MeshSettings:
    """Return how much its processes hold: the memory that its server's container asks for, less the
    adapter's buffer (ModelMesh, built-in adapters).
    """
    adapter = runtime["spec"].get("builtInAdapter") or {}
    resources = _own_container(runtime).get("resources") or {}
    given = (resources.get("requests") or {}).get("memory") or (resources.get("limits") or {}).get(
        "memory"
    )
    buffer = adapter.get("memBufferBytes")
    buffer = MEMORY_BUFFER if buffer is None else int(buffer)
    timeout = int(adapter.get("modelLoadingTimeoutMillis") or LOAD_TIMEOUT_MS)
    annotations = runtime["spec"].get("annotations") or runtime["metadata"].get("annotations") or {}
    loading = str(annotations.get(LOADING_ANNOTATION) or "1")
    return MeshSettings(
        capacity=max(0, _bytes(given) - buffer),
        loading=int(loading) if loading.isdigit() and int(loading) else 1,
        timeout_seconds=timeout / 1000,
    )


def build_host_plan(workload: Workload, key: ServiceKey, gateway: Gateway, *, leads: bool) -> Plan:
    """Return the plan of a runtime's processes in a namespace.

    `leads`: they also answer under `modelmesh-serving`, the name that all of a namespace share.
    """
    named = f"{MESH_NAME}-{key.object_name}"
    names = (MESH_NAME, named) if leads else (named,)
    hosts = tuple(f"{name}.{key.namespace}.{gateway.domain}" for name in names)
    route = Route(hosts, make_path_prefix(key), (Backend(workload.name),))
    return Plan(service=key, workloads=(workload,), route=route, runtime_name=key.object_name)


def host_of(namespace: str, runtime: Mapping[str, Any]) -> ServiceKey:
    """Return whose processes hold the models of a runtime object."""
    return mesh_key(namespace, str(runtime["metadata"]["name"]))


def _own_container(runtime: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container of the server: the one named as its type, else the first."""
    containers: Sequence[Mapping[str, Any]] = runtime["spec"].get("containers") or ({},)
    wanted = server_type_of(runtime)
    return next((c for c in containers if c.get("name") == wanted), containers[0])


def _requirements(spec: Mapping[str, Any]) -> dict[str, str]:
    formats = {str(f.get("name")) for f in spec.get("supportedModelFormats") or ()}
    packages = [package for name, package in _PACKAGES.items() if name in formats]
    asked = (spec.get("annotations") or {}).get(_REQUIREMENTS_ANNOTATION)
    lines = [*([str(asked)] if asked else []), *packages]
    return {_REQUIREMENTS_ANNOTATION: "\n".join(lines)} if lines else {}


def _bytes(given: object) -> int:
    if given is None:
        return MEMORY_DEFAULT
    try:
        return int(parse_quantity(str(given)).ceiling())
    except QuantityError:
        return MEMORY_DEFAULT
