"""A played cluster whose pods are real: each replica of a Deployment is a `sampan serve`.

What Kubernetes brings is modelled at the edge: the subresource `scale`, the kubelet that starts and
ends processes, the controller that writes EndpointSlices of Services with a selector, and the
kube-proxy that leads to them. Activator, Envoy, operator and model servers are real processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.counting_model import MODEL
from tests.operator.conftest import CONFIG, RUNTIME, config_map
from tests.operator.played_cluster import (
    PlayedCluster,
    Players,
    _conditions,
    played_cluster,
    until,
    write_kubeconfig,
)
from tests.operator.test_rights import token

from sampan.apiserver.messages import Reply, Request
from sampan.apiserver.server import ApiServer
from sampan.installation.activator import make_activator
from sampan.installation.options import Options
from sampan.machinery.errors import AlreadyExists, Conflict, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.machinery.store_memory import MemoryStore
from sampan.operator.cluster import RESOURCES
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, ENDPOINT_SLICES
from sampan.platforms.kubernetes.kinds import SERVICES as KUBE_SERVICES
from sampan.platforms.kubernetes.serverless import PODS_SUFFIX
from sampan.platforms.kubernetes.serverless_slices import SLICE_SUFFIX
from sampan.platforms.kubernetes.serverless_table import ACTIVATOR, SERVICE_NAME

HOME = "127.0.0.1"
_ROLES = frozenset({"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"})
_SCALE = re.compile(r"/apis/apps/v1/namespaces/([^/]+)/deployments/([^/]+)/scale")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Scaled:
    """The API server with the subresource `scale` of Deployments, which the embedded one lacks."""

    server: ApiServer
    store: MemoryStore
    written: list[tuple[str, int]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What was refused for want of a right."""
    away: set[str] = field(default_factory=set)
    """Deployments whose scale is answered 503; with "" nothing is answered to activators."""

    async def handle(self, request: Request) -> Reply:
        found = _SCALE.fullmatch(request.path)
        agent = request.headers.get("user-agent", "")
        if ("" in self.away and agent == ACTIVATOR) or (found and found[2] in self.away):
            return Reply(503, b'{"message": "etcdserver: request timed out"}')
        if found is None or request.method != "PATCH":
            reply = await self.server.handle(request)
            if reply.code in (401, 403):
                self.refused.append(f"{request.method} {request.path}: {reply.body!r}")
            return reply
        body = json.loads(request.body)
        replicas = int(body["spec"]["replicas"])
        seen = (body.get("metadata") or {}).get("resourceVersion")
        while True:
            try:
                obj = await self.store.get(Key(DEPLOYMENTS.id, found[1], found[2]))
            except NotFound as error:
                return Reply(404, json.dumps(error.status()).encode())
            if seen and seen != obj["metadata"]["resourceVersion"]:
                return Reply(409, json.dumps(Conflict("changed since").status()).encode())
            obj["spec"]["replicas"] = replicas
            with contextlib.suppress(Conflict):
                await self.store.update(DEPLOYMENTS.id, obj)
                self.written.append((found[2], replicas))
                return Reply(200, json.dumps({"kind": "Scale", "spec": obj["spec"]}).encode())


@dataclass
class Pod:
    """A replica: a process, and the port at which it answers."""

    process: asyncio.subprocess.Process
    port: int
    shown: bool = False


@dataclass
class Kubelet(Players):
    """Runs the containers of Deployments as processes, and tells where they answer.

    `slow` seconds pass before a process is started; while `broken` none is.
    """

    folder: Path = Path()
    slow: float = 0.0
    broken: bool = False
    takes: dict[str, float] = field(default_factory=dict)
    """Seconds of a prediction, by Deployment."""
    started: int = 0
    pods: dict[str, list[Pod]] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)
    """How many were started, by Deployment."""
    _playing: dict[str, asyncio.Lock] = field(default_factory=dict)
    _readying: set[asyncio.Task[None]] = field(default_factory=set)

    async def stop(self) -> None:
        for task in self._readying:
            task.cancel()
        await asyncio.gather(*self._readying, return_exceptions=True)
        await super().stop()
        for pod in (pod for pods in self.pods.values() for pod in pods):
            with contextlib.suppress(ProcessLookupError):
                pod.process.kill()
            await pod.process.wait()

    async def play_deployment(self, obj: JsonObject) -> None:
        metadata = obj["metadata"]
        key = f"{metadata['namespace']}/{metadata['name']}"
        async with self._playing.setdefault(key, asyncio.Lock()):
            pods, wanted = self.pods.setdefault(key, []), obj["spec"].get("replicas", 1)
            while len(pods) > wanted:
                await self._end(obj, pods.pop())
            while len(pods) < wanted and not self.broken:
                self.begun[key] += 1
                pods.append(await self._begin(metadata["name"]))
                task = asyncio.create_task(self._make_ready(obj, pods[-1]))
                self._readying.add(task)
                task.add_done_callback(self._readying.discard)
            await self._tell(obj, pods)

    async def _tell(self, obj: JsonObject, pods: list[Pod]) -> None:
        metadata, wanted = obj["metadata"], obj["spec"].get("replicas", 1)
        ready = sum(pod.shown for pod in pods)
        conditions = _conditions(metadata["name"], held=ready < wanted)
        if ready < wanted and self.started > 1:  # scaled, not rolled: it stays as progressed
            conditions[1] = _conditions(metadata["name"], held=False)[1]
        status = {"observedGeneration": metadata["generation"], "conditions": conditions}
        counts = {"replicas": wanted, "readyReplicas": ready, "availableReplicas": ready}
        await self._write(DEPLOYMENTS, obj, status | {k: v for k, v in counts.items() if v})

    async def _begin(self, name: str) -> Pod:
        self.started += 1
        port = free_port()
        command = [str(Path(sys.executable).parent / "sampan"), "serve"]
        command += [f"{self.folder / 'model.py'}:Counting", "--model_name=counting"]
        command += [f"--http_port={port}", "--grpc_port=0"]
        command += ["--host=127.0.0.1"]
        await asyncio.sleep(self.slow)
        log = (self.folder / "servers.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            *command,
            env={
                **os.environ,
                "COUNT_FILE": str(self.folder / "counted"),
                "TAKES": str(self.takes.get(name, 0)),
            },
            stdout=log,
            stderr=log,
        )
        log.close()
        return Pod(process, port)

    async def _make_ready(self, obj: JsonObject, pod: Pod) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    url = f"http://127.0.0.1:{pod.port}/v2/health/ready"
                    if (await client.get(url)).status_code == 200:
                        break
                await asyncio.sleep(0.05)
        metadata = obj["metadata"]
        pod.shown = True
        name = metadata["name"] + PODS_SUFFIX
        key = Key(KUBE_SERVICES.id, metadata["namespace"], name)
        service = await until(lambda: self.store.get(key), 120)  # its Deployment may be there first
        (port,) = service["spec"]["ports"]
        await self.show(service, f"{name}-{pod.port}", port.get("name", ""), pod.port)
        fresh = await self.store.get(Key(DEPLOYMENTS.id, metadata["namespace"], metadata["name"]))
        await self.play_deployment(fresh)

    async def show(
        self, service: JsonObject, name: str, port_name: str, port: int, host: str = HOME
    ) -> None:
        """Write a slice of a Service, with the Service's labels, as its controller does."""
        metadata = service["metadata"]
        labels = {**(metadata.get("labels") or {}), SERVICE_NAME: metadata["name"]}
        made = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": metadata["namespace"], "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        }
        with contextlib.suppress(AlreadyExists):
            await self.store.create(ENDPOINT_SLICES.id, made)

    async def _end(self, obj: JsonObject, pod: Pod) -> None:
        metadata = obj["metadata"]
        name = f"{metadata['name']}{PODS_SUFFIX}-{pod.port}"
        with contextlib.suppress(NotFound):
            await self.store.delete(Key(ENDPOINT_SLICES.id, metadata["namespace"], name))
        with contextlib.suppress(ProcessLookupError):
            pod.process.send_signal(signal.SIGTERM)
        await pod.process.wait()


@dataclass
class Running:
    """An activator that runs as a process, with what it said."""

    process: asyncio.subprocess.Process
    lines: list[str]

    def said(self) -> str:
        return "\n".join(self.lines[-60:])


@dataclass
class ActivatorPod:
    """A pod of the activator: two containers over one folder, at an address of its own."""

    host: str
    folder: Path
    health: int
    front: int
    running: Running | None = None
    envoy: asyncio.subprocess.Process | None = None
    envoys: int = 0
    """How many there were."""
    keeping: asyncio.Task[None] | None = None

    async def kill(self) -> None:
        """End the container of the activator as a lack of memory does."""
        assert self.running is not None
        self.running.process.kill()
        await self.running.process.wait()

    async def stop_envoy(self) -> None:
        if self.keeping is not None:
            self.keeping.cancel()
            await asyncio.gather(self.keeping, return_exceptions=True)
        if self.envoy is not None:
            with contextlib.suppress(ProcessLookupError):
                self.envoy.terminate()
            await self.envoy.wait()


@dataclass
class ServerlessCluster:
    """The whole of it."""

    played: PlayedCluster
    kubelet: Kubelet
    scaled: Scaled
    folder: Path
    doors: int
    activators: dict[str, ActivatorPod] = field(default_factory=dict)
    ended: list[Running] = field(default_factory=list)
    """Activators that ran before, for what they said."""
    _reading: list[asyncio.Task[None]] = field(default_factory=list)

    async def keep_envoy(self, pod: ActivatorPod) -> None:
        """Run Envoy as a container beside: started again whenever it ends."""
        command = (sys.executable, "-m", "sampan.app.activator_envoy", f"--folder={pod.folder}")
        while True:
            pod.envoy = await asyncio.create_subprocess_exec(*command)
            pod.envoys += 1
            await pod.envoy.wait()

    async def start_activator(self, host: str = HOME, drain: float = 0) -> ActivatorPod:
        """Start an activator; one per address of loopback, each with its Envoy. One that is there
        is a container that ended and is started again.
        """
        pod = self.activators.get(host)
        if pod is None:
            folder = self.folder / f"{host.rpartition('.')[2]}-{len(self.ended)}"
            pod = ActivatorPod(host, folder, free_port(), free_port())
            self.activators[host] = pod
            pod.keeping = asyncio.create_task(self.keep_envoy(pod))
        command = (sys.executable, "-m", "sampan.app.activator", "--envoy-beside")
        command += ("--kubeconfig", str(self.folder / "account"), f"--host={host}")
        command += (f"--front-port={pod.front}", f"--folder={pod.folder}")
        command += (f"--health-port={pod.health}", f"--identity=activator-{host}")
        command += (f"--doors={self.doors}-{self.doors + 20}", f"--drain-seconds={drain}")
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        if pod.running is not None:
            self.ended.append(pod.running)
        pod.running = Running(process, [])
        self._reading.append(asyncio.create_task(_read(pod.running)))
        await self._show(pod)
        return pod

    async def _show(self, pod: ActivatorPod) -> None:
        """Tell where a pod of the activator is, once it is ready, as its Service does."""
        host, port = pod.host, pod.health

        async def is_ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                async with httpx.AsyncClient(trust_env=False) as client:
                    answer = await client.get(f"http://{host}:{port}/readyz")
                    return answer.status_code == 200
            return False

        await until(is_ready, 60, self.tell)
        labels = {"serving.sampan.dev/autoscaler": "sampan"}
        own: dict[str, Any] = {
            "metadata": {"name": ACTIVATOR, "namespace": "kserve", "labels": labels}
        }
        await self.kubelet.show(own, f"{ACTIVATOR}-{host}", "health", port, host)

    async def end_activator(self, host: str) -> None:
        """End a pod of the activator, as Kubernetes does: it is known to end, its activator is told
        at once, and its Envoy some seconds after that has ended.
        """
        pod = self.activators.pop(host)
        key = Key(ENDPOINT_SLICES.id, "kserve", f"{ACTIVATOR}-{host}")
        own = await self.played.store.get(key)
        own["endpoints"][0]["conditions"] = {"ready": False, "serving": True, "terminating": True}
        await self.played.store.update(ENDPOINT_SLICES.id, own)
        assert pod.running is not None
        pod.running.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(pod.running.process.wait(), 120) == 0
        await self.played.store.delete(key)
        await asyncio.sleep(0.5)
        await pod.stop_envoy()
        self.ended.append(pod.running)

    async def stop_activators(self) -> None:
        for pod in self.activators.values():
            if pod.running is not None:
                with contextlib.suppress(ProcessLookupError):
                    pod.running.process.send_signal(signal.SIGINT)
                await asyncio.wait_for(pod.running.process.wait(), 60)
            await pod.stop_envoy()
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def address(self, name: str) -> str:
        """Where a Service leads, as kube-proxy finds it."""
        return (await self.addresses(name))[0]

    async def addresses(self, name: str, count: int = 1, namespace: str = "ml") -> list[str]:
        """All of them, once there are so many."""

        async def led() -> list[str]:
            key = Key(ENDPOINT_SLICES.id, namespace, name + SLICE_SUFFIX)
            found = await self.played.store.get(key)
            endpoints, port = found["endpoints"], found["ports"][0]["port"]
            addresses = [endpoint["addresses"][0] for endpoint in endpoints]
            return [f"{a}:{port}" for a in addresses] if len(addresses) >= count else []

        return list(await until(led, 60, self.tell))

    async def deployment(self, name: str, namespace: str = "ml") -> JsonObject:
        return await self.played.get(DEPLOYMENTS, namespace, name)

    async def replicas(self, name: str, namespace: str = "ml") -> int:
        deployment = await self.deployment(name, namespace)
        return int(deployment["spec"].get("replicas", 1))

    async def wait_replicas(self, name: str, wanted: int, seconds: float = 90) -> None:
        """Wait until so many are asked for and run."""

        async def there() -> bool:
            pods = self.kubelet.pods.get(f"ml/{name}", [])
            shown = sum(pod.shown for pod in pods)
            return await self.replicas(name) == wanted == len(pods) == shown

        await until(there, seconds, self.tell)

    def counted(self) -> list[int]:
        """The numbers that model servers were asked, in order."""
        path = self.folder / "counted"
        return sorted(map(int, path.read_text().split())) if path.exists() else []

    def tell(self) -> str:
        there = [pod.running for pod in self.activators.values() if pod.running]
        return "\n".join(running.said() for running in (*self.ended, *there))


async def _read(running: Running) -> None:
    assert running.process.stderr is not None
    async for line in running.process.stderr:
        running.lines.append(line.decode().rstrip())


@contextlib.asynccontextmanager
async def serverless_cluster(folder: Path) -> AsyncIterator[ServerlessCluster]:
    """Run a cluster without Knative; its operator is to be started by `played.start_operator`."""
    (folder / "model.py").write_text(MODEL)
    async with played_cluster(folder) as played:
        await played.players.stop()
        kubelet = Kubelet(played.store, folder=folder)
        scaled = Scaled(played.door.server, played.store)
        played.door.server = scaled  # type: ignore[assignment]
        kubelet.start()
        await played.create(config_map(CONFIG), RUNTIME)
        await played.ensure_namespace("kserve")
        await _install(played, folder / "account")
        made = ServerlessCluster(played, kubelet, scaled, folder, free_range())
        try:
            yield made
        finally:
            await made.stop_activators()
            await kubelet.stop()


async def _install(played: PlayedCluster, kubeconfig: Path) -> None:
    """Give the activator its account and no more than its rights."""
    for obj in make_activator(Options(activators=2)):
        resource = RESOURCES.for_object(obj)
        if resource is not None and obj["kind"] in {"ServiceAccount", *_ROLES}:
            await played.send("POST", resource, obj)
    url = json.loads(played.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    write_kubeconfig(kubeconfig, url, await token(played, ACTIVATOR))


def free_range() -> int:
    """A port after which some more are free, below those that the system gives out."""
    import random

    for first in random.Random(os.getpid()).sample(range(12_000, 30_000, 25), 200):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + 21):
                probe = stack.enter_context(socket.socket())
                probe.bind(("127.0.0.1", port))
            return first
    raise AssertionError("no range of free ports")


def make_service(name: str = "iris", **fields: Any) -> dict[str, Any]:
    """An InferenceService of Sampan's own class, with a container that counts."""
    container = {
        "name": "kserve-container",
        "image": "example/counting",
        "ports": [{"name": "h2c", "containerPort": 8080}],
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": "ml",
            "annotations": {
                "serving.kserve.io/autoscalerClass": "sampan",
                "autoscaling.knative.dev/window": "6s",
            },
        },
        "spec": {"predictor": {"minReplicas": 0, "containers": [container], **fields}},
    }
