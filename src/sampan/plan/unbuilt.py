"""Fields that KServe knows and Sampan does not act on yet: each is named, none is dropped.

A field that only asks for less than it promises gives a warning. A field without which the answers
would be wrong blocks: running workloads stay, nothing new starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sampan.api.config import Config
from sampan.plan.fields.table import make_field_warnings
from sampan.plan.fields.verdicts import Where
from sampan.plan.model import has_storage, storage_of
from sampan.plan.service import (
    annotations_of,
    component_spec,
    components_of,
    labels_of,
    model,
    predictor,
)
from sampan.plan.types import Blocked, Component

Warnings: TypeAlias = tuple[tuple[str, str], ...]
"""`(path, sentence)` pairs."""

# Of a component: what is said when the field is set.
_COMPONENT_FIELDS = {
    "scaleMetricType": "is not read, by KServe's controllers neither; scaleTarget is a percentage "
    "of cpu or memory, and a number of requests of concurrency or rps",
    "logger": "payload logging is not built yet; no request or answer is logged",
    "storageContainerName": "its image is not run here; the built-in fetcher is used, with "
    "its variables",
}
_ANNOTATIONS = {
    "serving.kserve.io/disable-auto-update": "changes of the service or its runtime take effect "
    "at once",
    "serving.kserve.io/enable-metric-aggregation": "metrics are not aggregated; ask each replica",
    "serving.kserve.io/enable-prometheus-scraping": "no scrape annotations are written",
    "serving.kserve.io/nodegroup": "local model caches are not built yet",
}
_NEGATIVE = frozenset({"", "false"})


def make_warnings(service: Mapping[str, Any], config: Config) -> Warnings:
    """Return a warning for each field that is set and not acted on."""
    checks = (
        _warn_fields,
        _warn_art,
        _warn_rollout,
        _warn_annotations,
        _warn_visibility,
        _warn_source,
        _warn_two_ways,
    )
    found = [warning for check in checks for warning in check(service)]
    found += _warn_config(config)
    told = {path for path, _ in found}
    listed = make_field_warnings("InferenceService", service, Where.LOCAL)
    return (*found, *(warning for warning in listed if warning[0] not in told))


def _warn_fields(service: Mapping[str, Any]) -> Warnings:
    return tuple(
        (f"spec.{component.value}.{name}", sentence)
        for component in components_of(service)
        for name, sentence in _COMPONENT_FIELDS.items()
        if component_spec(service, component).get(name) is not None
    )


def _warn_art(service: Mapping[str, Any]) -> Warnings:
    """The built-in explainer's files come from a URI; an entry of a Secret is not read."""
    art = component_spec(service, Component.EXPLAINER).get("art") or {}
    if not art.get("storage"):
        return ()
    sentence = "names an entry of a Secret, which is not read here; give art.storageUri"
    return (("spec.explainer.art.storage", sentence),)


def _warn_rollout(service: Mapping[str, Any]) -> Warnings:
    sentence = (
        "maxSurge and maxUnavailable are not acted on; an old replica stops once a new one is ready"
    )
    return tuple(
        (f"spec.{component.value}.deploymentStrategy.rollingUpdate", sentence)
        for component in components_of(service)
        if (component_spec(service, component).get("deploymentStrategy") or {}).get("rollingUpdate")
    )


def _warn_annotations(service: Mapping[str, Any]) -> Warnings:
    present = annotations_of(service)
    return tuple(
        (f'metadata.annotations["{key}"]', sentence)
        for key, sentence in _ANNOTATIONS.items()
        if str(present.get(key, "")).lower() not in _NEGATIVE
    )


def _warn_visibility(service: Mapping[str, Any]) -> Warnings:
    return tuple(
        (f'metadata.labels["{key}"]', "the service is reachable like any other through the gateway")
        for key in ("networking.kserve.io/visibility", "networking.knative.dev/visibility")
        if labels_of(service).get(key) == "cluster-local"
    )


def _warn_two_ways(service: Mapping[str, Any]) -> Warnings:
    """Canaries of `spec.canary` share with the newest revision, never with two."""
    if not service["spec"].get("canary") or predictor(service).get("canaryTrafficPercent") is None:
        return ()
    sentence = "is not read beside spec.canary, whose canaries have the shares; remove one of them"
    return (("spec.predictor.canaryTrafficPercent", sentence),)


def _warn_source(service: Mapping[str, Any]) -> Warnings:
    """Without a place a server waits for TrainedModels, except one that fetches by itself."""
    wanted = model(service)
    if wanted is None or has_storage(service):
        return ()
    if (wanted.get("modelFormat") or {}).get("name") == "huggingface":
        return ()
    sentence = "is not set and TrainedModels are not built yet; the server gets no model from here"
    return (("spec.predictor.model.storageUri", sentence),)


def _warn_config(config: Config) -> Warnings:
    set_here = {
        "ingress.pathTemplate": bool(config.path_template),
        "ingress.disableIngressCreation": config.disable_ingress_creation,
        "ingress.urlScheme": config.url_scheme != "http",
    }
    sentence = "is not acted on; the service has its usual names, URL and path"
    return tuple(
        (f"inferenceservice-config {name}", sentence) for name, on in set_here.items() if on
    )


def select_unbuilt(service: Mapping[str, Any], config: Config) -> Blocked | None:
    """Return why a service cannot be run rightly with what is built, None when it can."""
    return next((b for b in (check(service, config) for check in _BLOCKS) if b), None)


def _block_workers(service: Mapping[str, Any], _: Config) -> Blocked | None:
    if predictor(service).get("workerSpec") is None:
        return None
    return Blocked(
        "MultiNodeNotSupported",
        "spec.predictor.workerSpec asks for several nodes, which is not built yet; remove it and "
        "name a runtime for one node",
    )


def _block_storage(service: Mapping[str, Any], _: Config) -> Blocked | None:
    """A storage spec without a path, which leaves KServe's server without a model."""
    storage = storage_of(service)
    if not storage or storage.get("path") or (model(service) or {}).get("storageUri"):
        return None
    return Blocked(
        "StorageSpecNotSupported",
        f'spec.predictor.model.storage (key "{storage.get("key", "")}") names no path, so no '
        "model is fetched; add spec.predictor.model.storage.path",
    )


def _block_confidential(service: Mapping[str, Any], _: Config) -> Blocked | None:
    confidential = (model(service) or {}).get("confidential") or {}
    if not confidential.get("enabled"):
        return None
    return Blocked(
        "ConfidentialNotSupported",
        "spec.predictor.model.confidential.enabled is true and decrypting models is not built "
        "yet; store the model unencrypted and remove it",
    )


_BLOCKS: tuple[Callable[[Mapping[str, Any], Config], Blocked | None], ...] = (
    _block_workers,
    _block_confidential,
    _block_storage,
)
