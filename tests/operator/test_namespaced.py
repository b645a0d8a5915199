"""An operator of some namespaces: with rights on these alone, and no webhook before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map
from tests.operator.played_cluster import (
    PlayedCluster,
    conditions_of,
    is_ready,
    played_cluster,
    until,
    write_kubeconfig,
)
from tests.operator.several_models import make_many, trained_model
from tests.operator.test_rights import token
from tests.operator.test_standard import SERVICES
from tests.operator.test_takeover import PATIENT

from sampan.apiserver.messages import Reply, Request
from sampan.app.cluster_effects import cluster_warnings
from sampan.installation.options import OPERATOR, Options
from sampan.installation.rights import make_roles
from sampan.machinery.clock import SystemClock
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES, SELECTORS, Cluster
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.connection import connect
from sampan.operator.operator import Operator, OperatorOptions
from sampan.operator.own_admission import judge, refuse_mode

DEPLOYMENTS = RESOURCES.get("deployments.apps")
GRAPHS = RESOURCES.get("inferencegraphs.serving.kserve.io")
MODELS = RESOURCES.get("trainedmodels.serving.kserve.io")
WATCHED = ("team-a", "team-b")


def in_namespace(obj: dict[str, Any], namespace: str, **metadata: Any) -> dict[str, Any]:
    made = json.loads(json.dumps(obj))
    made["metadata"] |= {"namespace": namespace, **metadata}
    return made


async def prepare(cluster: PlayedCluster, tmp_path: Path) -> list[str]:
    """Give an account the rights of a namespaced installation; return what it is refused."""
    config = config_map(CONFIG)
    await cluster.create(in_namespace(config, "team-a"), RUNTIME)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR}}
    await cluster.ensure_namespace("kserve")
    await cluster.store.create("serviceaccounts", in_namespace(account, "kserve"))
    for place in WATCHED:
        await cluster.ensure_namespace(place)
        runtime = {**RUNTIME, "kind": "ServingRuntime"}
        await cluster.create(in_namespace(runtime, place, name="own"))
        await cluster.store.create("serviceaccounts", in_namespace(account, place, name="default"))
    for role in make_roles(Options(namespace="team-a", watched=WATCHED)):
        assert role["kind"] in {"Role", "RoleBinding"}
        for subject in role.get("subjects", ()):
            subject["namespace"] = "kserve"  # where this account of the test is
        resource = RESOURCES.for_object(role)
        assert resource is not None
        await cluster.send("POST", resource, role)
    url = json.loads(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    cluster.kubeconfig = write_kubeconfig(tmp_path / "account", url, await token(cluster))
    refused: list[str] = []

    async def look(request: Request) -> Reply:
        reply = await cluster.door.server.handle(request)
        if reply.code in (401, 403):
            refused.append(f"{request.method} {request.path}")
        return reply

    cluster.door.fault = look
    return refused


async def become_ready(cluster: PlayedCluster, namespace: str, name: str) -> dict[str, Any]:
    async def ready() -> dict[str, Any] | None:
        found = await cluster.get(SERVICES, namespace, name)
        return found if is_ready(found) else None

    found: dict[str, Any] = await until(ready)
    return found


async def test_its_rights_are_enough_and_it_looks_after_its_namespaces_alone(tmp_path: Path):
    import asyncio

    async with played_cluster(tmp_path) as cluster:
        refused = await prepare(cluster, tmp_path)
        await cluster.create(in_namespace(IRIS, "elsewhere"))
        store = ClusterStore(connect(cluster.kubeconfig), RESOURCES, SELECTORS)
        asked = OperatorOptions("one", "team-a", PATIENT, watched=WATCHED)
        operator = Operator(Cluster(store, "team-a"), SystemClock(), asked, cluster_warnings)
        running = asyncio.create_task(operator.run())
        try:
            # As no webhook saw them: nothing is defaulted.
            for place in WATCHED:
                await cluster.store.create(SERVICES.id, in_namespace(IRIS, place))
            for place in WATCHED:
                service = await become_ready(cluster, place, "iris")
                assert service["status"]["url"]
            deployment = await cluster.get(DEPLOYMENTS, "team-b", "iris-predictor")
            pod = deployment["spec"]["template"]["spec"]
            [initializer] = pod["initContainers"]
            assert initializer["name"] == "storage-initializer"
            assert initializer["args"] == ["gs://models/iris", "/mnt/models"]
            await cluster.store.create(SERVICES.id, wrong())
            await until(lambda: told(cluster))
            await graphs_are_looked_after(cluster)
            await models_are_looked_after(cluster)
            assert not await cluster.children("elsewhere")
            # The played API server judges what is written, as webhooks elsewhere.
            assert [path for path in refused if not path.endswith("/astray")] == []
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await store.close()


async def graphs_are_looked_after(cluster: PlayedCluster) -> None:
    """One over a service becomes ready, one that goes in circles says so."""
    await cluster.store.create(GRAPHS.id, graph("one", serviceName="iris"))
    await cluster.store.create(GRAPHS.id, graph("round", nodeName="root"))

    async def ready() -> bool:
        return is_ready(await cluster.get(GRAPHS, "team-a", "one"))

    async def refused() -> bool:
        found = conditions_of(await cluster.get(GRAPHS, "team-a", "round"))
        return "root" in found.get("Ready", {}).get("message", "")

    await until(ready)
    await until(refused)


async def models_are_looked_after(cluster: PlayedCluster) -> None:
    """One is listed for its agent, one that a webhook would have refused says why it is not."""
    await cluster.store.create(SERVICES.id, in_namespace(make_many(), "team-a"))
    wrong_place = in_namespace(trained_model("astray"), "team-a")
    wrong_place["spec"]["model"]["storageUri"] = "ftp://models/astray"
    await cluster.store.create(MODELS.id, wrong_place)
    await cluster.store.create(MODELS.id, in_namespace(trained_model("extra"), "team-a"))

    async def settled() -> bool:
        refused = conditions_of(await cluster.get(MODELS, "team-a", "astray")).get("Ready", {})
        ready = is_ready(await cluster.get(MODELS, "team-a", "extra"))
        return ready and "ftp://models/astray" in refused.get("message", "")

    await until(settled)
    listed = await cluster.store.get(Key("configmaps", "team-a", "modelconfig-many-0"))
    assert "extra" in listed["data"]["models.json"]
    assert "astray" not in listed["data"]["models.json"]


def graph(name: str, **step: str) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": name, "namespace": "team-a"},
        "spec": {"nodes": {"root": {"routerType": "Sequence", "steps": [step]}}},
    }


def wrong() -> dict[str, Any]:
    service = in_namespace(IRIS, "team-a", name="knative")
    service["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Knative"}
    return service


async def told(cluster: PlayedCluster) -> bool:
    found = await cluster.get(SERVICES, "team-a", "knative")
    texts = [c.get("message", "") for c in conditions_of(found).values()]
    return any("needs the pod webhook" in text for text in texts)


def test_what_admission_would_refuse_is_not_planned():
    service = in_namespace(IRIS, "team-a")
    service["spec"]["predictor"]["minReplicas"] = -1
    same, refusal = judge(service, CONFIG)
    assert same is service
    assert "minReplicas" in refusal.replace("MinReplicas", "minReplicas")
    admitted, nothing = judge(IRIS, CONFIG)
    assert nothing == ""
    assert admitted != IRIS, "it has defaults now"


def test_only_standard_mode_runs_without_webhooks():
    assert refuse_mode("Standard") == ""
    assert 'deploymentMode: "Standard"' in refuse_mode("Knative")
