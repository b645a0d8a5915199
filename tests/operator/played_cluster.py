"""A cluster to play with: the embedded API server, and a small model of Kubernetes's controllers.

What is Sampan's is real here: the server, its sockets, the operator's connection. What a cluster
brings (Deployment, gateway and Knative controllers, kubelets) is modelled at the edge: it writes
the statuses that those would write.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.platforms.kubernetes.stored_objects import with_defaults

from sampan.api.scheme import REGISTRY as SCHEME
from sampan.apiserver.listener import Listener, bind_loopback
from sampan.apiserver.messages import Reply, Request
from sampan.apiserver.server import ApiServer
from sampan.app.cluster_effects import cluster_warnings
from sampan.machinery.clock import SystemClock
from sampan.machinery.collector import Collector
from sampan.machinery.errors import ApiError, Conflict, NotFound
from sampan.machinery.registry import Admitted, JsonObject, Registry, Resource
from sampan.machinery.store import EventType, Key, WatchOptions
from sampan.machinery.store_memory import MemoryStore
from sampan.operator.cluster import RESOURCES, SELECTORS, Cluster
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.connection import connect
from sampan.operator.election import ElectionTimes
from sampan.operator.operator import Operator, OperatorOptions
from sampan.platforms.kubernetes.kinds import (
    CHILD_KINDS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    KNATIVE_SERVICES,
    PODS,
)

TOKEN = "the-token-of-the-cluster"
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
QUICK = ElectionTimes(lease=1.5, deadline=1.0, retry=0.1)

Fault = Callable[[Request], Awaitable[Reply | None]]
"""Called for each request before (`before`) it is served; a reply is the answer instead."""


def defaulted(obj: JsonObject, old: JsonObject | None, _context: Any) -> Admitted:
    found = with_defaults(obj)
    address = ((old or {}).get("spec") or {}).get("clusterIP")
    if obj["kind"] == "Service" and address and "clusterIP" not in found["spec"]:
        found = {**found, "spec": {**found["spec"], "clusterIP": address}}  # it is for life
    return Admitted(found)


def make_registry() -> Registry:
    """Everything that the operator asks for, defaulted as Kubernetes does it."""
    children = {k.resource.id for k in CHILD_KINDS} - {r.id for r in SCHEME}
    return Registry(
        tuple(replace(r, admit=defaulted) if r.id in children else r for r in RESOURCES)
    )


@dataclass
class Counted:
    """The door of the server: counts what comes from the operator, and puts faults in its way."""

    server: ApiServer
    writes: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    log: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault | None = None
    missing: set[str] = field(default_factory=set)
    """Ids of resources that are not served to the operator: their software is not installed."""

    async def handle(self, request: Request) -> Reply:
        if "sampan-operator" not in request.headers.get("user-agent", ""):
            return await self.server.handle(request)
        if "leases" not in request.path:
            kept = self.writes if request.method in WRITES else self.reads
            kept[f"{request.method} {request.path}"] += 1
            self.log.append((request.method, request.path))
        if any(_is_about(request.path, RESOURCES.get(kind)) for kind in self.missing):
            return Reply(404, b"404 page not found", "text/plain")
        answer = await self.fault(request) if self.fault else None
        return answer or await self.server.handle(request)

    def forget(self) -> None:
        self.writes.clear()
        self.reads.clear()
        self.log.clear()


def _is_about(path: str, resource: Resource) -> bool:
    root = f"/apis/{resource.group}/{resource.version}/"
    return path.startswith(root) and resource.plural in path.split("/")


@dataclass
class Players:
    """The controllers of a cluster. `held`: pods do not become ready until they are let.

    `refused` are Deployments, by namespace and name, whose pods an admission webhook refuses: with
    the conditions that this leads to.
    """

    store: MemoryStore
    held: bool = False
    refused: dict[tuple[str, str], list[JsonObject]] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        for kind, play in (
            (DEPLOYMENTS, self.play_deployment),
            (HTTP_ROUTES, self.play_route),
            (KNATIVE_SERVICES, self.play_knative),
        ):
            self._tasks.append(asyncio.create_task(self._follow(kind, play)))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def let_go(self) -> None:
        """Everything becomes ready."""
        self.held = False
        for kind, play in (
            (DEPLOYMENTS, self.play_deployment),
            (KNATIVE_SERVICES, self.play_knative),
        ):
            for obj in (await self.store.list(kind.id)).items:
                await play(obj)

    async def _follow(self, kind: Resource, play: Callable[[JsonObject], Awaitable[None]]) -> None:
        async for event in self.store.watch(kind.id, "", WatchOptions()):
            if event.type is not EventType.DELETED:
                await play(event.object)

    async def _write(self, kind: Resource, obj: JsonObject, status: JsonObject) -> None:
        if obj.get("status") == status:
            return
        fresh = {**obj, "status": status}
        fresh["metadata"] = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
        with contextlib.suppress(NotFound, Conflict):
            await self.store.update_status(kind.id, fresh)

    async def play_deployment(self, obj: JsonObject) -> None:
        name, generation = obj["metadata"]["name"], obj["metadata"]["generation"]
        wanted = obj["spec"].get("replicas", 1)
        refused = self.refused.get((obj["metadata"]["namespace"], name))
        conditions = _conditions(name, self.held) if refused is None else refused
        status = {"observedGeneration": generation, "conditions": conditions}
        if refused:
            await self._write(DEPLOYMENTS, obj, status)
            return
        if not self.held:
            kinds = ("availableReplicas", "readyReplicas", "replicas", "updatedReplicas")
            status |= dict.fromkeys(kinds, wanted)
        await self._write(DEPLOYMENTS, obj, status)
        await self._play_pod(obj)

    async def _play_pod(self, deployment: JsonObject) -> None:
        template, metadata = deployment["spec"]["template"], deployment["metadata"]
        pod: JsonObject = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{metadata['name']}-0",
                "namespace": metadata["namespace"],
                "labels": template["metadata"].get("labels") or {},
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": template["spec"],
        }
        key = Key(PODS.id, metadata["namespace"], pod["metadata"]["name"])
        try:
            made = await self.store.get(key)
        except NotFound:
            with contextlib.suppress(ApiError):
                made = await self.store.create(PODS.id, pod)
        status: JsonObject = {"phase": "Pending"}
        if not self.held:
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await self._write(PODS, made, status)

    async def play_route(self, obj: JsonObject) -> None:
        accepted = [
            {"type": kind, "status": "True", "reason": kind}
            for kind in ("Accepted", "ResolvedRefs")
        ]
        parents = [
            {"parentRef": ref, "controllerName": "players.dev/gateway", "conditions": accepted}
            for ref in obj["spec"].get("parentRefs") or ()
        ]
        await self._write(HTTP_ROUTES, obj, {"parents": parents})

    async def play_knative(self, obj: JsonObject) -> None:
        if self.held:
            return
        name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        revision = f"{name}-00001"
        labels = obj["metadata"].get("labels") or {}
        local = labels.get("networking.knative.dev/visibility") == "cluster-local"
        host = f"{name}.{namespace}.{'svc.cluster.local' if local else 'example.com'}"
        traffic = []
        for target in obj["spec"].get("traffic") or ():
            tag = target.get("tag")
            url = {"url": f"http://{tag}-{host}"} if tag else {}
            traffic.append({"revisionName": revision, **target, **url})
        kinds = ("ConfigurationsReady", "Ready", "RoutesReady")
        await self._write(
            KNATIVE_SERVICES,
            obj,
            {
                "observedGeneration": obj["metadata"]["generation"],
                "conditions": [{"type": kind, "status": "True"} for kind in kinds],
                "latestCreatedRevisionName": revision,
                "latestReadyRevisionName": revision,
                "url": f"http://{host}",
                "address": {"url": f"http://{name}.{namespace}.svc.cluster.local"},
                "traffic": traffic,
            },
        )


def _conditions(name: str, held: bool) -> list[JsonObject]:
    if held:
        minimum = "Deployment does not have minimum availability."
        return [
            {
                "type": "Available",
                "status": "False",
                "reason": "MinimumReplicasUnavailable",
                "message": minimum,
            },
            {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"},
        ]
    done = f'ReplicaSet "{name}-HASH" has successfully progressed.'
    return [
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
        {
            "type": "Progressing",
            "status": "True",
            "reason": "NewReplicaSetAvailable",
            "message": done,
        },
    ]


@dataclass
class PlayedCluster:
    """A cluster that runs, and the operators started in it."""

    door: Counted
    store: MemoryStore
    players: Players
    kubeconfig: Path
    registry: Registry
    listener: Listener
    _running: dict[Operator, asyncio.Task[None]] = field(default_factory=dict)

    def cut_connections(self) -> None:
        """Break every connection, in the middle of whatever it carries."""
        for task in tuple(self.listener._open):
            task.cancel()

    async def start_operator(
        self, identity: str = "one", times: ElectionTimes = QUICK, *, activator: bool = False
    ) -> Operator:
        """Start an operator as its own process would: connection, caches, queue of its own."""
        connection = connect(self.kubeconfig)
        cluster = Cluster(ClusterStore(connection, RESOURCES, SELECTORS))
        options = OperatorOptions(identity, times=times, activator=activator)
        operator = Operator(cluster, SystemClock(), options, cluster_warnings)
        self._running[operator] = asyncio.create_task(operator.run())
        return operator

    async def stop_operators(self) -> None:
        """Ask every operator to stop, as SIGTERM does."""
        for operator in list(self._running):
            await self.stop_operator(operator)

    async def stop_operator(self, operator: Operator) -> None:
        task = self._running.pop(operator)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await operator.cluster.store.close()

    async def kill_operator(self, operator: Operator) -> None:
        """End an operator as kill -9 does: from now on nothing of it reaches the server."""
        task = self._running.pop(operator)
        await operator.cluster.store.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def create(self, *objects: JsonObject) -> None:
        """Create objects, and the namespaces that they need, through the server's own rules."""
        for obj in objects:
            await self.ensure_namespace(obj["metadata"].get("namespace"))
            resource = RESOURCES.for_object(obj)
            assert resource is not None, obj
            await self.send("POST", resource, obj)

    async def ensure_namespace(self, name: str | None) -> None:
        if name:
            with contextlib.suppress(ApiError):
                head = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                await self.store.create("namespaces", head)

    async def send(
        self,
        method: str,
        resource: Resource,
        obj: JsonObject,
        *,
        manager: str = "kubectl",
        media_type: str = "application/json",
    ) -> JsonObject:
        """Send an object as a user does."""
        metadata = obj["metadata"]
        root = f"/apis/{resource.group}" if resource.group else "/api"
        place = f"/namespaces/{metadata['namespace']}" if resource.namespaced else ""
        path = f"{root}/{resource.version}{place}/{resource.plural}"
        if method != "POST":
            path += f"/{metadata['name']}"
        headers = {
            "host": "127.0.0.1",
            "authorization": f"Bearer {TOKEN}",
            "user-agent": manager,
            "content-type": media_type,
        }
        body = b"" if method == "DELETE" else json.dumps(obj).encode()
        reply = await self.door.handle(
            Request(method, path, {"fieldManager": manager}, headers, body)
        )
        assert reply.code < 300, reply.body
        answer: JsonObject = json.loads(reply.body)
        return answer

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        return await self.store.get(Key(resource.id, namespace, name))

    async def children(self, namespace: str) -> list[JsonObject]:
        """Every object of a namespace that a service or graph controls."""
        found = []
        for kind in (*(k.resource for k in CHILD_KINDS), RESOURCES.get("configmaps")):
            if kind.id in self.store_kinds:
                items = (await self.store.list(kind.id, namespace)).items
                found += [obj for obj in items if obj["metadata"].get("ownerReferences")]
        return found

    @property
    def store_kinds(self) -> set[str]:
        return {r.id for r in self.registry}


@contextlib.asynccontextmanager
async def played_cluster(
    folder: Path, *, held: bool = False, more: tuple[Resource, ...] = ()
) -> AsyncIterator[PlayedCluster]:
    """Run a cluster on a free port of loopback until the end of the block.

    `more` are kinds that it serves besides those that an operator asks for.
    """
    registry = Registry((*make_registry(), *more))
    clock = SystemClock()
    store = MemoryStore(registry, clock)
    server = ApiServer(store, registry, TOKEN)
    door = Counted(server)
    sock = bind_loopback(0)
    port = sock.getsockname()[1]
    kubeconfig = write_kubeconfig(folder / "kubeconfig", f"http://127.0.0.1:{port}", TOKEN)
    await server.start()
    listener = Listener(door.handle, drain_seconds=0.1)
    serving = asyncio.create_task(listener.serve(sock))
    collecting = asyncio.create_task(Collector(store, clock, registry).run())
    players = Players(store, held)
    players.start()
    cluster = PlayedCluster(door, store, players, kubeconfig, registry, listener)
    try:
        yield cluster
    finally:
        await cluster.stop_operators()
        await players.stop()
        server.stop()
        listener.stop()
        await serving
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        await store.close()


def write_kubeconfig(path: Path, server: str, token: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "played",
        "clusters": [{"name": "played", "cluster": {"server": server}}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "played", "context": {"cluster": "played", "user": "operator"}}],
    }
    path.write_text(json.dumps(config))
    return path


async def rested(cluster: PlayedCluster, seconds: float = 0.3) -> None:
    """Wait until the operators have asked for nothing for a while."""
    before = -1
    while before != len(cluster.door.log):
        before = len(cluster.door.log)
        await asyncio.sleep(seconds)


async def until(
    holds: Callable[[], Awaitable[Any]], seconds: float = 30.0, tell: Callable[[], Any] = str
) -> Any:
    """Wait until something holds; return what it gave."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        with contextlib.suppress(NotFound):
            found = await holds()
            if found:
                return found
        assert loop.time() < end, f"it did not come to hold: {tell()}"
        await asyncio.sleep(0.02)


def conditions_of(obj: JsonObject) -> dict[str, JsonObject]:
    return {c["type"]: c for c in (obj.get("status") or {}).get("conditions") or ()}


def is_ready(obj: JsonObject) -> bool:
    return conditions_of(obj).get("Ready", {}).get("status") == "True"
