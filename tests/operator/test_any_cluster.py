"""The life of a service and a graph, told so that it holds on any cluster.

`make e2e KUBECONFIG=...` runs this file against a cluster that has KServe's CRDs (`sampan install`)
and no other controller of them; without one it runs against the played cluster. Nothing is read or
written but through the API server, everything is in a namespace of its own, and what a real cluster
needs time for is waited for.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.operator.conftest import CONFIG, RUNTIME, config_map
from tests.operator.played_cluster import played_cluster

from sampan.app.cluster_effects import cluster_warnings
from sampan.machinery.clock import SystemClock
from sampan.machinery.errors import AlreadyExists, Conflict, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES, SELECTORS, Cluster
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.connection import connect
from sampan.operator.operator import Operator, OperatorOptions

KUBECONFIG = os.environ.get("SAMPAN_E2E_KUBECONFIG", "")
MINUTES = 10 if KUBECONFIG else 1
"""To wait for what a cluster does: images are pulled there."""
STOP = "serving.kserve.io/stop"
pytestmark = pytest.mark.slow


@dataclass
class Somewhere:
    """A cluster of which only its API is known, and a namespace in it."""

    store: ClusterStore
    namespace: str

    async def get(self, plural: str, name: str) -> JsonObject:
        return await self.store.get(Key(plural, self.namespace, name))

    async def change(self, plural: str, name: str, change: Callable[[JsonObject], None]) -> None:
        """Change an object, again where somebody else was faster."""
        for _ in range(20):
            found = await self.get(plural, name)
            change(found)
            with suppress(Conflict):
                await self.store.update(plural, found)
                return
            await asyncio.sleep(0.2)
        raise AssertionError(f"{plural} {name} is always changed by others first")

    async def until(self, what: str, holds: Callable[[], Awaitable[Any]]) -> Any:
        end = asyncio.get_running_loop().time() + 60 * MINUTES
        while True:
            with suppress(NotFound):
                found = await holds()
                if found:
                    return found
            assert asyncio.get_running_loop().time() < end, f"never came to be: {what}"
            await asyncio.sleep(0.1)

    async def ready(self, plural: str, name: str) -> JsonObject:
        async def is_ready() -> JsonObject | None:
            found = await self.get(plural, name)
            told = {c["type"]: c for c in (found.get("status") or {}).get("conditions") or ()}
            return found if told.get("Ready", {}).get("status") == "True" else None

        made: JsonObject = await self.until(f"{plural} {name} Ready", is_ready)
        return made

    async def gone(self, plural: str, name: str) -> None:
        async def is_gone() -> bool:
            try:
                await self.get(plural, name)
            except NotFound:
                return True
            return False

        await self.until(f"{plural} {name} gone", is_gone)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Somewhere]:
    """A namespace of a cluster in which the operator acts."""
    if KUBECONFIG:
        async with acting(Path(KUBECONFIG)) as found:
            yield found
        return
    async with played_cluster(tmp_path) as cluster:
        await cluster.create(config_map(CONFIG), RUNTIME)
        async with acting(cluster.kubeconfig) as found:
            yield found


class acting:  # noqa: N801 - used as a function
    """The operator over a kubeconfig, and a new namespace, until the end of the block."""

    def __init__(self, kubeconfig: Path) -> None:
        self._path = kubeconfig

    async def __aenter__(self) -> Somewhere:
        self._store = ClusterStore(connect(self._path), RESOURCES, SELECTORS)
        cluster = Cluster(ClusterStore(connect(self._path), RESOURCES, SELECTORS))
        options = OperatorOptions(f"e2e-{secrets.token_hex(4)}")
        self._operator = Operator(cluster, SystemClock(), options, cluster_warnings)
        self._task = asyncio.create_task(self._operator.run())
        self._namespace = f"sampan-e2e-{secrets.token_hex(4)}"
        await self._create("namespaces", "v1", "Namespace", self._namespace)
        with suppress(AlreadyExists):
            await self._store.create("clusterservingruntimes.serving.kserve.io", RUNTIME)
        return Somewhere(self._store, self._namespace)

    async def __aexit__(self, *_: object) -> None:
        with suppress(NotFound):
            await self._store.delete(Key("namespaces", "", self._namespace))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._operator.cluster.store.close()
        await self._store.close()

    async def _create(self, plural: str, version: str, kind: str, name: str) -> None:
        obj = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
        await self._store.create(plural, obj)


SERVICES = "inferenceservices.serving.kserve.io"
GRAPHS = "inferencegraphs.serving.kserve.io"
RUNTIMES = "servingruntimes.serving.kserve.io"
DEPLOYMENTS = "deployments.apps"
AUTOSCALERS = "horizontalpodautoscalers.autoscaling"
MODEL = "gs://kfserving-examples/models/sklearn/1.0/model"


def service(namespace: str, name: str = "iris") -> JsonObject:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": MODEL}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {"predictor": {"model": model}},
    }


async def test_a_service_is_created_changed_stopped_resumed_and_deleted(place: Somewhere):
    await place.store.create(SERVICES, service(place.namespace))
    made = await place.ready(SERVICES, "iris")
    assert made["status"]["url"]

    def second(obj: JsonObject) -> None:
        env = [{"name": "ROUND", "value": "two"}]
        obj["spec"]["predictor"]["model"]["env"] = env

    await place.change(SERVICES, "iris", second)

    async def rolled() -> bool:
        found = await place.get(DEPLOYMENTS, "iris-predictor")
        return "ROUND" in str(found["spec"]["template"])

    await place.until("the new template", rolled)
    await place.ready(SERVICES, "iris")
    await place.change(
        SERVICES, "iris", lambda o: o["metadata"]["annotations"].update({STOP: "true"})
    )
    await place.gone(DEPLOYMENTS, "iris-predictor")
    await place.change(SERVICES, "iris", lambda o: o["metadata"]["annotations"].pop(STOP))
    await place.ready(SERVICES, "iris")
    await place.store.delete(Key(SERVICES, place.namespace, "iris"))
    await place.gone(SERVICES, "iris")
    await place.gone(DEPLOYMENTS, "iris-predictor")


async def test_a_deployment_that_is_deleted_by_hand_comes_back(place: Somewhere):
    await place.store.create(SERVICES, service(place.namespace))
    await place.ready(SERVICES, "iris")
    first = await place.get(DEPLOYMENTS, "iris-predictor")
    await place.store.delete(Key(DEPLOYMENTS, place.namespace, "iris-predictor"))

    async def another() -> bool:
        found = await place.get(DEPLOYMENTS, "iris-predictor")
        return bool(found["metadata"]["uid"] != first["metadata"]["uid"])

    await place.until("another Deployment", another)
    await place.ready(SERVICES, "iris")


async def test_a_canary_is_made_and_promoted(place: Somewhere):
    await place.store.create(SERVICES, service(place.namespace))
    await place.ready(SERVICES, "iris")
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": f"{MODEL}-2"}
    canary = {"predictor": {"name": "v2", "model": model}, "trafficPercent": 20}
    await place.change(SERVICES, "iris", lambda o: o["spec"].update(canary=[canary]))

    async def whole() -> bool:
        found = await place.get(SERVICES, "iris")
        return any(c["ready"] for c in found["status"].get("canaryStatuses") or ())

    await place.until("a canary that is ready", whole)
    before = await place.get(DEPLOYMENTS, "iris-v2-predictor")

    def promote(obj: JsonObject) -> None:
        del obj["spec"]["canary"]
        obj["spec"]["predictor"] = {"name": "v2", "model": model}

    await place.change(SERVICES, "iris", promote)
    await place.gone(DEPLOYMENTS, "iris-predictor")
    after = await place.get(DEPLOYMENTS, "iris-v2-predictor")
    assert after["metadata"]["uid"] == before["metadata"]["uid"], "the canary itself goes on"


async def test_a_service_is_scaled_by_its_bounds(place: Somewhere):
    await place.store.create(SERVICES, service(place.namespace))
    await place.ready(SERVICES, "iris")
    bounds = {"minReplicas": 2, "maxReplicas": 3}
    await place.change(SERVICES, "iris", lambda o: o["spec"]["predictor"].update(bounds))

    async def bounded() -> bool:
        spec = (await place.get(AUTOSCALERS, "iris-predictor"))["spec"]
        return {k: spec[k] for k in bounds} == bounds

    await place.until("an autoscaler of these bounds", bounded)
    await place.ready(SERVICES, "iris")


async def test_a_change_of_a_runtime_reaches_who_runs_on_it(place: Somewhere):
    metadata = {"name": "own", "namespace": place.namespace}
    await place.store.create(RUNTIMES, {**RUNTIME, "kind": "ServingRuntime", "metadata": metadata})
    made = service(place.namespace)
    made["spec"]["predictor"]["model"]["runtime"] = "own"
    await place.store.create(SERVICES, made)
    ready = await place.ready(SERVICES, "iris")
    assert ready["status"]["servingRuntimeName"] == "own"
    env = [{"name": "OF", "value": "the-runtime"}]
    await place.change(RUNTIMES, "own", lambda o: o["spec"]["containers"][0].update(env=env))

    async def reached() -> bool:
        found = await place.get(DEPLOYMENTS, "iris-predictor")
        return "the-runtime" in str(found["spec"]["template"])

    await place.until("the runtime's variable", reached)
    await place.ready(SERVICES, "iris")


async def test_a_graph_over_a_service_becomes_ready(place: Somewhere):
    await place.store.create(SERVICES, service(place.namespace))
    root = {"routerType": "Sequence", "steps": [{"serviceName": "iris"}]}
    graph = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "chain", "namespace": place.namespace},
        "spec": {"nodes": {"root": root}},
    }
    await place.store.create(GRAPHS, graph)
    made = await place.ready(GRAPHS, "chain")
    assert made["status"]["url"]
