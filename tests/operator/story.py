"""Lives of services as a real KServe lived them, told again to the operator that runs.

What happened outside of KServe in a recording (pods that become ready or fail, objects deleted by
hand, a configuration that changes) is played; what KServe did is not.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.operator.conftest import config_map
from tests.operator.played_cluster import Players
from tests.operator.virtual_cluster import VirtualCluster

from sampan.machinery.errors import AlreadyExists, NotFound
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, PODS

NAMESPACE = "golden"
CONFIG_KEY = Key("configmaps", "kserve", "inferenceservice-config")
MINIMUM = "Deployment does not have minimum availability."
ENOUGH = "Deployment has minimum availability."


@dataclass
class StoryPlayers(Players):
    """Deployments roll, and pods wait for a story to let them become ready.

    `let` holds the templates, as texts, whose pods are, by the Deployment's uid; by its name `told`
    has what a story wrote of a Deployment, and `failed` of its newest pod's containers.
    """

    let: dict[str, set[str]] = field(default_factory=dict)
    told: dict[str, list[JsonObject]] = field(default_factory=dict)
    failed: dict[str, JsonObject] = field(default_factory=dict)

    async def release(self, names: Any) -> None:
        """Let the pods of these Deployments, or of all, become ready."""
        for obj in (await self.store.list(DEPLOYMENTS.id)).items:
            name = obj["metadata"]["name"]
            if names is True or name in names:
                self.let.setdefault(obj["metadata"]["uid"], set()).add(_template(obj))
                self.failed.pop(name, None)
                self.told.pop(name, None)
                await self.play_deployment(obj)

    async def fail(self, workload: str, told: JsonObject, message: str) -> None:
        """Let the newest pod of a workload end badly; `message` is a Knative revision's."""
        del message
        self.failed[workload] = told
        await self.replay()

    async def sleep(self) -> None:
        """Nothing: a Deployment does not scale itself to zero."""

    async def replay(self) -> None:
        for obj in (await self.store.list(DEPLOYMENTS.id)).items:
            await self.play_deployment(obj)

    async def play_deployment(self, obj: JsonObject) -> None:
        name, wanted = obj["metadata"]["name"], obj["spec"].get("replicas", 1)
        templates = self.let.get(obj["metadata"]["uid"], set())
        let = _template(obj) in templates
        ready, rolling = let and name not in self.failed, bool(templates) and not let
        counts = {"replicas": wanted, "updatedReplicas": wanted}
        if ready:
            counts |= {"availableReplicas": wanted, "readyReplicas": wanted}
            self.let[obj["metadata"]["uid"]] = {_template(obj)}  # the old pods are gone
        elif rolling:
            counts = {"replicas": wanted + 1, "updatedReplicas": 1, "unavailableReplicas": 1}
            counts |= {"availableReplicas": wanted, "readyReplicas": wanted}
        conditions = self.told.get(name) or _conditions(name, ready=ready, rolling=rolling)
        generation = obj["metadata"]["generation"]
        status = {"observedGeneration": generation, "conditions": conditions, **counts}
        await self._write(DEPLOYMENTS, obj, {k: v for k, v in status.items() if v != 0})
        await self._play_pods(obj, ready=ready)

    async def _play_pods(self, deployment: JsonObject, *, ready: bool) -> None:
        """A pod of each template that runs; the newest is the one that fails."""
        name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        newest = _pod_name(name, deployment)
        count = deployment["spec"].get("replicas", 1) if ready else 1
        for number in range(min(count, deployment["spec"].get("replicas", 1))):
            await self._make_pod(deployment, f"{newest}-{number}")
        status: JsonObject = {"phase": "Pending"}
        if ready:
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        status = {**status, **self.failed.get(name, {})}
        for pod in (await self.store.list(PODS.id, namespace)).items:
            if not pod["metadata"]["name"].startswith(f"{name}-pod-"):
                continue
            if pod["metadata"]["name"].startswith(newest):
                await self._write(PODS, pod, status)
            elif ready:
                with suppress(NotFound):
                    await self.store.delete(Key(PODS.id, namespace, pod["metadata"]["name"]))

    async def _make_pod(self, deployment: JsonObject, name: str) -> None:
        metadata, template = deployment["metadata"], deployment["spec"]["template"]
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "controller": True}
        owner |= {"name": metadata["name"], "uid": metadata["uid"]}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": template["metadata"].get("labels") or {},
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
        }
        with suppress(AlreadyExists):
            await self.store.create(PODS.id, pod)


def _template(deployment: JsonObject) -> str:
    return json.dumps(deployment["spec"]["template"], sort_keys=True)


def _pod_name(name: str, deployment: JsonObject) -> str:
    template = deployment["metadata"]["uid"] + _template(deployment)
    return f"{name}-pod-{zlib.crc32(template.encode()):08x}"


def _conditions(name: str, *, ready: bool, rolling: bool) -> list[JsonObject]:
    done = f'ReplicaSet "{name}-HASH" has successfully progressed.'
    going = f'ReplicaSet "{name}-HASH" is progressing.'
    available = _condition("Available", "True", "MinimumReplicasAvailable", ENOUGH)
    if not (ready or rolling):
        available = _condition("Available", "False", "MinimumReplicasUnavailable", MINIMUM)
    progressing = _condition("Progressing", "True", "ReplicaSetUpdated", going)
    if ready:
        progressing = _condition("Progressing", "True", "NewReplicaSetAvailable", done)
    return [available, progressing]


def _condition(kind: str, status: str, reason: str, message: str) -> JsonObject:
    return {"type": kind, "status": status, "reason": reason, "message": message}


class Teller:
    """Tells one recorded life to a cluster, step by step."""

    def __init__(self, cluster: VirtualCluster, path: Path, data: dict[str, str]) -> None:
        recording = json.loads(path.read_text())
        self.cluster = cluster
        self.name = path.stem
        self.steps: list[dict[str, Any]] = recording["steps"]
        self._fixtures = recording.get("fixtures") or []
        self._config, self._data = recording.get("config") or {}, data

    @property
    def players(self) -> StoryPlayers:
        players = self.cluster.players
        assert isinstance(players, StoryPlayers)
        return players

    async def begin(self, *installed: JsonObject) -> None:
        """Put there what the life begins with."""
        changed = {
            k: json.dumps({**json.loads(self._data.get(k, "{}")), **v})
            for k, v in self._config.items()
        }
        await self.cluster.create(config_map({**self._data, **changed}), *installed)
        await self.cluster.create(*self._fixtures)

    async def tell(self, step: dict[str, Any]) -> None:
        """Do what a step says, and wait until everything has come to rest."""
        do = step["do"]
        if do["verb"] == "event":
            await self._event(do)
        elif do["verb"] == "delete":
            key = Key(_kind(do["kind"]).id, NAMESPACE, do["name"])
            await self.cluster.store.delete(key)
        elif "defaulted" in step:
            await self._put(step["defaulted"])
        await self.rest()
        if do.get("then"):
            for _ in range(3):  # what one makes ready lets the next be made
                await self.players.release(True)
                await self.rest()

    async def rest(self) -> None:
        """Wait longer than anything is waited for."""
        await asyncio.sleep(20)

    async def _put(self, wanted: JsonObject) -> None:
        kind = _kind(wanted["kind"])
        wanted = json.loads(json.dumps(wanted))
        wanted.pop("status", None)
        try:
            found = await self.cluster.get(kind, NAMESPACE, wanted["metadata"]["name"])
        except NotFound:
            await self.cluster.create(wanted)
            return
        kept = {k: found["metadata"][k] for k in ("uid", "finalizers") if k in found["metadata"]}
        metadata = {**wanted["metadata"], **kept}
        status = {"status": found["status"]} if "status" in found else {}
        await self.cluster.store.update(kind.id, {**wanted, "metadata": metadata, **status})

    async def _event(self, do: dict[str, Any]) -> None:
        text = str(do.get("text") or "")
        if do.get("ready"):
            await self.players.release(do["ready"])
        elif do.get("workload"):
            kinds = ("containerStatuses", "initContainerStatuses")
            told = {k: _statuses(do[k]) for k in kinds if do.get(k)}
            await self.players.fail(do["workload"], told, str(do.get("revisionMessage") or ""))
        elif text.startswith("scaled to zero"):
            await self.players.sleep()
        elif text.endswith("is deleted by hand"):
            kind, name, *_ = text.split()
            for found in [r for r in RESOURCES if r.kind == kind]:  # there are two Services
                with suppress(NotFound):
                    await self.cluster.store.delete(Key(found.id, NAMESPACE, name))
        elif "exceeds its progress deadline" in text:
            patched = do["patch"]["status"]["conditions"]
            self.players.told["m-predictor"] = patched
            await self.players.replay()
        elif text.startswith("the resource is reconciled") and self.name.startswith("30"):
            await self.players.release(True)  # what the configuration put back has rolled
        elif text.startswith("the configuration is put back"):
            found = await self.cluster.store.get(CONFIG_KEY)
            found["data"] = self._data
            found["metadata"].pop("resourceVersion")
            await self.cluster.store.update("configmaps", found)


def _statuses(found: Any) -> list[JsonObject]:
    """A recording has them by container's name, a pod as a list."""
    if isinstance(found, dict):
        return [{"name": name, **status} for name, status in found.items()]
    return list(found)


def _kind(kind: str) -> Resource:
    """The kind of that name which services and stories are made of; of two Services the usual."""
    found = [r for r in RESOURCES if r.kind == kind]
    return next((r for r in found if r.group in ("", "serving.kserve.io")), found[0])
