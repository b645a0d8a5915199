"""Services whose models come from a hub and from a registry, as a person has them."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.storage.hub_server import HubServer
from tests.storage.registry_server import RegistryServer, make_layer

pytestmark = pytest.mark.slow

FLOWER = {"instances": [[6.8, 2.8, 4.8, 1.4]]}
SERVICE = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: {name}}}
spec: {{predictor: {{model: {{modelFormat: {{name: sklearn}}, storageUri: "{uri}"}}}}}}
"""
SECRETS = """
apiVersion: v1
kind: Secret
metadata: {{name: pull, namespace: default}}
type: kubernetes.io/dockerconfigjson
data: {{.dockerconfigjson: {login}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: hub, namespace: default}}
stringData: {{HF_TOKEN: hf_ours}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: default, namespace: default}}
secrets: [{{name: hub}}]
imagePullSecrets: [{{name: pull}}]
"""


@pytest.fixture(scope="module")
def servers(iris: Path) -> Iterator[tuple[HubServer, RegistryServer]]:
    """A hub with gated models and a registry that wants a login, in a loop of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    model = (iris / "model.joblib").read_bytes()
    hub, registry = HubServer(gated=True, token="hf_ours"), RegistryServer(user="me:secret")
    hub.commit({"model.joblib": model, "README.md": b"# Iris"})
    registry.put(make_layer(("etc/x", b"x")), make_layer(("models/model.joblib", model)))
    for server in (hub, registry):
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
    yield hub, registry
    for server in (hub, registry):
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def operator(servers: tuple[HubServer, RegistryServer]) -> dict[str, str]:
    return {
        "HF_ENDPOINT": servers[0].root,
        "SAMPAN_ALLOW_PRIVATE_SOURCES": "127.0.0.1,localhost",
        "SAMPAN_DOWNLOAD_ATTEMPTS": "2",
    }


def test_models_of_a_hub_and_of_a_registry_are_served(
    sampan: Any, servers: tuple[HubServer, RegistryServer]
) -> None:
    hub, registry = servers
    image = f"oci://{registry.host}/team/iris:v1"
    sampan.apply(SERVICE.format(name="gated", uri="hf://owner/model"))
    told = sampan.wait_for("gated", lambda t: t.get("reason") == "GatedModel")
    assert f"{hub.root}/owner/model" in told["message"]

    login = {"auths": {registry.host: {"auth": b64encode(b"me:secret").decode()}}}
    sampan.apply(SECRETS.format(login=b64encode(json.dumps(login).encode()).decode()))
    sampan.apply(SERVICE.format(name="hub", uri="hf://owner/model"))
    sampan.apply(SERVICE.format(name="image", uri=image))
    for name in ("hub", "image"):
        sampan.wait_ready(name)
        assert sampan.predict(name, FLOWER) == (200, {"predictions": [1]})

    hub.transferred()
    sampan.apply(SERVICE.format(name="again", uri="hf://owner/model"))
    sampan.wait_ready("again")
    assert hub.transferred() == 0
    listed = json.loads(sampan.cli("cache", "list", "-o", "json"))
    used = {(one["model"].partition("@")[0], user) for one in listed for user in one["usedBy"]}
    for who, model in (
        ("hub", "hf://owner/model"),
        ("again", "hf://owner/model"),
        ("image", image),
    ):
        assert (model, f"default/{who}") in used
    refused = sampan.run("cache", "remove", image)
    assert (refused.returncode, "default/image" in refused.stderr) == (1, True)
