"""What surrounds a pod changes how its model is fetched: meshes, authorities, keys, accounts."""

from __future__ import annotations

import json
import re

import pytest
from tests.platforms.kubernetes.test_pods import (
    ROLE,
    S3,
    configured,
    container,
    env_of,
    initializer,
    make_pod,
    surroundings,
)

from sampan.machinery.errors import Forbidden
from sampan.plan.fields.cluster_silences import cluster_silences
from sampan.plan.pod_metadata import LOGGER, LOGGER_ANNOTATIONS
from sampan.platforms.kubernetes.pods.mutate import mutate_pod
from sampan.platforms.kubernetes.pods.settings import parse_pod_settings
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

SIDECAR = {
    "sidecar.istio.io/interceptionMode": "REDIRECT",
    "sidecar.istio.io/status": json.dumps({"containers": ["istio-proxy"]}),
}
UID = "serving.kserve.io/storage-initializer-uid"
BESIDE_ISTIO = {
    "Istio's own user where its sidecar names none": (SIDECAR, {}, 1337),
    "the sidecar's user": (SIDECAR, {"securityContext": {"runAsUser": 4711}}, 4711),
    "the annotated user before the sidecar's": ({**SIDECAR, UID: "5"}, {}, 5),
    "the annotated user without Istio": ({UID: "5"}, {}, 5),
    "the image's own where the annotation is no number": ({**SIDECAR, UID: "me"}, {}, None),
    "the image's own where it is a digit of another kind": ({UID: "\u00b2"}, {}, None),
    "the image's own where no user has so high a number": ({UID: "9" * 5000}, {}, None),
    "the image's own where Istio names what is no list": (
        {**SIDECAR, "sidecar.istio.io/status": '{"containers": {"a": 1}}'}, {}, None,
    ),
    "the image's own where Istio does not redirect": (
        {**SIDECAR, "sidecar.istio.io/interceptionMode": "TPROXY"}, {}, None,
    ),
    "the image's own without a sidecar": (
        {"sidecar.istio.io/interceptionMode": "REDIRECT"}, {}, None,
    ),
    "the image's own where Istio names another container": (
        {**SIDECAR, "sidecar.istio.io/status": '{"containers": ["other"]}'}, {}, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BESIDE_ISTIO.values(), ids=BESIDE_ISTIO.keys())
def test_a_model_is_fetched_under(case):
    annotations, proxy, user = case
    beside = {"name": "istio-proxy", **proxy}
    pod = make_pod("gs://b/m", {"name": "kserve-container"}, beside, annotations=annotations)
    found = initializer(mutate_pod(pod, surroundings()))
    assert found.get("securityContext", {}).get("runAsUser") == user


@pytest.mark.parametrize(
    ("user", "told"), [("me", True), ("-1", True), ("\u00b2", True), ("1337", False)]
)
def test_a_user_that_is_no_number_is_told_to_who_applies_it(user, told):
    service = {"metadata": {"annotations": {UID: user}}, "spec": {"predictor": {}}}
    found = dict(cluster_silences(service, "Standard", gateway_api=True))
    assert bool(found) is told
    assert all(f'"{user}" is no user id' in sentence for sentence in found.values())


@pytest.mark.parametrize(("mode", "told"), [("ModelMesh", True), ("Standard", False)])
def test_a_transformer_of_a_mesh_is_said_not_to_run(mode, told):
    service = {"metadata": {}, "spec": {"predictor": {}, "transformer": {}}}
    found = dict(cluster_silences(service, mode, gateway_api=True))
    assert ("spec.transformer" in found) is told


def test_istio_s_own_init_container_makes_the_user_unneeded():
    init = [{"name": "istio-init"}]
    beside = ({"name": "kserve-container"}, {"name": "istio-proxy"})
    pod = make_pod("gs://b/m", *beside, annotations=SIDECAR, initContainers=init)
    assert "securityContext" not in initializer(mutate_pod(pod, surroundings()))


@pytest.mark.parametrize("text", ["[", "[1]", '{"containers": 5}'])
def test_what_istio_says_of_itself_must_be_readable(text):
    broken = {**SIDECAR, "sidecar.istio.io/status": text}
    with pytest.raises(Forbidden, match=rf"sidecar.istio.io/status is \"{re.escape(text)}\""):
        mutate_pod(make_pod("gs://b/m", annotations=broken), surroundings())


def test_certificates_of_s3_lie_where_its_client_is_told_their_file():
    keys = {**S3, "AWS_CA_BUNDLE_CONFIGMAP": "theirs", "AWS_CA_BUNDLE": "/etc/s3/ca.crt"}
    pod = mutate_pod(make_pod("s3://b/m"), surroundings(cred=keys))
    mount = {"name": "cabundle-cert", "mountPath": "/etc/s3", "readOnly": True}
    assert mount in initializer(pod)["volumeMounts"]
    assert env_of(initializer(pod))["CA_BUNDLE_VOLUME_MOUNT_POINT"] == "/etc/s3"


@pytest.mark.parametrize(("home", "expected"), [("ns", "mine"), ("elsewhere", "global-ca-bundle")])
def test_in_the_operator_s_namespace_its_own_config_map_is_mounted(home, expected):
    data = {"storageInitializer": json.dumps({"caBundleConfigMapName": "mine"})}
    pod = mutate_pod(make_pod("https://a/b"), surroundings(parse_pod_settings(data, home)))
    assert env_of(initializer(pod))["CA_BUNDLE_CONFIGMAP_NAME"] == expected


def test_an_encrypted_model_s_key_is_told():
    annotations = {
        "internal.serving.kserve.io/confidential-enabled": "true",
        "internal.serving.kserve.io/confidential-resource-id": "kbs:///a/b/c",
    }
    found = env_of(initializer(mutate_pod(make_pod("gs://b/m", annotations=annotations),
                                          surroundings())))  # fmt: skip
    assert found["CONFIDENTIAL_ENABLED"] == "true"
    assert found["CONFIDENTIAL_RESOURCE_ID"] == "kbs:///a/b/c"


def account(name: str, secret: str, **annotations: str):
    metadata = {"name": name, "annotations": annotations}
    return {"metadata": metadata, "secrets": [{"name": secret}]}


def secret(name: str, **data: str):
    return {"metadata": {"name": name}, "stringData": data}


def test_a_secret_of_an_account_stands_before_the_settings_of_its_role():
    role = {ROLE: "arn", "serving.kserve.io/s3-region": "eu", "serving.kserve.io/s3-verifyssl": "0"}
    around = Surroundings(
        parse_pod_settings({}),
        secrets={"s": secret("s", **S3, AWS_DEFAULT_REGION="us")},
        accounts={"default": account("default", "s", **role)},
    )
    env = initializer(mutate_pod(make_pod("s3://b/m"), around))["env"]
    assert [e["value"] for e in env if e["name"] == "AWS_DEFAULT_REGION"] == ["us"]
    assert env_of({"env": env})["S3_VERIFY_SSL"] == "0"


def test_the_account_of_the_log_s_store_stands_before_the_pod_s_own():
    around = Surroundings(
        parse_pod_settings({"logger": json.dumps({"storage": {"path": "/logs"}})}),
        secrets={"own": secret("own", HF_TOKEN="x"), "log": secret("log", HF_TOKEN="y")},
        accounts={
            "default": account("default", "own"), "logger-sa": account("logger-sa", "log"),
        },
    )  # fmt: skip
    agent = container(mutate_pod(make_pod(annotations={LOGGER: "true"}), around), "agent")
    assert env_of(agent)["HF_TOKEN"]["secretKeyRef"]["name"] == "log"


def test_certificates_by_which_a_log_s_sink_is_known_are_mounted_into_the_agent():
    settings = configured(logger={"defaultUrl": "https://sink", "caBundle": "mine"})
    pod = mutate_pod(make_pod(annotations={LOGGER: "true"}), surroundings(settings))
    source = {"name": "mine", "optional": True}
    assert {"name": "agent-ca-bundle", "configMap": source} in pod["spec"]["volumes"]
    mount = {"name": "agent-ca-bundle", "mountPath": "/etc/tls/logger", "readOnly": True}
    assert mount in container(pod, "agent")["volumeMounts"]


def test_annotations_that_are_logged_are_an_argument_also_where_the_pod_has_none_of_them():
    annotations = {LOGGER: "true", LOGGER_ANNOTATIONS: "a,b", "b": "2"}
    for given, expected in ((annotations, "b=2"), ({**annotations, LOGGER_ANNOTATIONS: "x"}, "")):
        args = container(mutate_pod(make_pod(annotations=given), surroundings()), "agent")["args"]
        assert args[args.index("--metadata-annotations") + 1] == expected
