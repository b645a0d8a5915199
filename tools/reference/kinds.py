"""`kinds.md`: the fields of KServe's kinds, from the schemas, and what each does here.

What a field does is not written down: a service with the field set is planned, and the plan's
warnings or its block are the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from sampan.api.config import Config
from sampan.api.schema.definitions import definitions, schema_of
from sampan.api.scheme import GROUP, REGISTRY
from sampan.controllers.unbuilt import MESSAGES
from sampan.plan.unbuilt import _ANNOTATIONS, make_warnings, select_unbuilt
from tools.reference.markdown import code, page, section, table
from tools.reference.reason_scan import SOURCE

_INTRODUCTION = """
Fields of KServe's own types. Those that a type takes over from Kubernetes (all of a pod in
`spec.predictor`, all of a container in `spec.predictor.model`) are in
[capabilities.md](capabilities.md), which also says what each does here.

The column **here**: nothing means honoured; *warned* means left out, with a warning when applying
and an event; *blocked* means that nothing new starts until the field is removed, and why. Types
that only such fields lead to are left out.
"""
_MODEL_MESH = "*no effect*: the platform has its own ports and brings models by itself"
_RUNTIME_HERE = dict.fromkeys(
    ("grpcDataEndpoint", "httpDataEndpoint", "storageHelper"), _MODEL_MESH
) | {
    "builtInAdapter": "`serverType`, `memBufferBytes` and `modelLoadingTimeoutMillis`; see "
    "[many models in one process](../how-to/serve-many-models.md)",
    "multiModel": "such a runtime is for services of ModelMesh mode, and for no others",
    "workerSpec": "such a runtime is not selected: several nodes are not built yet",
}  # fmt: skip
_READ = {
    "serving.kserve.io/stop": "`true`: nothing runs until it is removed",
    "serving.kserve.io/deploymentMode": "`Standard`; `Knative` runs as Standard and is *warned*; "
    "`ModelMesh` shares processes, see [many models](../how-to/serve-many-models.md)",
    "serving.kserve.io/autoscalerClass": "`none` and `external` take `minReplicas` as it is, 0 "
    "included; with `hpa` and `keda` the number follows what is used, with `sampan` the requests, "
    "see [scale with the load](../how-to/scale-with-the-load.md)",
    "autoscaling.knative.dev/...": "how the number of replicas follows the requests, see "
    "[autoscaling](autoscaling.md)",
    "serving.sampan.dev/trust": "`true`: the model may run code when it is loaded",
    "serving.sampan.dev/requirements": "packages beside those of the runtime, one a line, as "
    "`pandas>=2,<3`; on a cluster the image holds them",
}
_DEFAULTS = {"minReplicas": "1", "protocolVersion": "by the runtime", "mountPath": "/mnt/models"}


def render() -> str:
    """Return the page."""
    return page(
        "Kinds",
        _INTRODUCTION,
        section(
            "Served kinds", table(("kind", "apiVersion", "short names", "scope", "here"), _served())
        ),
        section(
            "Annotations of an InferenceService", table(("annotation", "here"), _annotations())
        ),
        *(_section(name) for name in _reached()),
    )


def _served() -> list[tuple[str, ...]]:
    return [
        (
            r.kind,
            code(r.api_version),
            ", ".join(code(n) for n in r.short_names),
            "namespace" if r.namespaced else "cluster",
            _acted_on(r.plural),
        )
        for r in REGISTRY
    ]


def _roots() -> tuple[str, ...]:
    """Return KServe's kinds, in the order of discovery."""
    return tuple(r.kind for r in REGISTRY if r.group == GROUP)


def _acted_on(plural: str) -> str:
    """Tell whether anything but storing and checking happens to objects of a kind."""
    if any(r.plural == plural and r.kind in MESSAGES for r in REGISTRY):
        return "stored and checked; nothing acts on it yet, and applying one says so"
    folders = ("app", "controllers", "platforms", "apiserver", "machinery")
    files = (p for folder in folders for p in (SOURCE / folder).rglob("*.py"))
    named = any(re.search(rf"\b{plural}\b", p.read_text("utf-8")) for p in files)
    return "" if named else "stored and checked; nothing acts on it yet"


def _annotations() -> list[tuple[str, str]]:
    idle = [(name, f"*warned*: {sentence}") for name, sentence in _ANNOTATIONS.items()]
    return [(code(name), text) for name, text in (*_READ.items(), *idle)]


@cache
def _reached() -> tuple[str, ...]:
    """Return KServe's types that honoured fields lead to, in the order of reading."""
    waiting, seen = list(_roots()), list[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in _ours():
            continue
        seen.append(name)
        for field, part in definitions()[name]["properties"].items():
            waiting += [] if _here(name, field) else _references(part)
    return tuple(seen)


@cache
def _ours() -> frozenset[str]:
    """Return the names of KServe's own types; the others are Kubernetes's."""
    from sampan.api.schema.derive_kinds import derive_views

    modules = {kind: import_module(f"sampan.api.{kind.lower()}.types") for kind in _roots()}
    return frozenset(derive_views(tuple(getattr(m, kind) for kind, m in modules.items())))


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)


def _section(name: str) -> str:
    schema = definitions()[name]
    required = set(schema.get("required", ()))
    rows = [
        (
            code(field) + (" (required)" if field in required else ""),
            _type(part),
            code(str(part.get("default", _DEFAULTS.get(field, "")))),
            part.get("description", ""),
            _here(name, field),
        )
        for field, part in schema["properties"].items()
    ]
    taken = [_taken(inline) for inline in schema.get("$inline", ())]
    header = ("field", "type", "default", "meaning", "here")
    return section(name, schema.get("description", ""), *taken, table(header, rows))


def _taken(inline: Mapping[str, Any]) -> str:
    only = ", ".join(code(n) for n in inline["only"])
    what = f"the fields {only} of" if only else "the fields of"
    return f"Besides its own: {what} [{inline['core']}](capabilities.md#{inline['core'].lower()})."


def _type(part: Mapping[str, Any]) -> str:
    if "$ref" in part:
        name = part["$ref"]
        if name in _reached():
            return f"[{name}](#{name.lower()})"
        return name if name in _ours() else f"Kubernetes {name}"
    if part.get("type") == "array":
        return f"list of {_type(part['items'])}"
    if isinstance(part.get("additionalProperties"), dict):
        return f"map of {_type(part['additionalProperties'])}"
    if part.get("x-kubernetes-int-or-string"):
        return "quantity"
    return (
        ", ".join(code(str(v)) for v in part["enum"]) if "enum" in part else part.get("type", "any")
    )


def _here(kind: str, field: str) -> str:
    if kind == "RuntimeSpec":
        return _RUNTIME_HERE.get(field, "")
    if kind == "Spec" and field != "predictor":
        return _verdict({**_service({}), "spec": {"predictor": {}, field: _value(field)}}, field)
    if kind == "Predictor":
        return _verdict(_service({field: _sample(field)}), field)
    if kind in {"Model", "PredictorExtension"} and field in {"storage", "confidential"}:
        return _verdict(_service({"model": {field: {"enabled": True}}}), field)
    return ""


def _verdict(service: dict[str, Any], field: str) -> str:
    blocked = select_unbuilt(service, Config()) or _storage_block(service)
    if blocked:
        return f"*blocked*, {code(blocked.reason)}: {blocked.message}"
    found = [t for path, t in make_warnings(service, Config()) if path.split(".")[2:3] == [field]]
    return f"*warned*: {found[0]}" if found else ""


def _storage_block(service: dict[str, Any]) -> Any:
    from sampan.plan.model import make_model_location

    return make_model_location(service).blocked


def _service(predictor: dict[str, Any]) -> dict[str, Any]:
    wanted = {"modelFormat": {"name": "sklearn"}, "storageUri": "/model"}
    model = {**wanted, **predictor.get("model", {})}
    return {
        "metadata": {"name": "s", "namespace": "default"},
        "spec": {"predictor": {**predictor, "model": model}},
    }


def _value(field: str) -> Any:
    return [{"trafficPercent": 10}] if field == "canary" else {}


def _sample(field: str) -> Any:
    """Return a value that asks for what the field does, by its type."""
    part = schema_of("Predictor")["properties"][field]
    if part.get("type") == "integer":
        return 0 if field == "minReplicas" else 5
    return {"object": {"rollingUpdate": {"maxSurge": 1}}, "array": []}.get(part.get("type"), "x")
