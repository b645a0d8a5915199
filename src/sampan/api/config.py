"""`inferenceservice-config` as one frozen value, parsed once.

The ConfigMap's `data` maps keys to JSON texts (`sampan.api.config_keys` has all of them). Each that
both platforms read becomes a field of `Config`; each other documented one is checked, and reported
as not honoured here; what is not documented, not JSON or of a wrong form is named with the key and
the mend. Defaults are the values of KServe's shipped ConfigMap, but for the deployment mode.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from sampan.api.config_keys import KEYS, LEGACY_MODES, MODES, Form, Setting
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import JsonObject
from sampan.machinery.suggest import did_you_mean

__all__ = ["LEGACY_MODES", "MODES", "Config", "ParsedConfig", "parse_cached", "parse_config"]

CONFIG_MAP = "inferenceservice-config"

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
    router_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedConfig:
    """A configuration, and what is to be said about its text.

    `errors` are mistakes (the default stands in for each); `warnings` are sentences about settings
    that have no effect here.
    """

    config: Config = Config()
    errors: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()


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
    if key not in KEYS:
        hint = did_you_mean(key, KEYS)
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
    for setting in KEYS[key]:
        _read_setting(path, value, setting, found)
    if key == "ingress":
        _check_ingress(path, value, found)
    found.warnings += _without_effect(key, value)


def _read_setting(path: str, value: JsonObject, setting: Setting, found: _Findings) -> None:
    current: Any = value
    for step in setting.path.split("."):
        current = current.get(step) if isinstance(current, dict) else None
    if current is None:
        return
    if not setting.form.fits(current):
        text = f"{json.dumps(current)} is not allowed; write {setting.form.word}"
        reason = "FieldValueNotSupported" if isinstance(current, str) else "FieldValueTypeInvalid"
        found.errors.append(FieldError(f"{path}.{setting.path}", text, reason))
    elif setting.form is Form.MODE:
        found.values[setting.field] = LEGACY_MODES.get(current, current)
    elif setting.field:
        found.values[setting.field] = tuple(current) if isinstance(current, list) else current


def _check_ingress(path: str, value: JsonObject, found: _Findings) -> None:
    """Two settings need a second one: upstream refuses them alone."""
    if value.get("enableGatewayApi") is True and not value.get("kserveIngressGateway"):
        text = 'enableGatewayApi true needs it; write "namespace/name" of the gateway'
        found.errors.append(FieldError(f"{path}.kserveIngressGateway", text, "FieldValueRequired"))
    if value.get("pathTemplate") and not value.get("ingressDomain"):
        text = "pathTemplate needs it; write the domain that the paths are under"
        found.errors.append(FieldError(f"{path}.ingressDomain", text, "FieldValueRequired"))


def _without_effect(key: str, value: JsonObject) -> Iterator[str]:
    """Yield a sentence about settings that mean nothing on this platform, and one per unknown."""
    paths = {setting.path: setting.field for setting in KEYS[key]}
    tops = {path.partition(".")[0] for path in paths}
    read = {path.partition(".")[0] for path, field in paths.items() if field}
    idle = sorted(name for name in value if name in tops - read)
    if idle:
        yield f'{CONFIG_MAP}: "{key}" is not honoured here in {", ".join(idle)}'
    for name in sorted(value.keys() - tops):
        hint = did_you_mean(name, tops)
        yield f'{CONFIG_MAP}: unknown setting "{key}.{name}" has no effect{hint}'
