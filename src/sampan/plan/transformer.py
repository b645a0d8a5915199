"""The workloads of a transformer and an explainer: containers of the user's, told their predictor.

KServe, transformer and explainer arguments: what is not given is added after the user's own
arguments. The built-in explainer (ART) is a container made of its settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.api.config import Config
from sampan.machinery.registry import JsonObject
from sampan.plan.component import Parts, is_behind_agent, make_template_hash
from sampan.plan.merge import SERVICE_NAME_ENV, pod_fields, with_env
from sampan.plan.pod_metadata import (
    SOURCE_URI,
    Inherited,
    make_batcher,
    make_logger,
    make_pod_metadata,
)
from sampan.plan.scaling import UNSCALED, make_scaling
from sampan.plan.service import (
    MAIN_CONTAINER,
    component_name,
    component_spec,
    service_key,
)
from sampan.plan.types import Component, ModelSource, Workload

HTTP_PORT = "8080"
ART_MODEL_PATH = "/mnt/models"


def make_transformer(parts: Parts) -> Workload:
    """Return the transformer's workload; its pods ask the predictor by its name in the cluster."""
    own = component_spec(parts.service, Component.TRANSFORMER)
    spec = pod_fields(own)
    first, *others = spec.get("containers") or [{}]
    wanted = {**_predictor_arguments(parts.service), "--http_port": HTTP_PORT}
    args = _completed(first.get("args") or (), {**wanted, **_workers(own)})
    name = str(parts.service["metadata"]["name"])
    served = with_env({**first, "args": args}, SERVICE_NAME_ENV, name)
    return _make(parts, Component.TRANSFORMER, {**spec, "containers": [served, *others]})


def make_explainer(parts: Parts) -> Workload:
    """Return the explainer's workload: the user's container, or the built-in one."""
    own = component_spec(parts.service, Component.EXPLAINER)
    spec = pod_fields({k: v for k, v in own.items() if k != "art"})
    if own.get("art") is not None:
        container = _make_art(parts.service, parts.config, own)
        return _make(parts, Component.EXPLAINER, {**spec, "containers": [container]})
    first, *others = spec.get("containers") or [{}]
    args = _completed(first.get("args") or (), _predictor_arguments(parts.service))
    args = _completed([*args, "--http_port", HTTP_PORT], _workers(own))
    served = {**first, "args": args}
    return _make(parts, Component.EXPLAINER, {**spec, "containers": [served, *others]})


def _make(parts: Parts, component: Component, spec: JsonObject) -> Workload:
    service, own = parts.service, component_spec(parts.service, component)
    name = component_name(service, component)
    uri = _model_uri(own)
    handed_on = {
        **({SOURCE_URI: uri} if uri else {}),
        **make_logger(own.get("logger")),
        **make_batcher(own.get("batcher")),
    }
    # What the runtime's type adds to the service's labels reaches every component (KServe).
    inherited = Inherited(defaults=parts.defaults.labels)
    metadata = make_pod_metadata(service, parts.config, component, name, inherited, handed_on)
    template = {"metadata": metadata, "spec": spec}
    models = (ModelSource(uri),) if uri else _several(own)
    scaling = make_scaling(own, metadata["annotations"])
    strategy = own.get("deploymentStrategy") or {}
    concurrency = own.get("containerConcurrency")
    timeout = own.get("timeout")
    minimum = 1 if scaling.minimum is None else scaling.minimum
    return Workload(
        component=component,
        name=name,
        template=template,
        template_hash=make_template_hash(template, models, concurrency),
        replicas=minimum if scaling.autoscaler in UNSCALED else max(minimum, 1),
        model_name=str(service["metadata"]["name"]),
        models=models,
        strategy=str(strategy.get("type") or "RollingUpdate"),
        timeout_seconds=int(timeout) if timeout is not None else None,
        container_concurrency=int(concurrency) if concurrency is not None else None,
        scaling=scaling,
        deployment_strategy=own.get("deploymentStrategy"),
        canary_percent=own.get("canaryTrafficPercent"),
        behind_agent=is_behind_agent(own),
    )


def _make_art(
    service: Mapping[str, Any], config: Config, explainer: Mapping[str, Any]
) -> JsonObject:
    """The container of the Adversarial Robustness Toolbox; the user's arguments come last, once."""
    art = explainer["art"]
    container = {k: v for k, v in art.items() if k not in _ART_FIELDS and v not in ("", None)}
    settings = sorted((art.get("config") or {}).items())
    wanted = _predictor_arguments(service)
    args = [
        "--model_name", wanted["--model_name"], "--http_port", HTTP_PORT,
        "--predictor_host", wanted["--predictor_host"],
        *(word for pair in _workers(explainer).items() for word in pair),
        *(("--storage_uri", ART_MODEL_PATH) if art.get("storageUri") else ()),
        *(("--adversary_type", str(art["type"])) if art.get("type") else ()),
        *(word for key, value in settings for word in (f"--{key}", str(value))),
        *(art.get("args") or ()),
    ]  # fmt: skip
    version = art.get("runtimeVersion") or config.art_version
    image = container.get("image") or f"{config.art_image}:{version}"
    return {**container, "name": MAIN_CONTAINER, "image": image, "args": args}


_ART_FIELDS = frozenset({"type", "storageUri", "runtimeVersion", "config", "storage", "args"})


def _predictor_arguments(service: Mapping[str, Any]) -> dict[str, str]:
    """An explainer asks the predictor too, also where there is a transformer (KServe)."""
    key = service_key(service)
    predictor = component_name(service, Component.PREDICTOR)
    return {"--model_name": key.name, "--predictor_host": f"{predictor}.{key.namespace}"}


def _workers(component: Mapping[str, Any]) -> dict[str, str]:
    concurrency = component.get("containerConcurrency")
    return {} if concurrency is None else {"--workers": str(concurrency)}


def _completed(args: Any, wanted: Mapping[str, str]) -> list[str]:
    """The arguments, with each wanted one that is not given at the end."""
    given = {str(word).partition("=")[0] for word in args}
    missing = [word for pair in wanted.items() if pair[0] not in given for word in pair]
    return [*args, *missing]


def _several(component: Mapping[str, Any]) -> tuple[ModelSource, ...]:
    """The files of `storageUris`, each at its mount path."""
    return tuple(
        ModelSource(str(source["uri"]), str(source.get("mountPath") or ART_MODEL_PATH))
        for source in component.get("storageUris") or ()
    )


def _model_uri(component: Mapping[str, Any]) -> str:
    """An explainer's `art.storageUri`, or the variable `STORAGE_URI` of the first container."""
    art = component.get("art") or {}
    if art.get("storageUri"):
        return str(art["storageUri"])
    first = (component.get("containers") or [{}])[0]
    entries = [e for e in first.get("env") or () if e.get("name") == "STORAGE_URI"]
    return str(entries[-1].get("value") or "") if entries else ""
