"""Knative at the edge of a story: a revision for each template, which is let become ready or fails.

Statuses are those that Knative's controllers write (Knative Serving, runtime contract and status of
Service, Configuration and Route); traffic to "the latest" goes to the latest that is ready.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.operator.story import StoryPlayers

from sampan.machinery.errors import AlreadyExists, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.platforms.kubernetes.kinds import KNATIVE_SERVICES, PODS

DOMAIN = "example.com"
REVISION = "serving.knative.dev/revision"


@dataclass
class Revision:
    """One template of a Knative Service. `told`: what a story wrote of its pod's containers."""

    name: str
    template: str
    ready: bool = False
    failure: str = ""
    told: JsonObject = field(default_factory=dict)
    asleep: bool = False


@dataclass
class KnativeStoryPlayers(StoryPlayers):
    """Knative Services beside Deployments; `revisions` by the Service's uid."""

    revisions: dict[str, list[Revision]] = field(default_factory=dict)

    async def release(self, names: Any) -> None:
        for obj in (await self.store.list(KNATIVE_SERVICES.id)).items:
            if names is True or obj["metadata"]["name"] in names:
                latest = self._latest(obj)
                latest.ready, latest.failure, latest.told, latest.asleep = True, "", {}, False
                await self.play_knative(obj)
        await super().release(names)

    async def fail(self, workload: str, told: JsonObject, message: str) -> None:
        """Let the pod of the newest revision end badly, and the revision with `message`."""
        for obj in (await self.store.list(KNATIVE_SERVICES.id)).items:
            if obj["metadata"]["name"] == workload:
                latest = self._latest(obj)
                latest.told, latest.failure = told, message or latest.failure
                await self.play_knative(obj)
        await super().fail(workload, told, message)

    async def sleep(self) -> None:
        """Take away every pod, as a scale to zero does."""
        for obj in (await self.store.list(KNATIVE_SERVICES.id)).items:
            self._latest(obj).asleep = True
            await self.play_knative(obj)

    async def play_knative(self, obj: JsonObject) -> None:
        latest = self._latest(obj)
        known = self.revisions[obj["metadata"]["uid"]]
        ready = next((r for r in reversed(known) if r.ready), None)
        await self._write(KNATIVE_SERVICES, obj, knative_status(obj, latest, ready))
        routed = {t.get("revisionName") for t in _traffic(obj, ready)}
        for revision in known:
            wanted = revision is latest or revision.name in routed
            await self._play_pod_of(obj, revision, wanted=wanted and not revision.asleep)

    def _latest(self, obj: JsonObject) -> Revision:
        known = self.revisions.setdefault(obj["metadata"]["uid"], [])
        template = json.dumps(obj["spec"]["template"], sort_keys=True)
        if not known or known[-1].template != template:
            known.append(Revision(f"{obj['metadata']['name']}-{len(known) + 1:05d}", template))
        return known[-1]

    async def _play_pod_of(self, obj: JsonObject, revision: Revision, *, wanted: bool) -> None:
        namespace, name = obj["metadata"]["namespace"], f"{revision.name}-deployment-0"
        key = Key(PODS.id, namespace, name)
        if not wanted:
            with suppress(NotFound):
                await self.store.delete(key)
            return
        template = json.loads(revision.template)
        labels = {**(template["metadata"].get("labels") or {}), REVISION: revision.name}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": template["spec"],
        }
        with suppress(AlreadyExists):
            await self.store.create(PODS.id, pod)
        status: JsonObject = {"phase": "Pending", **revision.told}
        if revision.ready and not revision.told:
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await self._write(PODS, await self.store.get(key), status)


def knative_status(obj: JsonObject, latest: Revision, ready: Revision | None) -> JsonObject:
    """What Knative says of a Service whose newest revision is `latest`, and `ready` the one that
    serves.
    """
    name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
    status: JsonObject = {
        "observedGeneration": obj["metadata"]["generation"],
        "conditions": _conditions(name, latest, ready),
        "latestCreatedRevisionName": latest.name,
    }
    if ready is None:
        return status
    return {
        **status,
        "latestReadyRevisionName": ready.name,
        "url": f"http://{_host(obj)}",
        "address": {"url": f"http://{name}.{namespace}.svc.cluster.local"},
        "traffic": _traffic(obj, ready),
    }


def _conditions(name: str, latest: Revision, ready: Revision | None) -> list[JsonObject]:
    configured = {"type": "ConfigurationsReady", "status": "True"}
    if latest.failure:
        text = f'Revision "{latest.name}" failed with message: {latest.failure}.'
        configured |= {"status": "False", "reason": "RevisionFailed", "message": text}
    elif not latest.ready:
        configured["status"] = "Unknown"
    routed = {"type": "RoutesReady", "status": "True"}
    if ready is None:
        text = f'Configuration "{name}" is waiting for a Revision to become ready.'
        if latest.failure:
            text = f'Configuration "{name}" does not have any ready Revision.'
        status = "False" if latest.failure else "Unknown"
        routed |= {"status": status, "reason": "RevisionMissing", "message": text}
    speaks = configured if ready is not None else routed
    return [configured, {**speaks, "type": "Ready"}, routed]


def _traffic(obj: JsonObject, ready: Revision | None) -> list[JsonObject]:
    if ready is None:
        return []
    asked = obj["spec"].get("traffic") or [{"latestRevision": True, "percent": 100}]
    return [_target(obj, target, ready) for target in asked]


def _target(obj: JsonObject, target: JsonObject, ready: Revision) -> JsonObject:
    found = {"latestRevision": False, "revisionName": ready.name, **target}
    if target.get("tag"):
        found["url"] = f"http://{target['tag']}-{_host(obj)}"
    return found


def _host(obj: JsonObject) -> str:
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    local = labels.get("networking.knative.dev/visibility") == "cluster-local"
    domain = "svc.cluster.local" if local else DOMAIN
    return f"{metadata['name']}.{metadata['namespace']}.{domain}"
