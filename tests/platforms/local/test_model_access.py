"""Credentials of models on this machine: the objects that a cluster's pod webhook reads."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.storage.s3_server import ID, S3, SECRET

from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import CONFIGURATION
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore
from sampan.plan.pod_metadata import SOURCE_URI, make_storage_spec
from sampan.platforms.local.model_access import StoreAccess
from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.fetch import fetch

MODELS = "s3://models/iris"
CA = "-----BEGIN CERTIFICATE-----"


def secret(name: str, data: dict[str, str], **annotations: str) -> dict:
    encoded = {k: b64encode(v.encode()).decode() for k, v in data.items()}
    notes = {f"serving.kserve.io/{k.replace('_', '-')}": v for k, v in annotations.items()}
    metadata = {"name": name, "namespace": "team", "annotations": notes}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


def account(name: str, *secrets: str) -> dict:
    metadata = {"name": name, "namespace": "team"}
    listed = [{"name": one} for one in secrets]
    return {
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "secrets": listed
    }  # fmt: skip


def config(**changes: object) -> dict:
    data = {k: json.loads(v) for k, v in CONFIGURATION["data"].items()}
    for key, value in changes.items():
        data[key] = {**data.get(key, {}), **value}
    return {**CONFIGURATION, "data": {k: json.dumps(v) for k, v in data.items()}}


def workload(account: str = "", uri: str = MODELS, **annotations: str) -> dict:
    """A pod template, as far as it is looked at."""
    spec = {"serviceAccountName": account} if account else {}
    metadata = {"annotations": {SOURCE_URI: uri, **annotations}}
    return {"metadata": metadata, "spec": spec}


def with_entry(uri: str, **storage: object) -> dict:
    return workload(uri=uri, **make_storage_spec(storage))


KINDS = {
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "ConfigMap": "configmaps",
    "ClusterStorageContainer": "clusterstoragecontainers.serving.kserve.io",
}


async def ask(wanted: dict, *objects: dict, uri: str = "") -> tuple[str, FetchOptions]:
    store = MemoryStore(REGISTRY, SystemClock())
    if not any(
        o["kind"] == "ConfigMap" and o["metadata"]["namespace"] == "kserve" for o in objects
    ):
        objects = (*objects, CONFIGURATION)
    for each in objects:
        await store.create(KINDS[each["kind"]], each)
    uri = uri or wanted["metadata"]["annotations"][SOURCE_URI]
    options = FetchOptions(Path("/cache"), Path("/volumes"))
    return await StoreAccess(store).prepare(wanted, "team", uri, options)


async def refused(wanted: dict, *objects: dict) -> StorageError:
    with pytest.raises(StorageError) as caught:
        await ask(wanted, *objects)
    return caught.value


KEYS = {"AWS_ACCESS_KEY_ID": ID, "AWS_SECRET_ACCESS_KEY": SECRET}


async def test_keys_and_annotations_of_the_account_s_secret_are_variables():
    minio = secret("minio", KEYS, s3_endpoint="minio:9000", s3_usehttps="0", s3_region="eu")
    uri, options = await ask(workload("reader"), account("reader", "minio"), minio)
    assert uri == MODELS
    assert options.environment == {
        **KEYS,
        "AWS_ENDPOINT_URL": "http://minio:9000",
        "S3_ENDPOINT": "minio:9000",
        "S3_USE_HTTPS": "0",
        "AWS_DEFAULT_REGION": "eu",
    }
    assert SECRET not in repr(options)


async def test_without_a_name_it_is_the_account_default():
    _, options = await ask(workload(), account("default", "minio"), secret("minio", KEYS))
    assert options.environment["AWS_ACCESS_KEY_ID"] == ID


async def test_an_annotation_names_the_one_secret():
    wanted = workload(**{"serving.kserve.io/storageSecretName": "mine"})
    _, options = await ask(wanted, account("default", "minio"), secret("mine", {"HF_TOKEN": "hf"}))
    assert options.environment == {"HF_TOKEN": "hf"}


async def test_without_any_object_there_are_no_credentials():
    _, options = await ask(workload())
    assert options.environment == {}


async def test_a_secret_that_is_missing_is_named_and_asked_for_again():
    error = await refused(workload("reader"), account("reader", "gone"))
    assert (error.reason, error.retryable) == ("SecretNotFound", True)
    assert '"gone"' in error.message


async def test_half_of_a_key_pair_names_the_key():
    half = secret("minio", {"AWS_SECRET_ACCESS_KEY": SECRET})
    error = await refused(workload(), account("default", "minio"), half)
    assert error.reason == "InvalidStorageSettings"
    assert '"AWS_ACCESS_KEY_ID"' in error.message
    assert SECRET not in error.message


async def test_google_s_file_is_at_the_path_that_its_variable_names():
    key = secret("gcs", {"gcloud-application-credentials.json": '{"type": "service_account"}'})
    _, options = await ask(workload(uri="gs://b/m"), account("default", "gcs"), key)
    path = options.environment["GOOGLE_APPLICATION_CREDENTIALS"]
    assert options.files[path] == '{"type": "service_account"}'


async def test_headers_of_a_host_are_those_of_its_secret():
    headers = '{"Authorization": "Bearer x"}'
    web = secret("web", {"https-host": "models.example.com", "headers": headers})
    _, options = await ask(
        workload(uri="https://models.example.com/m"), account("default", "web"), web
    )
    assert options.host_headers == {"models.example.com": {"Authorization": "Bearer x"}}


ENTRY = {"type": "s3", "bucket": "models", "access_key_id": ID, "secret_access_key": SECRET}
STORED = secret("storage-config", {"minio": json.dumps(ENTRY)})


async def test_a_storage_entry_gives_the_bucket_and_the_keys():
    wanted = with_entry("<scheme-placeholder>://iris", key="minio")
    uri, options = await ask(wanted, STORED)
    assert uri == MODELS
    assert json.loads(options.environment["STORAGE_CONFIG"]) == ENTRY


async def test_parameters_of_the_service_stand_before_the_entry():
    wanted = with_entry("<scheme-placeholder>://iris", key="minio", parameters={"bucket": "mine"})
    uri, options = await ask(wanted, STORED)
    assert uri == "s3://mine/iris"
    assert json.loads(options.environment["STORAGE_OVERRIDE_CONFIG"]) == {"bucket": "mine"}


@pytest.mark.parametrize(
    ("storage", "objects", "reason", "words"),
    [
        pytest.param({"key": "none"}, [STORED], "InvalidStorageSettings", "none", id="no such key"),
        pytest.param({"key": "minio"}, [], "SecretNotFound", "storage-config", id="no Secret"),
        pytest.param(
            {"key": "minio"},
            [secret("storage-config", {"minio": "{"})],
            "InvalidStorageSettings",
            "not JSON",
            id="an entry that is no JSON",
        ),
    ],
)
async def test_a_storage_entry_that_cannot_be_read_is_named(storage, objects, reason, words):
    error = await refused(with_entry("<scheme-placeholder>://iris", **storage), *objects)
    assert error.reason == reason
    assert words in error.message


async def test_variables_of_the_storage_container_that_fits_count():
    container = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterStorageContainer",
        "metadata": {"name": "own"},
        "spec": {
            "container": {
                "name": "storage-initializer",
                "image": "x",
                "env": [{"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"}],
            },
            "supportedUriFormats": [{"prefix": "s3://"}],
        },
    }
    _, options = await ask(workload(), container)
    assert options.environment == {"AWS_ENDPOINT_URL": "http://minio:9000"}
    _, options = await ask(workload(uri="gs://b/m"), container)
    assert options.environment == {}


async def test_the_operator_s_own_endpoint_may_be_private_and_nobody_else_s():
    mine = config(credentials={"s3": {"s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY",
                                      "s3AccessKeyIDName": "AWS_ACCESS_KEY_ID",
                                      "s3Endpoint": "minio.lan:9000"}})  # fmt: skip
    objects = (account("default", "minio"), secret("minio", KEYS, s3_endpoint="other.lan:9000"))
    _, options = await ask(workload(), *objects, mine)
    assert options.allowed_private_hosts == ("minio.lan",)
    _, options = await ask(workload(), *objects)
    assert options.allowed_private_hosts == ()


async def test_certificates_of_s3_come_from_their_config_map():
    bundle = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ca", "namespace": "team"},
        "data": {"cabundle.crt": CA},
    }
    minio = secret("minio", KEYS, s3_cabundle_configmap="ca")
    _, options = await ask(workload(), account("default", "minio"), minio, bundle)
    assert options.files[options.environment["AWS_CA_BUNDLE"]] == CA
    error = await refused(workload(), account("default", "minio"), minio)
    assert '"ca"' in error.message


async def test_nothing_is_read_for_what_lies_on_this_machine():
    _, options = await ask(workload("reader", uri="file:///m"), account("reader", "gone"))
    assert options.environment == {}


@pytest.fixture
async def s3() -> AsyncIterator[S3]:
    served = S3({"iris/model.joblib": b"weights"})
    await served.start()
    yield served
    served.stop()


async def test_what_was_read_fetches_from_a_server_that_checks_it(s3, tmp_path):
    minio = secret("minio", KEYS, s3_endpoint=f"http://127.0.0.1:{s3.port}")
    uri, options = await ask(workload(), account("default", "minio"), minio)
    here = FetchOptions(
        tmp_path,
        tmp_path,
        ("127.0.0.1",),
        environment=options.environment,
        reserve_bytes=0,
    )
    fetched = await fetch(uri, here)
    assert (fetched.path / "model.joblib").read_bytes() == b"weights"


@pytest.mark.parametrize("path", ["/dev/zero", "/etc/hostname", "relative.pem"])
async def test_no_secret_names_a_file_of_this_machine(path):
    minio = secret("minio", KEYS, s3_cabundle=path)
    error = await refused(workload(), account("default", "minio"), minio)
    assert (error.reason, f'"{path}"' in error.message) == ("InvalidStorageSettings", True)
    assert "s3-cabundle-configmap" in error.message


async def test_no_storage_entry_names_a_file_of_this_machine():
    entry = {"type": "s3", "bucket": "models", "ca_bundle": "/dev/zero"}
    stored = secret("storage-config", {"mine": json.dumps(entry)})
    error = await refused(with_entry("s3://models/iris", key="mine"), stored)
    assert (error.reason, '"/dev/zero"' in error.message) == ("InvalidStorageSettings", True)


async def test_the_operator_may_name_a_file_of_this_machine():
    mine = config(credentials={"s3": {"s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY",
                                      "s3AccessKeyIDName": "AWS_ACCESS_KEY_ID",
                                      "s3CABundle": "/etc/ssl/minio.pem"}})  # fmt: skip
    objects = (account("default", "minio"), secret("minio", KEYS))
    _, options = await ask(workload(), *objects, mine)
    assert options.environment["AWS_CA_BUNDLE"] == "/etc/ssl/minio.pem"
