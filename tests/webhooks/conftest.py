"""A cluster's objects in a store, the webhooks before it on a real port, and who asks them."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sampan.api.scheme import REGISTRY
from sampan.app.serve_socket import Address, bind
from sampan.machinery.authority import make_pair
from sampan.machinery.clock import SystemClock
from sampan.machinery.patch import json_patch
from sampan.machinery.registry import JsonObject, Registry
from sampan.machinery.store_memory import MemoryStore
from sampan.webhooks.configurations import DEFINITIONS, MUTATING, VALIDATING
from sampan.webhooks.front import Front, make_judgements
from sampan.webhooks.serving import WebhookServer

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
CLUSTER = Registry((*REGISTRY, MUTATING, VALIDATING, DEFINITIONS))


async def silent(_obj: JsonObject) -> list[str]:
    return []


@dataclass
class ApiServerOfACluster:
    """Asks the webhooks as an API server does, and does what they answer."""

    client: httpx.AsyncClient

    async def review(self, path: str, operation: str = "CREATE", **parts: Any) -> JsonObject:
        request = {"uid": "u-1", "operation": operation, "namespace": "golden", **parts}
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        answer = await self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        review = answer.json()
        assert (review["apiVersion"], review["kind"]) == (body["apiVersion"], body["kind"])
        assert review["response"]["uid"] == "u-1"
        return dict(review["response"])

    async def mutate(self, path: str, obj: JsonObject) -> JsonObject:
        response = await self.review(path, object=obj)
        assert response["allowed"], response
        if "patch" not in response:
            return obj
        assert response["patchType"] == "JSONPatch"
        return dict(json_patch(obj, json.loads(base64.b64decode(response["patch"]))))


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    found = MemoryStore(CLUSTER, SystemClock())
    yield found
    await found.close()


@pytest.fixture
async def asked(store: MemoryStore) -> AsyncIterator[ApiServerOfACluster]:
    """The webhooks over TLS on loopback, and an API server that trusts just them."""
    pair = make_pair("test authority", ("127.0.0.1",), SystemClock().now(), 1)
    server = WebhookServer(Front(make_judgements(REGISTRY, store, silent), REGISTRY), pair)
    await server.serve(bind(Address(), "127.0.0.1", 0))
    trust = ssl.create_default_context(cadata=pair.authority.decode())
    url = f"https://127.0.0.1:{server.address[1]}"
    async with httpx.AsyncClient(base_url=url, verify=trust, trust_env=False, timeout=60) as client:
        yield ApiServerOfACluster(client)
    await server.drain(5)


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Where the recordings of a real KServe are; tests skip where there are none."""
    if not GOLDEN.is_dir():
        pytest.skip("no recordings of KServe beside this repository (../shared/golden)")
    return GOLDEN


def make_config_map(data: dict[str, str]) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config", "namespace": "kserve"},
        "data": data,
    }
