"""`inferenceservice-config` as one frozen value, parsed once.

The ConfigMap's `data` maps keys to JSON texts (control-plane: KServe's operator manual). Each key
that Sampan reads becomes a field of `Config`; each other documented one is accepted and reported as
not honoured; what is not documented, not JSON or of a wrong type is named with the key and the
mend. Defaults are the values of KServe's shipped ConfigMap, but for the deployment mode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject
from sampan.machinery.suggest import did_you_mean

CONFIG_MAP = "inferenceservice-config"

MODES = ("Standard", "Knative", "ModelMesh")
LEGACY_MODES = {"RawDeployment": "Standard", "Serverless": "Knative"}

ANNOTATIONS_KEPT_BACK = (
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/max-scale",
    "internal.serving.kserve.io/storage-initializer-sourceuri",
    "kubectl.kubernetes.io/last-applied-configuration",
    "modelFormat",
)
"""Annotations of a service that never reach its pods."""

LABELS_KEPT_BACK = ("networking.knative.dev/visibility",)
"""Labels of a service that never reach its Knative revisions."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a custom container gets where it says nothing. Quantities; empty: no default."""

    cpu_limit: str = "1"
    memory_limit: str = "2Gi"
    cpu_request: str = "1"
    memory_request: str = "2Gi"


@dataclass(frozen=True, slots=True)
class Config:
    """What the operator configured. Field names follow the ConfigMap's keys."""

    default_deployment_mode: str = "Standard"
    ingress_domain: str = "example.com"
    domain_template: str = "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}"
    url_scheme: str = "http"
    path_template: str = ""
    additional_ingress_domains: tuple[str, ...] = ()
    disable_ingress_creation: bool = False
    resources: Resources = Resources()
    annotations_kept_back: tuple[str, ...] = ANNOTATIONS_KEPT_BACK
    labels_kept_back: tuple[str, ...] = LABELS_KEPT_BACK
    custom_gpu_resource_types: tuple[str, ...] = ()
    auto_mount_service_account_token: bool = True
    art_image: str = "kserve/art-explainer"
    art_version: str = "latest"
    storage_initializer_image: str = "kserve/storage-initializer:latest"


@dataclass(frozen=True, slots=True)
class ParsedConfig:
    """A configuration, and what is to be said about its text.

    `errors` are mistakes (the default stands in for each); `warnings` are sentences about settings
    that have no effect here.
    """

    config: Config = Config()
    errors: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Setting:
    """One setting that is read: path under its key, field of `Config`, type; lists hold strings."""

    path: str
    field: str
    kind: type


_SETTINGS: Mapping[str, tuple[_Setting, ...]] = {
    "deploy": (_Setting("defaultDeploymentMode", "default_deployment_mode", str),),
    "ingress": (
        _Setting("ingressDomain", "ingress_domain", str),
        _Setting("domainTemplate", "domain_template", str),
        _Setting("urlScheme", "url_scheme", str),
        _Setting("pathTemplate", "path_template", str),
        _Setting("additionalIngressDomains", "additional_ingress_domains", list),
        _Setting("disableIngressCreation", "disable_ingress_creation", bool),
    ),
    "inferenceService": (
        _Setting("resource.cpuLimit", "cpu_limit", str),
        _Setting("resource.memoryLimit", "memory_limit", str),
        _Setting("resource.cpuRequest", "cpu_request", str),
        _Setting("resource.memoryRequest", "memory_request", str),
        _Setting("serviceAnnotationDisallowedList", "annotations_kept_back", list),
        _Setting("serviceLabelDisallowedList", "labels_kept_back", list),
    ),
    "multiNode": (_Setting("customGPUResourceTypeList", "custom_gpu_resource_types", list),),
    "security": (
        _Setting("autoMountServiceAccountToken", "auto_mount_service_account_token", bool),
    ),
    "explainers": (
        _Setting("art.image", "art_image", str),
        _Setting("art.defaultImageVersion", "art_version", str),
    ),
    "storageInitializer": (_Setting("image", "storage_initializer_image", str),),
}
"""Every setting that is read, under its key."""

_RESOURCES = "cpuLimit cpuRequest memoryLimit memoryRequest"
_WITHOUT_EFFECT: Mapping[str, frozenset[str]] = {
    key: frozenset(names.split())
    for key, names in {
        "agent": f"image {_RESOURCES}",
        "autoscaler": "scaleDownStabilizationWindowSeconds scaleUpStabilizationWindowSeconds",
        "autoscaling-wva-controller-config": "prometheus",
        "batcher": f"image maxBatchSize maxLatency {_RESOURCES}",
        "credentials": "gcs s3 storageSecretNameAnnotation storageSpecSecretName",
        "deploy": "deploymentRolloutStrategy",
        "explainers": "",
        "inferenceService": "",
        "ingress": (
            "disableHTTPRouteTimeout disableIstioVirtualHost enableGatewayApi "
            "enableLLMInferenceServiceTLS ingressClassName ingressGateway "
            "knativeLocalGatewayService kserveIngressGateway localGateway localGatewayService "
            "modelBasedRoutingHeaderName modelBasedRoutingMode"
        ),
        "localModel": (
            "defaultJobImage disableVolumeManagement enabled fsGroup jobNamespace "
            "jobTTLSecondsAfterFinished reconcilationFrequencyInSecs"
        ),
        "logger": (
            f"batchInterval batchSize caBundle caCertFile defaultUrl image marshallerUrl storage "
            f"tlsSkipVerify {_RESOURCES}"
        ),
        "metricsAggregator": "enableMetricAggregation enablePrometheusScraping",
        "multiNode": "",
        "opentelemetryCollector": (
            "metricReceiverEndpoint metricScalerEndpoint resource scrapeInterval"
        ),
        "router": f"headers image imagePullPolicy imagePullSecrets {_RESOURCES}",
        "scheduler": "expirationAnnotations",
        "security": "",
        "service": "serviceClusterIPNone",
        "storageInitializer": (
            f"caBundleConfigMapName caBundleVolumeMountPath cpuModelcar enableModelcar "
            f"enableOciModelSupport memoryModelcar ociInsecureRegistry ociModelMode uidModelcar "
            f"{_RESOURCES}"
        ),
    }.items()
}
"""Documented settings that have no effect here yet, under their keys."""

_NOT_CONFIGURATION = frozenset({"_example"})


@dataclass(slots=True)
class _Findings:
    """What is gathered while the keys are read."""

    values: dict[str, Any] = field(default_factory=dict)
    errors: list[FieldError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def parse_config(data: Mapping[str, str] | None) -> ParsedConfig:
    """Parse the `data` of `inferenceservice-config`; none or empty: the defaults.

    As upstream reads it, a ConfigMap without the key `security` turns service account tokens off.
    """
    if not data:
        return ParsedConfig()
    found = _Findings({"auto_mount_service_account_token": False})
    if "inferenceService" in data:
        found.values |= dict.fromkeys(
            ("cpu_limit", "memory_limit", "cpu_request", "memory_request"), ""
        )
    for key, text in data.items():
        if key not in _NOT_CONFIGURATION:
            _read_key(key, text, found)
    return ParsedConfig(_config(found.values), tuple(found.errors), tuple(found.warnings))


def parse_cached(data: Mapping[str, str] | None) -> ParsedConfig:
    """Parse as `parse_config` does, once for the same text: admission asks for each object."""
    return _parse_items(tuple(sorted((data or {}).items())))


@lru_cache(maxsize=8)
def _parse_items(items: tuple[tuple[str, str], ...]) -> ParsedConfig:
    return parse_config(dict(items))


def _config(values: dict[str, Any]) -> Config:
    amounts = {name: values.pop(name) for name in Resources.__slots__ if name in values}
    for name, always in (
        ("annotations_kept_back", ANNOTATIONS_KEPT_BACK),
        ("labels_kept_back", LABELS_KEPT_BACK),
    ):
        if name in values:
            values[name] = (*always, *values[name])
    config = Config(**values)
    return replace(config, resources=replace(config.resources, **amounts)) if amounts else config


def _read_key(key: str, text: str, found: _Findings) -> None:
    path = f"data.{key}"
    if key not in _WITHOUT_EFFECT:
        hint = did_you_mean(key, _WITHOUT_EFFECT)
        found.warnings.append(f'{CONFIG_MAP}: unknown key "{key}" has no effect{hint}')
        return
    try:
        value = json.loads(text)
    except ValueError as broken:
        found.errors.append(FieldError(path, f"not JSON: {broken}; write a JSON object"))
        return
    if not isinstance(value, dict):
        shown = json.dumps(value)
        found.errors.append(FieldError(path, f"{shown} is no JSON object; write one in braces"))
        return
    settings = _SETTINGS.get(key, ())
    for setting in settings:
        _read_setting(path, value, setting, found)
    _name_without_effect(key, value, settings, found)


def _read_setting(path: str, value: JsonObject, setting: _Setting, found: _Findings) -> None:
    current: Any = value
    for step in setting.path.split("."):
        current = current.get(step) if isinstance(current, dict) else None
    if current is None:
        return
    where = f"{path}.{setting.path}"
    if not _is_of(setting, current):
        wanted = {str: "a string", bool: "true or false", list: "a list of strings"}[setting.kind]
        text = f"{json.dumps(current)} is of the wrong type; write {wanted}"
        found.errors.append(FieldError(where, text, "FieldValueTypeInvalid"))
    elif setting.field == "default_deployment_mode":
        _read_mode(where, current, found)
    else:
        found.values[setting.field] = tuple(current) if setting.kind is list else current


def _is_of(setting: _Setting, value: object) -> bool:
    if isinstance(value, list) and setting.kind is list:
        return all(isinstance(item, str) for item in value)
    return isinstance(value, setting.kind)


def _read_mode(path: str, value: str, found: _Findings) -> None:
    mode = LEGACY_MODES.get(value, value)
    if mode in MODES:
        found.values["default_deployment_mode"] = mode
        return
    text = f'"{value}" is no deployment mode; write "Standard", "Knative" or "ModelMesh"'
    found.errors.append(FieldError(path, text, "FieldValueNotSupported"))


def _name_without_effect(
    key: str, value: JsonObject, settings: tuple[_Setting, ...], found: _Findings
) -> None:
    read = {setting.path.partition(".")[0] for setting in settings}
    documented = _WITHOUT_EFFECT[key]
    idle = sorted(name for name in value if name in documented)
    if idle:
        names = ", ".join(idle)
        found.warnings.append(f'{CONFIG_MAP}: "{key}" is not honoured here in {names}')
    for name in sorted(value.keys() - documented - read):
        hint = did_you_mean(name, documented | read)
        found.warnings.append(f'{CONFIG_MAP}: unknown setting "{key}.{name}" has no effect{hint}')
