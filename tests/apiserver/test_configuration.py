"""The operator's configuration: a mistake in it is refused, and the one of before stays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sampan.api.scheme import REGISTRY
from sampan.apiserver.server import ApiServer
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

PATH = "/api/v1/namespaces/kserve/configmaps"
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"


def config(**keys: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config"},
        "data": {key: json.dumps(value) for key, value in keys.items()},
    }


@pytest.fixture
async def operator(client_of) -> AsyncIterator[Any]:
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, client_of.token)
    await server.start()
    yield client_of(server)
    server.stop()
    await store.close()


async def test_a_bad_setting_is_refused_and_the_last_good_configuration_goes_on(operator):
    good = config(deploy={"defaultDeploymentMode": "Knative"})
    await operator.ok("POST", PATH, good)
    bad = config(deploy={"defaultDeploymentMode": "Fast"}, agent={"cpuLimit": "plenty"})
    reply = await operator.send(
        "PATCH", f"{PATH}/inferenceservice-config", {"data": bad["data"]},
        headers={"content-type": "application/merge-patch+json"},
    )  # fmt: skip
    assert reply.code == 422
    refusal = json.loads(reply.body)["message"]
    assert 'data.deploy.defaultDeploymentMode: "Fast" is not allowed; write "Standard"' in refusal
    assert 'data.agent.cpuLimit: "plenty" is not allowed' in refusal
    kept = await operator.ok("GET", f"{PATH}/inferenceservice-config")
    assert kept["data"] == good["data"]
    made = await operator.ok("POST", SERVICES, {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": {"name": "iris"},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "/m"}}},
    })  # fmt: skip
    # A default of Knative is written into no service; Standard would be.
    assert "serving.kserve.io/deploymentMode" not in made["metadata"]["annotations"]


async def test_what_has_no_effect_is_told_to_who_applies_it(operator):
    reply = await operator.send("POST", PATH, config(agent={"image": "mine"}, agnt={}))
    assert reply.code == 201
    told = " ".join(value for name, value in reply.headers if name.lower() == "warning")
    assert "is not honoured here in image" in told.replace("\\", "")
    assert 'unknown key \\"agnt\\" has no effect; did you mean \\"agent\\"' in told
