"""The documented settings of `inferenceservice-config`: where each stands, and what it may hold.

KServe's operator manual documents them; each key of the ConfigMap holds a JSON object. `field` is
the setting's field in `sampan.api.config.Config`, where it has one; settings that mean something on
a cluster only are read by `sampan.platforms.kubernetes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

from sampan.machinery.quantity import QuantityError, parse_quantity

MODES = ("Standard", "Knative", "ModelMesh")
LEGACY_MODES = {"RawDeployment": "Standard", "Serverless": "Knative"}

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_quantity(value: Any) -> bool:
    """Empty is no amount, as upstream reads resource defaults."""
    if not isinstance(value, str):
        return False
    try:
        parse_quantity(value or "0")
    except QuantityError:
        return False
    return True


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_template(value: Any) -> bool:
    """Whether each action of a Go template is closed and starts with a field, text or function."""
    if not isinstance(value, str) or value.count("{{") != value.count("}}"):
        return False
    actions = re.findall(r"\{\{(.*?)\}\}", value, re.DOTALL)
    return all(re.match(r'-?\s*(\.\w|index\s|"|`|/\*)', action) for action in actions)


class Form(Enum):
    """What a setting may hold: the word for it in errors, and the test."""

    TEXT = ("a string", lambda v: isinstance(v, str))
    FLAG = ("true or false", lambda v: isinstance(v, bool))
    TEXTS = ("a list of strings", _are_texts)
    OBJECT = ("an object in braces", lambda v: isinstance(v, dict))
    WHOLE = ("a whole number", _is_whole)
    QUANTITY = ('a quantity in quotes, such as "100m" or "1Gi"', _is_quantity)
    FLAG_TEXT = ('"true" or "false", in quotes', _matches("|true|false"))
    WHOLE_TEXT = ("a whole number in quotes", _matches("[0-9]*"))
    SHARE = ('a share or number in quotes, such as "25%" or "1"', _matches("|[0-9]+%?"))
    GATEWAY = ("namespace/name of a gateway", _matches(f"|{_LABEL}/{_LABEL}"))
    TEMPLATE = ("a template such as {{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
                _is_template)  # fmt: skip
    MODE = ('"Standard", "Knative" or "ModelMesh"', _matches("|".join((*MODES, *LEGACY_MODES))))
    OCI_MODE = ('"modelcar", "native" or "fetch"', _matches("|modelcar|native|fetch"))
    PULL_POLICY = ('"Always", "IfNotPresent" or "Never"', _matches("|Always|IfNotPresent|Never"))
    SWITCH = ('"enabled" or "disabled"', _matches("|enabled|disabled"))

    def __init__(self, word: str, fits: Callable[[Any], bool]) -> None:
        self.word = word
        self.fits = fits


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: its path under its key, what it may hold, and its field in `Config`."""

    path: str
    form: Form
    field: str = ""


def _amounts(prefix: str = "") -> tuple[Setting, ...]:
    names = ("cpuLimit", "cpuRequest", "memoryLimit", "memoryRequest")
    return tuple(Setting(prefix + name, Form.QUANTITY) for name in names)


def _texts(names: str, form: Form = Form.TEXT) -> tuple[Setting, ...]:
    return tuple(Setting(name, form) for name in names.split())


KEYS: Mapping[str, tuple[Setting, ...]] = MappingProxyType(
    {
        "agent": (*_texts("image"), *_amounts()),
        "autoscaler": _texts(
            "scaleDownStabilizationWindowSeconds scaleUpStabilizationWindowSeconds",
            Form.WHOLE_TEXT,
        ),
        "autoscaling-wva-controller-config": _texts("prometheus", Form.OBJECT),
        "batcher": (
            *_texts("image"), *_amounts(), *_texts("maxBatchSize maxLatency", Form.WHOLE_TEXT),
        ),
        "credentials": _texts(
            "storageSpecSecretName storageSecretNameAnnotation gcs.gcsCredentialFileName "
            "s3.s3AccessKeyIDName s3.s3SecretAccessKeyName s3.s3Endpoint s3.s3UseHttps "
            "s3.s3Region s3.s3VerifySSL s3.s3UseVirtualBucket s3.s3UseAccelerate "
            "s3.s3UseAnonymousCredential s3.s3CABundleConfigMap s3.s3CABundle"
        ),
        "deploy": (
            Setting("defaultDeploymentMode", Form.MODE, "default_deployment_mode"),
            Setting("deploymentRolloutStrategy.defaultRollout.maxSurge", Form.SHARE),
            Setting("deploymentRolloutStrategy.defaultRollout.maxUnavailable", Form.SHARE),
        ),
        "explainers": (
            Setting("art.image", Form.TEXT, "art_image"),
            Setting("art.defaultImageVersion", Form.TEXT, "art_version"),
        ),
        "inferenceService": (
            Setting("resource.cpuLimit", Form.QUANTITY, "cpu_limit"),
            Setting("resource.memoryLimit", Form.QUANTITY, "memory_limit"),
            Setting("resource.cpuRequest", Form.QUANTITY, "cpu_request"),
            Setting("resource.memoryRequest", Form.QUANTITY, "memory_request"),
            Setting("serviceAnnotationDisallowedList", Form.TEXTS, "annotations_kept_back"),
            Setting("serviceLabelDisallowedList", Form.TEXTS, "labels_kept_back"),
        ),
        "ingress": (
            Setting("ingressDomain", Form.TEXT, "ingress_domain"),
            Setting("domainTemplate", Form.TEMPLATE, "domain_template"),
            Setting("urlScheme", Form.TEXT, "url_scheme"),
            Setting("pathTemplate", Form.TEMPLATE, "path_template"),
            Setting("additionalIngressDomains", Form.TEXTS, "additional_ingress_domains"),
            Setting("disableIngressCreation", Form.FLAG, "disable_ingress_creation"),
            *_texts(
                "disableHTTPRouteTimeout disableIstioVirtualHost enableGatewayApi "
                "enableLLMInferenceServiceTLS", Form.FLAG,
            ),
            *_texts("ingressGateway kserveIngressGateway localGateway", Form.GATEWAY),
            *_texts(
                "ingressClassName knativeLocalGatewayService localGatewayService "
                "modelBasedRoutingHeaderName"
            ),
            Setting("modelBasedRoutingMode", Form.SWITCH),
        ),
        "localModel": (
            *_texts("disableVolumeManagement enabled", Form.FLAG),
            *_texts("defaultJobImage jobNamespace"),
            *_texts("fsGroup jobTTLSecondsAfterFinished reconcilationFrequencyInSecs", Form.WHOLE),
        ),
        "logger": (
            *_texts("image defaultUrl caBundle caCertFile marshallerUrl batchInterval"),
            *_amounts(),
            Setting("batchSize", Form.WHOLE),
            Setting("storage", Form.OBJECT),
            Setting("tlsSkipVerify", Form.FLAG),
        ),
        "metricsAggregator": _texts(
            "enableMetricAggregation enablePrometheusScraping", Form.FLAG_TEXT
        ),
        "multiNode": (
            Setting("customGPUResourceTypeList", Form.TEXTS, "custom_gpu_resource_types"),
        ),
        "opentelemetryCollector": (
            *_texts("metricReceiverEndpoint metricScalerEndpoint scrapeInterval"),
            *_amounts("resource."),
        ),
        "router": (
            *_texts("image"),
            *_amounts(),
            Setting("headers.propagate", Form.TEXTS, "router_headers"),
            Setting("imagePullPolicy", Form.PULL_POLICY),
            Setting("imagePullSecrets", Form.TEXTS),
        ),
        "scheduler": _texts("expirationAnnotations", Form.TEXTS),
        "security": (
            Setting(
                "autoMountServiceAccountToken", Form.FLAG, "auto_mount_service_account_token"
            ),
        ),
        "service": _texts("serviceClusterIPNone", Form.FLAG),
        "storageInitializer": (
            Setting("image", Form.TEXT, "storage_initializer_image"),
            *_amounts(),
            *_texts("caBundleConfigMapName caBundleVolumeMountPath"),
            *_texts("cpuModelcar memoryModelcar", Form.QUANTITY),
            *_texts("enableModelcar enableOciModelSupport ociInsecureRegistry", Form.FLAG),
            Setting("ociModelMode", Form.OCI_MODE),
            Setting("uidModelcar", Form.WHOLE),
        ),
    }
)  # fmt: skip
"""Every documented setting, by the key that it stands under."""
