"""Samples of the real world applied to the served kinds: the verdicts are upstream's.

The recordings are of KServe's own admission behind a real API server.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.api.scheme import REGISTRY
from sampan.apiserver.server import ApiServer
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

SHARED = Path(__file__).parents[3] / "shared"
KINDS = ("InferenceService", "ServingRuntime", "ClusterServingRuntime")
ALONE = "clusterservingruntime-custom-kserve-huggingfaceserver"
"""Refused upstream because of a runtime that was installed beside it; here it stands alone."""
PANIC = 500
"""Upstream's defaulter panics without a predictor; a missing field is a 422 here."""


def samples() -> list[Any]:
    if not SHARED.is_dir():
        return [pytest.param(None, marks=pytest.mark.skip("the recorded samples are not here"))]
    found = []
    for path in sorted((SHARED / "samples").glob("*.yaml")):
        obj = yaml.safe_load(path.read_text())
        if obj.get("kind") in KINDS and not path.name.startswith(ALONE):
            found.append(pytest.param(path, id=path.stem))
    return found


@pytest.fixture
async def real_client(client_of) -> AsyncIterator[Any]:
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, client_of.token)
    await server.start()
    yield client_of(server)
    await store.close()


def golden(path: Path) -> dict[str, Any]:
    recorded = SHARED / "golden" / "standard-ingress" / f"{path.stem}.json"
    return json.loads(recorded.read_text())["admission"]


def load(path: Path) -> dict[str, Any]:
    obj = yaml.safe_load(path.read_text())
    obj["metadata"].pop("namespace", None)
    return obj


def collection(obj: dict[str, Any]) -> str:
    plural = f"{obj['kind'].lower()}s"
    group = f"/apis/{obj['apiVersion']}"
    cluster = obj["kind"].startswith("Cluster")
    return f"{group}/{plural}" if cluster else f"{group}/namespaces/default/{plural}"


@pytest.mark.parametrize("path", samples())
async def test_a_sample_gets_upstreams_verdict(real_client, path: Path):
    obj = load(path)
    recorded = golden(path)
    reply = await real_client.send("POST", collection(obj), obj)
    answer = json.loads(reply.body)
    if recorded["code"] == PANIC:
        assert reply.code == 422
        return
    assert reply.code == recorded["code"], answer
    if recorded["code"] in (403, 422):
        assert answer["message"].startswith(recorded["message"])
    warned = [text for name, text in reply.headers if name == "Warning"]
    for text in recorded["warnings"]:
        assert any(json.dumps(text)[1:-1] in w for w in warned), warned


@pytest.mark.parametrize("path", samples())
async def test_strict_validation_refuses_what_upstream_refuses(real_client, path: Path):
    obj = load(path)
    strict = golden(path).get("strict")
    query = {"fieldValidation": "Strict", "dryRun": "All"}
    answer = await real_client.json("POST", collection(obj), obj, query=query)
    if strict is None:
        assert "strict decoding error" not in answer.get("message", "")
    else:
        for text in strict["message"].split(": ", 1)[1].split(", "):
            assert text.removeprefix("strict decoding error: ") in answer["message"]
