"""What happens to a pod when it is created, case by case."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sampan.machinery.errors import Forbidden
from sampan.plan.pod_metadata import (
    AGENT,
    BATCHER,
    BATCHER_SIZE,
    LOGGER,
    LOGGER_HEADERS,
    SOURCE_URI,
    STORAGE_CONTAINER,
    STORAGE_SPEC,
    STORAGE_SPEC_KEY,
    STORAGE_SPEC_PARAM,
)
from sampan.plan.types import ModelSource
from sampan.platforms.kubernetes.pods.mutate import mutate_pod
from sampan.platforms.kubernetes.pods.settings import PodSettings, parse_pod_settings
from sampan.platforms.kubernetes.pods.storage_uris import mount_sources
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

ROLE = "eks.amazonaws.com/role-arn"


def make_pod(uri: str = "", *containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    annotations = {**({SOURCE_URI: uri} if uri else {}), **more.pop("annotations", {})}
    served = containers or ({"name": "kserve-container", "image": "example.com/server"},)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns", "annotations": annotations, "labels": {}},
        "spec": {"containers": list(served), **more},
    }


def surroundings(settings: PodSettings | None = None, **secrets: dict[str, str]) -> Surroundings:
    """Secrets by name as plain texts, all of them the default account's."""
    made = {
        name.replace("_", "-"): {
            "metadata": {"name": name.replace("_", "-")},
            "data": {k: base64.b64encode(v.encode()).decode() for k, v in keys.items()},
        }
        for name, keys in secrets.items()
    }
    account = {"metadata": {"name": "default"}, "secrets": [{"name": n} for n in made]}
    return Surroundings(
        settings or parse_pod_settings({}), secrets=made, accounts={"default": account}
    )


def configured(**keys: Any) -> PodSettings:
    return parse_pod_settings({key: json.dumps(value) for key, value in keys.items()})


def container(pod: dict[str, Any], name: str, kind: str = "containers") -> dict[str, Any]:
    return next(c for c in pod["spec"][kind] if c["name"] == name)


def initializer(pod: dict[str, Any]) -> dict[str, Any]:
    return container(pod, "storage-initializer", "initContainers")


def env_of(found: dict[str, Any]) -> dict[str, Any]:
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in found.get("env", ())}


def test_a_pod_without_a_model_says_only_how_its_metrics_are_read():
    pod = make_pod()
    found = mutate_pod(pod, surroundings())
    assert found["spec"] == pod["spec"]
    assert found["metadata"]["annotations"] == {
        "serving.kserve.io/enable-metric-aggregation": "false",
        "serving.kserve.io/enable-prometheus-scraping": "false",
    }


def test_the_given_pod_is_left_alone():
    pod = make_pod("gs://b/m")
    before = json.dumps(pod)
    mutate_pod(pod, surroundings())
    assert json.dumps(pod) == before


def test_a_transformer_beside_the_server_sees_the_model_and_others_do_not():
    names = ("kserve-container", "transformer-container", "side")
    pod = make_pod("gs://b/m", *({"name": n} for n in names))
    found = mutate_pod(pod, surroundings())
    mounted = [c["name"] for c in found["spec"]["containers"] if c.get("volumeMounts")]
    assert mounted == ["kserve-container", "transformer-container"]


def test_a_server_that_is_told_the_uri_is_told_the_folder_instead():
    told = {"name": "kserve-container", "env": [{"name": "STORAGE_URI", "value": "gs://b/m"}]}
    found = mutate_pod(make_pod("gs://b/m", told), surroundings())
    assert env_of(container(found, "kserve-container")) == {"STORAGE_URI": "/mnt/models"}


def test_a_pod_without_a_server_is_refused():
    with pytest.raises(Forbidden, match='no container named "kserve-container"'):
        mutate_pod(make_pod("gs://b/m", {"name": "other"}), surroundings())


def test_a_model_may_be_writable():
    pod = make_pod("gs://b/m", annotations={"storage.kserve.io/readonly": "false"})
    (mount,) = container(mutate_pod(pod, surroundings()), "kserve-container")["volumeMounts"]
    assert mount == {"name": "kserve-provision-location", "mountPath": "/mnt/models"}


CREDENTIALS = {
    "Hugging Face": ({"HF_TOKEN": "x"}, {"HF_TOKEN": "HF_TOKEN"}),
    "ModelScope": ({"MODELSCOPE_API_TOKEN": "x"}, {"MODELSCOPE_API_TOKEN": "MODELSCOPE_API_TOKEN"}),
    "Azure": (
        {"AZURE_CLIENT_ID": "x", "AZURE_TENANT_ID": "y"},
        {"AZURE_CLIENT_ID": "AZURE_CLIENT_ID", "AZURE_TENANT_ID": "AZURE_TENANT_ID"},
    ),
    "Azure, old names": (
        {"AZ_CLIENT_ID": "x", "AZ_TENANT_ID": "y"},
        {"AZURE_CLIENT_ID": "AZ_CLIENT_ID", "AZURE_TENANT_ID": "AZ_TENANT_ID"},
    ),
    "Azure, old names beside new ones": (
        {"AZ_CLIENT_ID": "x", "AZURE_STORAGE_ACCESS_KEY": "y"},
        {
            "AZURE_CLIENT_ID": "AZ_CLIENT_ID",
            "AZURE_STORAGE_ACCESS_KEY": "AZURE_STORAGE_ACCESS_KEY",
        },
    ),
    "Azure storage key": (
        {"AZURE_STORAGE_ACCESS_KEY": "x"},
        {"AZURE_STORAGE_ACCESS_KEY": "AZURE_STORAGE_ACCESS_KEY"},
    ),
    "headers": ({"https-host": "a.b", "headers": "{}"}, {"a.b-headers": "headers"}),
    "of no known kind": ({"password": "x"}, {}),
}


@pytest.mark.parametrize("case", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_a_secret_gives_variables_that_refer_to_it(case):
    keys, expected = case
    found = env_of(initializer(mutate_pod(make_pod("https://a.b/m"), surroundings(cred=keys))))
    referred = {n: v["secretKeyRef"]["key"] for n, v in found.items() if isinstance(v, dict)}
    assert referred == expected


FILES = {
    "Google": (
        {"gcloud-application-credentials.json": "{}"}, "user-gcp-sa", "/var/secrets/",
        {"GOOGLE_APPLICATION_CREDENTIALS": "/var/secrets/gcloud-application-credentials.json"},
    ),
    "HDFS": ({"HDFS_NAMENODE": "n"}, "hdfs-secrets", "/var/secrets/kserve-hdfscreds", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES.values(), ids=FILES.keys())
def test_a_secret_of_files_is_mounted_where_the_model_is_fetched(case):
    keys, volume, path, env = case
    pod = mutate_pod(make_pod("gs://b/m"), surroundings(cred=keys))
    assert {"name": volume, "secret": {"secretName": "cred"}} in pod["spec"]["volumes"]
    mount = {"name": volume, "mountPath": path, "readOnly": True}
    assert mount in initializer(pod)["volumeMounts"]
    assert env.items() <= env_of(initializer(pod)).items()
    assert mount not in container(pod, "kserve-container")["volumeMounts"]


S3 = {"awsAccessKeyID": "id", "awsSecretAccessKey": "secret"}
ENDPOINTS = {
    "no scheme is https": ("minio:9000", "", {"AWS_ENDPOINT_URL": "https://minio:9000"}),
    "0 is http": ("minio:9000", "0", {"AWS_ENDPOINT_URL": "http://minio:9000"}),
    "a scheme decides": (
        "http://minio:9000", "1", {"S3_USE_HTTPS": "0", "S3_ENDPOINT": "minio:9000"},
    ),
    "https too": ("https://minio", "", {"S3_USE_HTTPS": "1", "AWS_ENDPOINT_URL": "https://minio"}),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDPOINTS.values(), ids=ENDPOINTS.keys())
def test_the_endpoint_of_s3(case):
    endpoint, https, expected = case
    keys = {**S3, "S3_ENDPOINT": endpoint, **({"S3_USE_HTTPS": https} if https else {})}
    found = env_of(initializer(mutate_pod(make_pod("s3://b/m"), surroundings(cred=keys))))
    assert expected.items() <= found.items()


def test_a_role_of_an_account_has_the_settings_of_s3_and_no_secret():
    account = {"metadata": {"annotations": {ROLE: "arn", "serving.kserve.io/s3-region": "eu"}}}
    around = Surroundings(parse_pod_settings({}), accounts={"sa": account})
    pod = mutate_pod(make_pod("s3://b/m", serviceAccountName="sa"), around)
    assert env_of(initializer(pod))["AWS_DEFAULT_REGION"] == "eu"


def test_only_the_secret_that_the_service_names_counts():
    settings = configured(credentials={"storageSecretNameAnnotation": "my/secret"})
    around = surroundings(settings, one={"HF_TOKEN": "x"}, two={"MODELSCOPE_API_TOKEN": "y"})
    pod = make_pod("hf://m", annotations={"my/secret": "two"})
    found = env_of(initializer(mutate_pod(pod, around)))
    assert "MODELSCOPE_API_TOKEN" in found
    assert "HF_TOKEN" not in found


def storage_spec(key: str = "", **parameters: str) -> dict[str, str]:
    found = {STORAGE_SPEC: "true", STORAGE_SPEC_PARAM: json.dumps(parameters)}
    return {**found, STORAGE_SPEC_KEY: key} if key else found


PLACES = {
    "the entry's bucket": ("a", {}, "s3://entry/m"),
    "a parameter stands before it": ("a", {"bucket": "mine"}, "s3://mine/m"),
    "the default entry": ("", {}, "hdfs://m"),
    "the default entry of a type": ("", {"type": "s3"}, "s3://typed/m"),
}
ENTRIES = {
    "a": '{"type": "s3", "bucket": "entry"}',
    "default": '{"type": "hdfs"}',
    "default_s3": '{"type": "s3", "bucket": "typed"}',
    "broken": "{",
    "bare": "{}",
    "other": '{"type": "ftp"}',
    "bucketless": '{"type": "s3"}',
}


@pytest.mark.parametrize("case", PLACES.values(), ids=PLACES.keys())
def test_a_storage_entry_says_where_the_model_is(case):
    key, parameters, expected = case
    pod = make_pod("<scheme-placeholder>://m", annotations=storage_spec(key, **parameters))
    found = initializer(mutate_pod(pod, surroundings(storage_config=ENTRIES)))
    assert found["args"] == [expected, "/mnt/models"]


REFUSED_ENTRIES = {
    "nowhere": "specified storage key nowhere not found",
    "broken": 'entry "broken" of storage secret "storage-config" is not JSON',
    "bare": "unable to determine storage type",
    "other": "storage type must be one of",
    "bucketless": "requires a bucket",
}


@pytest.mark.parametrize("key", REFUSED_ENTRIES)
def test_a_storage_entry_that_cannot_be_used_is_refused(key):
    pod = make_pod("<scheme-placeholder>://m", annotations=storage_spec(key))
    with pytest.raises(Forbidden, match=REFUSED_ENTRIES[key]):
        mutate_pod(pod, surroundings(storage_config=ENTRIES))


def storage_container(name: str, **spec: Any) -> dict[str, Any]:
    wanted = {"supportedUriFormats": [{"prefix": f"{name}://"}], **spec.pop("spec", {})}
    made = {"container": {"name": "storage-initializer", "image": f"example.com/{name}"}, **wanted}
    return {"metadata": {"name": name}, "spec": made, **spec}


CONTAINERS = (
    storage_container("off", disabled=True),
    storage_container("job", spec={"workloadType": "localModelDownloadJob"}),
    storage_container("mine"),
    storage_container("re", spec={"supportedUriFormats": [{"regex": "^x.z://"}]}),
)


@pytest.mark.parametrize(
    ("uri", "image"),
    [
        ("mine://m", "example.com/mine"),
        ("xyz://m", "example.com/re"),
        ("off://m", "kserve/storage-initializer:latest"),
        ("job://m", "kserve/storage-initializer:latest"),
    ],
)
def test_the_first_storage_container_that_fits_fetches(uri, image):
    around = Surroundings(parse_pod_settings({}), CONTAINERS)
    assert initializer(mutate_pod(make_pod(uri), around))["image"] == image


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("nope", 'does not exist; installed are: "off", "job", "mine", "re"'),
        ("off", "is disabled"),
        ("job", 'is of workload type "localModelDownloadJob"'),
        ("mine", 'does not fetch "gs://b/m"'),
    ],
)
def test_a_storage_container_that_is_named_must_fit(named, words):
    around = Surroundings(parse_pod_settings({}), CONTAINERS)
    with pytest.raises(Forbidden, match=words):
        mutate_pod(make_pod("gs://b/m", annotations={STORAGE_CONTAINER: named}), around)


def test_a_claim_is_mounted_and_nothing_is_fetched():
    found = mutate_pod(make_pod("pvc://claim/a/b"), surroundings())
    assert "initContainers" not in found["spec"]
    assert container(found, "kserve-container")["volumeMounts"] == [
        {
            "name": "kserve-pvc-source", "mountPath": "/mnt/models", "subPath": "a/b",
            "readOnly": True,
        }
    ]  # fmt: skip


def test_a_cached_model_lies_in_the_cache_s_claim():
    annotations = {
        "internal.serving.kserve.io/localmodel-sourceuri": "gs://b/m",
        "internal.serving.kserve.io/localmodel-pvc-name": "cache-group",
    }
    found = mutate_pod(make_pod("gs://b/m/sub", annotations=annotations), surroundings())
    (volume,) = found["spec"]["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": "cache-group"}
    (mount,) = container(found, "kserve-container")["volumeMounts"]
    folder, key, below = mount["subPath"].split("/")
    assert (folder, len(key), below) == ("models", 16, "sub")


def test_a_modelcar_keeps_the_image_s_files_alive_beside_the_server():
    settings = configured(storageInitializer={"enableModelcar": True, "uidModelcar": 1010})
    found = mutate_pod(make_pod("oci://example.com/model:1"), surroundings(settings))
    assert found["spec"]["shareProcessNamespace"] is True
    for name, kind in (("modelcar", "containers"), ("modelcar-init", "initContainers")):
        assert container(found, name, kind)["image"] == "example.com/model:1"
    server = container(found, "kserve-container")
    assert env_of(server) == {"MODEL_INIT_MODE": "async"}
    assert server["securityContext"] == {"runAsUser": 1010}
    assert mutate_pod(found, surroundings(settings)) == found


@pytest.mark.parametrize(
    ("uri", "words"),
    [("oci://x/y", "OCI is not enabled"), ("oci+zip://x/y", 'unknown OCI mode "zip"')],
)
def test_an_image_that_cannot_be_used_is_refused(uri, words):
    with pytest.raises(Forbidden, match=words):
        mutate_pod(make_pod(uri), surroundings())


def test_own_authorities_are_mounted_where_models_are_fetched():
    settings = configured(storageInitializer={"caBundleConfigMapName": "mine"})
    pod = mutate_pod(make_pod("https://a/b"), surroundings(settings))
    found = initializer(pod)
    assert env_of(found)["CA_BUNDLE_CONFIGMAP_NAME"] == "global-ca-bundle"
    volume = {"name": "cabundle-cert", "configMap": {"name": "global-ca-bundle"}}
    assert volume in pod["spec"]["volumes"]


def test_the_agent_batches_and_logs_by_the_pod_s_annotations():
    annotations = {
        BATCHER: "true", BATCHER_SIZE: "8", LOGGER: "true", LOGGER_HEADERS: "a,b",
    }  # fmt: skip
    settings = configured(logger={"defaultUrl": "http://sink", "batchSize": 3})
    found = mutate_pod(make_pod(annotations=annotations), surroundings(settings))
    args = container(found, "agent")["args"]
    assert args[:3] == ["--enable-batcher", "--max-batchsize", "8"]
    assert args[3:5] == ["--log-url", "http://sink"]
    pairs = dict(zip(args[3:-2:2], args[4:-2:2], strict=True))
    assert pairs["--log-mode"] == "all"
    assert pairs["--log-batch-size"] == "3"
    assert pairs["--metadata-headers"] == "a,b"
    assert args[-2:] == ["--component-port", "8080"]


def test_the_store_of_the_log_is_the_predictor_s_and_opened_by_its_own_account():
    storage = {"path": "/logs", "parameters": {"format": "json"}, "key": "k"}
    service = {"spec": {"predictor": {"logger": {"storage": storage}}}}
    account = {"metadata": {"name": "logger-sa"}, "secrets": [{"name": "s"}]}
    secret = {"metadata": {"name": "s"}, "data": {"HF_TOKEN": "eA=="}}
    around = Surroundings(
        parse_pod_settings({}), secrets={"s": secret}, accounts={"logger-sa": account},
        service=service,
    )  # fmt: skip
    agent = container(mutate_pod(make_pod(annotations={LOGGER: "true"}), around), "agent")
    assert "--log-store-path" in agent["args"]
    assert "HF_TOKEN" in env_of(agent)


def test_beside_knative_s_proxy_requests_pass_through_the_agent():
    proxy = {"name": "queue-proxy", "env": [{"name": "USER_PORT", "value": "8080"}]}
    pod = make_pod("", {"name": "kserve-container"}, proxy, annotations={BATCHER: "true"})
    found = mutate_pod(pod, surroundings())
    assert env_of(container(found, "queue-proxy")) == {"USER_PORT": "9081"}
    assert env_of(container(found, "agent")) == {"USER_PORT": "8080"}


def test_the_models_of_a_multi_model_server_are_the_agent_s():
    found = mutate_pod(make_pod("gs://b/m", annotations={AGENT: "true"}), surroundings())
    assert "initContainers" not in found["spec"]
    assert container(found, "agent")["args"][0] == "--enable-puller"


def test_metrics_are_aggregated_by_knative_s_proxy_and_scraped_there():
    settings = configured(
        metricsAggregator={"enableMetricAggregation": "true", "enablePrometheusScraping": "true"}
    )
    pod = make_pod("", {"name": "kserve-container"}, {"name": "queue-proxy"})
    found = mutate_pod(pod, surroundings(settings))
    assert env_of(container(found, "queue-proxy"))["AGGREGATE_PROMETHEUS_METRICS_PORT"] == "9088"
    assert found["metadata"]["annotations"]["prometheus.io/port"] == "9088"
    assert mutate_pod(found, surroundings(settings)) == found


def mount_several(*sources: tuple[str, str], around: Surroundings | None = None) -> dict[str, Any]:
    given = [ModelSource(uri, path) for uri, path in sources]
    return mount_sources(make_pod(), given, around or surroundings())


def test_several_models_are_fetched_by_one_container_into_their_common_folder():
    found = mount_several(("s3://b/a", "/mnt/models/a"), ("hf://m", "/mnt/models/b"))
    args = ["s3://b/a", "/mnt/models/a", "hf://m", "/mnt/models/b"]
    assert initializer(found)["args"] == args
    (mount,) = container(found, "kserve-container")["volumeMounts"]
    assert mount == {"name": "mnt-models", "mountPath": "/mnt/models", "readOnly": True}
    assert found["spec"]["volumes"] == [{"name": "mnt-models", "emptyDir": {}}]


def test_claims_among_several_models_are_mounted_each_with_its_folder():
    found = mount_several(("pvc://c/in/side", "/mnt/a"), ("pvc://c", "/mnt/b"))
    assert "initContainers" not in found["spec"]
    mounts = container(found, "kserve-container")["volumeMounts"]
    assert [m.get("subPath") for m in mounts] == ["in/side", None]
    assert [m["name"] for m in mounts] == ["mnt-a", "mnt-b"]


def test_a_storage_container_for_one_uri_does_not_take_several():
    around = Surroundings(parse_pod_settings({}), CONTAINERS)
    assert initializer(mount_several(("mine://a", "/mnt/a"), around=around))
    with pytest.raises(Forbidden, match="takes one URI only"):
        mount_several(("mine://a", "/mnt/a"), ("mine://b", "/mnt/b"), around=around)
