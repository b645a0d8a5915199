"""The operator with no more than the rights of an installation: enough, and nothing is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.operator.played_cluster import (
    PlayedCluster,
    is_ready,
    until,
    write_kubeconfig,
)
from tests.operator.several_models import make_many, trained_model
from tests.operator.test_standard import SERVICES

from sampan.apiserver.messages import Reply, Request
from sampan.installation.options import OPERATOR, Options
from sampan.installation.rights import make_roles
from sampan.machinery.errors import AlreadyExists
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES

GRAPHS = RESOURCES.get("inferencegraphs.serving.kserve.io")
MODELS = RESOURCES.get("trainedmodels.serving.kserve.io")
TOKEN_PATH = "/api/v1/namespaces/kserve/serviceaccounts/{}/token"
PLURALS = {
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
}


async def install(cluster: PlayedCluster) -> str:
    """Give the operator its account and rights; return the account's token."""
    await cluster.ensure_namespace("kserve")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR}}
    account["metadata"]["namespace"] = "kserve"  # type: ignore[index]  # an object all the same
    with contextlib.suppress(AlreadyExists):
        await cluster.store.create("serviceaccounts", account)
    for role in make_roles(Options()):
        resource = RESOURCES.for_object(role)
        assert resource is not None
        await cluster.send("POST", resource, role)
    return await token(cluster)


async def token(cluster: PlayedCluster, account: str = OPERATOR) -> str:
    from tests.operator.played_cluster import TOKEN

    headers = {
        "host": "127.0.0.1",
        "authorization": f"Bearer {TOKEN}",
        "content-type": "application/json",
    }
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    reply = await cluster.door.handle(
        Request("POST", TOKEN_PATH.format(account), {}, headers, json.dumps(body).encode())
    )
    assert reply.code == 201, reply.body
    return str(json.loads(reply.body)["status"]["token"])


@pytest.fixture
async def refusals(cluster: PlayedCluster) -> list[str]:
    """What the API server refused the operator for want of a right."""
    found: list[str] = []

    async def look(request: Request) -> Reply:
        reply = await cluster.door.server.handle(request)
        if reply.code in (401, 403):
            found.append(f"{request.method} {request.path}: {reply.body!r}")
        return reply

    cluster.door.fault = look
    return found


async def become_ready(cluster: PlayedCluster, resource: Any, obj: JsonObject) -> JsonObject:
    metadata = obj["metadata"]

    async def ready() -> JsonObject | None:
        found = await cluster.get(resource, metadata["namespace"], metadata["name"])
        return found if is_ready(found) else None

    found: JsonObject = await until(ready)
    return found


async def test_its_rights_are_enough_for_services_and_graphs(
    cluster: PlayedCluster, make_service: Any, refusals: list[str], tmp_path: Path
) -> None:
    account_token = await install(cluster)
    server = cluster.kubeconfig.read_text()
    url = json.loads(server)["clusters"][0]["cluster"]["server"]
    cluster.kubeconfig = write_kubeconfig(tmp_path / "account", url, account_token)
    await cluster.start_operator()
    knative = make_service("on-knative")
    knative["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Knative"}
    for service in (make_service(), knative):
        await cluster.create(service)
        await become_ready(cluster, SERVICES, service)
    graph = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "chain", "namespace": "ml"},
        "spec": {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceName": "iris"}]}}},
    }
    await cluster.create(graph)
    await become_ready(cluster, GRAPHS, graph)
    await cluster.create(make_many(), trained_model("extra"))
    await become_ready(cluster, MODELS, trained_model("extra"))
    await cluster.store.delete(Key(MODELS.id, "ml", "extra"))
    await cluster.send("DELETE", SERVICES, knative)
    await until(lambda: gone(cluster, "on-knative"))
    await until(lambda: no_models(cluster))
    assert refusals == []


async def no_models(cluster: PlayedCluster) -> bool:
    return not (await cluster.store.list(MODELS.id, "ml")).items


async def gone(cluster: PlayedCluster, name: str) -> bool:
    found = (await cluster.store.list(SERVICES.id, "ml")).items
    return name not in [o["metadata"]["name"] for o in found]


async def test_without_them_it_gets_nowhere(
    cluster: PlayedCluster, refusals: list[str], tmp_path: Path
) -> None:
    await cluster.ensure_namespace("kserve")
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": OPERATOR, "namespace": "kserve"},
    }
    with contextlib.suppress(AlreadyExists):
        await cluster.store.create("serviceaccounts", account)
    url = json.loads(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    cluster.kubeconfig = write_kubeconfig(tmp_path / "account", url, await token(cluster))
    await cluster.start_operator()

    async def refused() -> bool:
        return bool(refusals)

    await until(refused)
