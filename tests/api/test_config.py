"""How `inferenceservice-config` is read."""

import json
from dataclasses import fields
from typing import Any

import pytest

from sampan.api.config import ANNOTATIONS_KEPT_BACK, Config, Resources, parse_config
from sampan.api.config_keys import KEYS, Form


def parsed(**keys: Any) -> Any:
    return parse_config({k: v if isinstance(v, str) else json.dumps(v) for k, v in keys.items()})


def test_no_configuration_means_the_defaults() -> None:
    assert parse_config(None).config == parse_config({}).config == Config()


def test_every_setting_that_is_read_arrives() -> None:
    found = parsed(
        deploy={"defaultDeploymentMode": "Serverless"},
        ingress={
            "ingressDomain": "models.test",
            "domainTemplate": "{{ .Name }}.{{ .IngressDomain }}",
            "urlScheme": "https",
            "pathTemplate": "/{{ .Name }}",
            "additionalIngressDomains": ["a.test"],
            "disableIngressCreation": True,
        },
        inferenceService={
            "resource": {"cpuLimit": "2", "memoryLimit": "", "cpuRequest": "1"},
            "serviceAnnotationDisallowedList": ["mine"],
            "serviceLabelDisallowedList": ["label"],
        },
        multiNode={"customGPUResourceTypeList": ["vendor.com/gpu"]},
        security={"autoMountServiceAccountToken": True},
        explainers={"art": {"image": "art", "defaultImageVersion": "v1"}},
        storageInitializer={"image": "init:1"},
    )
    assert (found.errors, found.warnings) == ((), ())
    config = found.config
    assert config == Config(
        default_deployment_mode="Knative",
        ingress_domain="models.test",
        domain_template="{{ .Name }}.{{ .IngressDomain }}",
        url_scheme="https",
        path_template="/{{ .Name }}",
        additional_ingress_domains=("a.test",),
        disable_ingress_creation=True,
        resources=Resources("2", "", "1", ""),
        annotations_kept_back=(*ANNOTATIONS_KEPT_BACK, "mine"),
        labels_kept_back=("networking.knative.dev/visibility", "label"),
        custom_gpu_resource_types=("vendor.com/gpu",),
        auto_mount_service_account_token=True,
        art_image="art",
        art_version="v1",
        storage_initializer_image="init:1",
    )


def test_tokens_are_withheld_when_the_key_security_is_absent() -> None:
    found = parsed(deploy={"defaultDeploymentMode": "Standard"}).config
    assert found.auto_mount_service_account_token is False


def test_the_example_is_no_configuration() -> None:
    assert parse_config({"_example": "# not JSON"}).errors == ()


@pytest.mark.parametrize(
    ("keys", "path", "text"),
    [
        ({"deploy": "{"}, "data.deploy", "not JSON"),
        ({"deploy": []}, "data.deploy", "[] is no JSON object"),
        (
            {"deploy": {"defaultDeploymentMode": "Serverles"}},
            "data.deploy.defaultDeploymentMode",
            '"Serverles" is not allowed; write "Standard", "Knative" or "ModelMesh"',
        ),
        (
            {"ingress": {"ingressDomain": 5}},
            "data.ingress.ingressDomain",
            "5 is not allowed; write a string",
        ),
        (
            {"ingress": {"additionalIngressDomains": ["a", 1]}},
            "data.ingress.additionalIngressDomains",
            '["a", 1] is not allowed; write a list of strings',
        ),
        (
            {"agent": {"cpuLimit": "plenty"}},
            "data.agent.cpuLimit",
            '"plenty" is not allowed; write a quantity in quotes, such as "100m" or "1Gi"',
        ),
        (
            {"deploy": {"deploymentRolloutStrategy": {"defaultRollout": {"maxSurge": "all"}}}},
            "data.deploy.deploymentRolloutStrategy.defaultRollout.maxSurge",
            '"all" is not allowed; write a share or number in quotes, such as "25%" or "1"',
        ),
        (
            {"metricsAggregator": {"enableMetricAggregation": True}},
            "data.metricsAggregator.enableMetricAggregation",
            'true is not allowed; write "true" or "false", in quotes',
        ),
        (
            {"autoscaler": {"scaleUpStabilizationWindowSeconds": 5}},
            "data.autoscaler.scaleUpStabilizationWindowSeconds",
            "5 is not allowed; write a whole number in quotes",
        ),
        (
            {"ingress": {"ingressGateway": "no-namespace"}},
            "data.ingress.ingressGateway",
            '"no-namespace" is not allowed; write namespace/name of a gateway',
        ),
        (
            {"ingress": {"domainTemplate": "{{ .Name"}},
            "data.ingress.domainTemplate",
            '"{{ .Name" is not allowed; write a template such as {{ .Name }}',
        ),
        (
            {"ingress": {"enableGatewayApi": True}},
            "data.ingress.kserveIngressGateway",
            'enableGatewayApi true needs it; write "namespace/name" of the gateway',
        ),
        (
            {"ingress": {"pathTemplate": "/{{ .Name }}"}},
            "data.ingress.ingressDomain",
            "pathTemplate needs it; write the domain",
        ),
        (
            {"storageInitializer": {"ociModelMode": "ship"}},
            "data.storageInitializer.ociModelMode",
            '"ship" is not allowed; write "modelcar", "native" or "fetch"',
        ),
        (
            {"localModel": {"fsGroup": -1}},
            "data.localModel.fsGroup",
            "-1 is not allowed; write a whole number",
        ),
    ],
)
def test_a_mistake_is_named_with_key_and_mend(keys: Any, path: str, text: str) -> None:
    (error,) = parsed(**keys).errors
    assert error.path == path
    assert error.message.startswith(text)


def test_a_mistake_leaves_the_default() -> None:
    assert parsed(ingress={"ingressDomain": 5}).config.ingress_domain == "example.com"


@pytest.mark.parametrize(
    ("keys", "warning"),
    [
        (
            {"agent": {"image": "a", "cpuLimit": "1"}},
            '"agent" is not honoured here in cpuLimit, image',
        ),
        ({"ingres": {}}, 'unknown key "ingres" has no effect; did you mean "ingress"'),
        (
            {"ingress": {"urlSchema": "https"}},
            'unknown setting "ingress.urlSchema" has no effect; did you mean "urlScheme"',
        ),
    ],
)
def test_what_has_no_effect_is_said(keys: Any, warning: str) -> None:
    found = parsed(**keys)
    assert found.errors == ()
    assert found.warnings == (f"inferenceservice-config: {warning}",)


def test_the_shipped_configuration_has_no_mistake(recordings: Any, setup: str) -> None:
    found = parse_config(recordings.configuration(setup))
    assert found.errors == ()
    assert not [warning for warning in found.warnings if "unknown" in warning]


WRONG = {Form.TEXT: 5, Form.OBJECT: "x", Form.TEXTS: "x", Form.FLAG: "true", Form.WHOLE: "1"}
"""By what a setting holds: a value that it does not; 1.5 is wrong for all others."""


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_of_a_key_is_checked(key: str) -> None:
    for setting in KEYS[key]:
        value: Any = WRONG.get(setting.form, 1.5)
        for step in reversed(setting.path.split(".")):
            value = {step: value}
        errors = {error.path: error.message for error in parsed(**{key: value}).errors}
        assert setting.form.word in errors[f"data.{key}.{setting.path}"]


def test_every_field_of_the_configuration_has_its_setting() -> None:
    named = {setting.field for settings in KEYS.values() for setting in settings} - {""}
    amounts = {"cpu_limit", "memory_limit", "cpu_request", "memory_request"}
    assert named - amounts | {"resources"} == {field.name for field in fields(Config)}
