"""A service that takes several models, and models for it."""

from __future__ import annotations

import json
from typing import Any

from tests.operator.conftest import IRIS
from tests.operator.virtual_cluster import VirtualCluster

from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.finalizing import SERVICES, TRAINED_MODELS
from sampan.platforms.kubernetes.modelconfig import MODELS_KEY

LIST = Key("configmaps", "ml", "modelconfig-many-0")


def make_many(limit: str = "2Gi") -> JsonObject:
    """A service without a model of its own: its server waits for TrainedModels."""
    made: JsonObject = json.loads(json.dumps(IRIS))
    made["metadata"]["name"] = "many"
    resources = {"limits": {"memory": limit}, "requests": {"memory": limit}}
    model = {"modelFormat": {"name": "sklearn"}, "protocolVersion": "v1", "resources": resources}
    made["spec"]["predictor"]["model"] = model
    return made


def trained_model(name: str, service: str = "many", memory: str = "1Gi", **more: Any) -> JsonObject:
    source = {"storageUri": f"s3://models/{name}", "framework": "sklearn", "memory": memory}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": name, "namespace": "ml", **more},
        "spec": {"inferenceService": service, "model": source},
    }


async def listed(cluster: VirtualCluster) -> list[str]:
    """The names that the agent's list has."""
    found = (await cluster.store.get(LIST))["data"][MODELS_KEY]
    return [str(entry["modelName"]) for entry in json.loads(found)]


async def told(cluster: VirtualCluster, name: str) -> dict[str, tuple[str, str]]:
    """Status and message of each condition of a model."""
    found = await cluster.store.get(Key(TRAINED_MODELS, "ml", name))
    conditions = (found.get("status") or {}).get("conditions") or ()
    return {c["type"]: (c["status"], c.get("message", "")) for c in conditions}


async def change(cluster: VirtualCluster, name: str, **spec: Any) -> None:
    """Change the spec of a model as a user does."""
    key = Key(TRAINED_MODELS, "ml", name)
    found = await cluster.store.get(key)
    await cluster.store.update(TRAINED_MODELS, {**found, "spec": {**found["spec"], **spec}})


async def change_service(cluster: VirtualCluster, **annotations: str) -> None:
    """Annotate the service as a user does."""
    found = await cluster.store.get(Key(SERVICES, "ml", "many"))
    metadata = {**found["metadata"], "annotations": annotations}
    await cluster.store.update(SERVICES, {**found, "metadata": metadata})
