"""Models in images that a registry gives to whom it knows: pull Secrets, on this machine too."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from tests.storage.registry_server import RegistryServer, make_layer

from sampan.api.scheme import REGISTRY
from sampan.app.bootstrap import CONFIGURATION
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore
from sampan.platforms.local.model_access import StoreAccess
from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.fetch import fetch

Json = dict[str, object]
IMAGE = "oci://r.io/team/iris:v1"


def make_secret(name: str, host: str = "r.io", key: str = ".dockerconfigjson") -> Json:
    login = {"auths": {host: {"auth": b64encode(b"me:secret").decode()}}}
    data = {key: b64encode(json.dumps(login).encode()).decode()}
    metadata = {"name": name, "namespace": "team"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def make_account(*pull: str) -> Json:
    return {
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "team"},
        "imagePullSecrets": [{"name": one} for one in pull],
    }  # fmt: skip


async def ask(uri: str, *objects: Json, own: tuple[str, ...] = ()) -> FetchOptions:
    store = MemoryStore(REGISTRY, SystemClock())
    kinds = {"Secret": "secrets", "ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps"}
    for each in (*objects, CONFIGURATION):
        await store.create(kinds[str(each["kind"])], each)
    spec = {"imagePullSecrets": [{"name": one} for one in own]}
    options = FetchOptions(Path("/cache"), Path("/volumes"))
    return (await StoreAccess(store).prepare({"spec": spec}, "team", uri, options))[1]


def host_of(options: FetchOptions) -> list[str]:
    return [host for text in options.files.values() for host in json.loads(text)["auths"]]


async def test_a_services_own_pull_secret_wins_over_its_accounts():
    objects = (make_secret("mine", "a.io"), make_secret("theirs", "b.io"), make_account("theirs"))
    assert host_of(await ask(IMAGE, *objects, own=("mine", "theirs"))) == ["a.io"]
    assert host_of(await ask(IMAGE, *objects)) == ["b.io"]


async def test_only_images_are_asked_for_with_it():
    objects = (make_secret("theirs"), make_account("theirs"))
    assert host_of(await ask("hf://owner/model", *objects)) == []
    assert host_of(await ask("oci+fetch://r.io/m", *objects)) == ["r.io"]


@pytest.mark.parametrize(
    ("objects", "reason"),
    [((), "SecretNotFound"), ((make_secret("mine", key="auth"),), "InvalidStorageSettings")],
)
async def test_a_pull_secret_that_is_none_is_named(objects, reason):
    with pytest.raises(StorageError, match='"mine"') as caught:
        await ask(IMAGE, *objects, own=("mine",))
    assert (caught.value.reason, caught.value.retryable) == (reason, True)


async def test_with_it_a_registry_gives_the_image(tmp_path):
    registry = RegistryServer(user="me:secret")
    await registry.start()
    registry.put(make_layer(("models/m", b"m")))
    uri = f"oci://{registry.host}/team/iris:v1"
    try:
        options = await ask(uri, make_secret("mine", registry.host), own=("mine",))
        local = ("127.0.0.1", "localhost")
        changed = replace(options, cache=tmp_path, allowed_private_hosts=local, reserve_bytes=0)
        fetched = await fetch(uri, changed)
        assert (fetched.path / "m").read_bytes() == b"m"
    finally:
        await registry.stop()
