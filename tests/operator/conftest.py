"""Fixtures of the operator's tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.operator.played_cluster import PlayedCluster, played_cluster

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"

IRIS: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "iris", "namespace": "ml"},
    "spec": {
        "predictor": {
            "model": {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://models/iris"}
        }
    },
}

RUNTIME: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ClusterServingRuntime",
    "metadata": {"name": "kserve-sklearnserver"},
    "spec": {
        "supportedModelFormats": [
            {"name": "sklearn", "version": "1", "autoSelect": True, "priority": 1}
        ],
        "protocolVersions": ["v1", "v2"],
        "containers": [
            {
                "name": "kserve-container",
                "image": "kserve/sklearnserver:latest",
                "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models"],
                "resources": {"requests": {"cpu": "1000m", "memory": "2Gi"}},
            }
        ],
    },
}

CONFIG: dict[str, str] = {
    "deploy": '{"defaultDeploymentMode": "Standard"}',
    "ingress": json.dumps(
        {
            "enableGatewayApi": True,
            "kserveIngressGateway": "kserve/kserve-ingress-gateway",
            "ingressGateway": "knative-serving/knative-ingress-gateway",
            "localGateway": "knative-serving/knative-local-gateway",
            "localGatewayService": "knative-local-gateway.istio-system.svc.cluster.local",
            "ingressDomain": "example.com",
        }
    ),
    "security": '{"autoMountServiceAccountToken": true}',
}


def config_map(data: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": "inferenceservice-config", "namespace": "kserve"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[PlayedCluster]:
    """A cluster with one runtime and a configuration, in which everything becomes ready at once."""
    async with played_cluster(tmp_path) as played:
        await played.create(config_map(CONFIG), RUNTIME)
        yield played


@pytest.fixture
def make_service() -> Callable[..., dict[str, Any]]:
    """A function from a name to an InferenceService."""

    def make(name: str = "iris", **spec: Any) -> dict[str, Any]:
        made = json.loads(json.dumps(IRIS))
        made["metadata"]["name"] = name
        made["spec"]["predictor"] |= spec
        return made

    return make


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Where the recordings of a real KServe are; tests skip where there are none."""
    if not GOLDEN.is_dir():
        pytest.skip("no recordings of KServe beside this repository (../shared/golden)")
    return GOLDEN
