"""What should run for one InferenceService of ModelMesh mode: a model in processes that are shared.

KServe leaves such services to ModelMesh's controller, whose decisions these are: one model, of a
multi-model runtime, known by an id that changes with its content. Pure.

stopped? -> shape -> runtime -> its server -> the model's place -> route
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from sampan.api.config import Config
from sampan.api.inferenceservice.implementation import FORMATS
from sampan.machinery.registry import JsonObject
from sampan.plan.model import TRUST, storage_of
from sampan.plan.modelmesh_host import (
    SERVER_TYPES,
    host_of,
    make_host_workload,
    make_mesh_settings,
    server_type_of,
)
from sampan.plan.pod_metadata import SOURCE_URI, make_storage_spec
from sampan.plan.routes import make_route, make_url
from sampan.plan.select import Selection, select_runtime
from sampan.plan.service import (
    annotations_of,
    deployment_mode,
    is_stopped,
    labels_of,
    model,
    predictor,
    service_key,
)
from sampan.plan.types import Blocked, MeshModel, Plan, Snapshot

MODEL_MESH = "ModelMesh"
NOT_SUPPORTED = "DeploymentModeNotSupported"
_STORAGE = "StorageSpecNotSupported"
_ID_LENGTH = 10

_Check: TypeAlias = Callable[[Mapping[str, Any]], Blocked | None]


def is_modelmesh(service: Mapping[str, Any], config: Config) -> bool:
    """Return whether a service is one of ModelMesh's."""
    return deployment_mode(service, config.default_deployment_mode) == MODEL_MESH


def build_mesh_plan(snapshot: Snapshot, warnings: tuple[tuple[str, str], ...]) -> Plan:
    """Return where the model should be. `blocked` names the first decision that cannot be taken."""
    service = derive_model_spec(snapshot.service)
    key = service_key(service)
    plan = Plan(
        service=key,
        url=make_url(key.name, key.namespace, replace(snapshot.gateway, scheme="grpc")),
        warnings=(*warnings, *_warnings(service)),
    )
    if is_stopped(service):
        return replace(plan, stopped=True)
    shape = next((found for check in _SHAPE if (found := check(service))), None)
    if shape is not None:
        return replace(plan, blocked=shape)
    selection = select_runtime(
        service, snapshot.runtimes, snapshot.cluster_runtimes, multi_model=True
    )
    plan = replace(plan, runtime_name=selection.name, runtime_scope=selection.scope)
    blocked = selection.blocked or _check_server(selection)
    if blocked is not None:
        return replace(plan, blocked=blocked)
    uri = select_uri(service, snapshot.storage_entries)
    if isinstance(uri, Blocked):
        return replace(plan, blocked=uri)
    return _with_model(plan, snapshot, service, selection, uri)


def _with_model(
    plan: Plan, snapshot: Snapshot, service: Mapping[str, Any], selection: Selection, uri: str
) -> Plan:
    workload = make_host_workload(selection.runtime)
    trusted = annotations_of(service).get(TRUST) == "true"
    asked = (model(service) or {}).get("modelFormat") or {}
    alone = {**service, "spec": {"predictor": service["spec"]["predictor"]}}
    routing = make_route(alone, workload.name, snapshot.gateway, snapshot.config)
    if routing.blocked:
        return replace(plan, blocked=routing.blocked)
    found = MeshModel(
        host=host_of(plan.service.namespace, selection.runtime),
        workload=workload,
        id=make_model_id(plan.service.name, [asked, uri, trusted]),
        format=str(asked.get("name") or ""),
        uri=uri,
        trusted=trusted,
        settings=make_mesh_settings(selection.runtime),
        annotations={SOURCE_URI: uri, **make_storage_spec(storage_of(service))},
    )
    return replace(plan, route=routing.route, labels=labels_of(service), mesh=found)


def make_model_id(name: str, content: object) -> str:
    """Return `{name}__isvc-{hash}`, equal for equal content (ModelMesh, predictor controller)."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"{name}__isvc-{hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]}"


def derive_model_spec(service: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the service with `model` in the place of a framework's short form.

    Admission leaves the short form as it is in ModelMesh mode, whose controller reads both.
    """
    own = predictor(service)
    name = next((name for name in FORMATS if own.get(name) is not None), None)
    if name is None or own.get("model") is not None:
        return service
    rest = {field: value for field, value in own.items() if field != name}
    wanted: JsonObject = {**own[name], "modelFormat": {"name": name}}
    return {**service, "spec": {**service["spec"], "predictor": {**rest, "model": wanted}}}


def select_uri(
    service: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]
) -> str | Blocked:
    """Return the model's URI. `entries` are those of the Secret `storage-config`, by key.

    ModelMesh, storage: parameters stand before the entry that `key` names; `path` is within it.
    """
    wanted, storage = model(service) or {}, storage_of(service)
    uri = str(wanted.get("storageUri") or "")
    if not storage:
        return uri or _no_place()
    if uri:
        return Blocked(
            "InvalidPredictorSpec",
            f'spec.predictor.model.storageUri is "{uri}" and spec.predictor.model.storage is given '
            "too; remove one of them",
        )
    key, path = str(storage.get("key") or ""), str(storage.get("path") or "").lstrip("/")
    if key and key not in entries:
        return Blocked(
            _STORAGE,
            f'spec.predictor.model.storage.key "{key}" is no entry of the Secret "storage-config" '
            "of this namespace; add it, or give spec.predictor.model.storageUri",
        )
    entry = {**entries.get(key, {}), **(storage.get("parameters") or {})}
    bucket = entry.get("bucket") or entry.get("default_bucket")
    if entry.get("type") == "s3" and bucket:
        return f"s3://{bucket}/{path}"
    if entry.get("type") == "pvc" and entry.get("name"):
        return f"pvc://{entry['name']}/{path}"
    return Blocked(
        _STORAGE,
        f'spec.predictor.model.storage (key "{key}", path "{path}") is of type '
        f'"{entry.get("type") or ""}"; here "s3" with a bucket and "pvc" with a name are read, for '
        "any other give the whole location in spec.predictor.model.storageUri",
    )


def decode_entry(text: str) -> Mapping[str, Any] | None:
    """Return an entry of a storage Secret, base64 of a JSON object; None where it is none."""
    try:
        found = json.loads(base64.b64decode(text, validate=True))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _no_place() -> Blocked:
    return Blocked(
        "InvalidPredictorSpec",
        "the model names no place; give spec.predictor.model.storageUri, or "
        "spec.predictor.model.storage",
    )


# -- what ModelMesh has no place for ---------------------------------------------------------


def _check_one_model(service: Mapping[str, Any]) -> Blocked | None:
    if model(service) is not None:
        return None
    return Blocked(
        "InvalidPredictorSpec",
        'deployment mode "ModelMesh" serves spec.predictor.model; write one, or delete the service '
        "and apply it again in Standard mode, where containers run",
    )


def _check_alone(service: Mapping[str, Any]) -> Blocked | None:
    """Without its transformer a service's answers would be wrong."""
    other = next((name for name in ("transformer", "explainer") if service["spec"].get(name)), None)
    if other is None:
        return None
    return Blocked(
        NOT_SUPPORTED,
        f'spec.{other} does not run beside deployment mode "ModelMesh" here; give it an '
        "InferenceService of its own, or delete this one and apply it again in Standard mode",
    )


_SHAPE: tuple[_Check, ...] = (_check_one_model, _check_alone)


def _check_server(selection: Selection) -> Blocked | None:
    """Only servers that ModelMesh's adapters know have one here that stands for them."""
    kind, known = server_type_of(selection.runtime), ", ".join(f'"{s}"' for s in SERVER_TYPES)
    if kind in SERVER_TYPES:
        return None
    given = f'builtInAdapter.serverType "{kind}"' if kind else "no builtInAdapter"
    return Blocked(
        NOT_SUPPORTED,
        f'runtime "{selection.name}" has {given}, and its own containers are not run here; models '
        f"of the servers {known} are: name such a runtime in spec.predictor.model.runtime",
    )


_IGNORED = {
    "canaryTrafficPercent": "has no meaning in ModelMesh mode; a new model takes over when it is "
    "loaded",
    "minReplicas": "has no meaning in ModelMesh mode; spec.replicas of the runtime counts",
    "maxReplicas": "has no meaning in ModelMesh mode; spec.replicas of the runtime counts",
    "containerConcurrency": "has no meaning in ModelMesh mode, where processes are shared",
    "logger": "is not read in ModelMesh mode, by ModelMesh neither",
    "batcher": "is not read in ModelMesh mode, by ModelMesh neither",
}


def _warnings(service: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = [
        (f"spec.predictor.{name}", sentence)
        for name, sentence in _IGNORED.items()
        if predictor(service).get(name) is not None
    ]
    if storage_of(service).get("schemaPath"):
        sentence = "is not read; inputs are checked by the model itself"
        found.append(("spec.predictor.model.storage.schemaPath", sentence))
    if service["spec"].get("canary"):
        found.append(("spec.canary", _IGNORED["canaryTrafficPercent"]))
    return tuple(found)
