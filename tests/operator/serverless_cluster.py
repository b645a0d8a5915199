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
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
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
MODEL = '''
"""Answers with the number that it is asked, and counts: one line of a file a prediction."""
import os
import time

from sampan.sdk import InferOutput, InferRequest, InferResponse, Model


class Counting(Model):
    def predict(self, payload, headers=None):
        if not isinstance(payload, InferRequest):
            return {"predictions": [note(n) for n in payload["instances"]]}
        (given,) = payload.inputs
        number = note(int(given.data[0]))
        if given.name == "parts":
            return (f"{number}/{part}" for part in range(3))
        answer = InferOutput("number", [1], "INT64", [number])
        return InferResponse("1", self.name, [answer])


def note(number):
    time.sleep(float(os.environ.get("TAKES", "0")))
    with open(os.environ["COUNT_FILE"], "a") as counted:
        counted.write(f"{number}\\n")
    return number
'''


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
    takes: float = 0.0
    started: int = 0
    pods: dict[str, list[Pod]] = field(default_factory=dict)
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
                pods.append(await self._begin())
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

    async def _begin(self) -> Pod:
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
            env=os.environ | {"COUNT_FILE": str(self.folder / "counted"), "TAKES": str(self.takes)},
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
        service = await self.store.get(Key(KUBE_SERVICES.id, metadata["namespace"], name))
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
class ServerlessCluster:
    """The whole of it."""

    played: PlayedCluster
    kubelet: Kubelet
    scaled: Scaled
    folder: Path
    doors: int
    health: dict[str, int] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    envoys: list[asyncio.subprocess.Process] = field(default_factory=list)
    _reading: list[asyncio.Task[None]] = field(default_factory=list)
    _keeping: list[asyncio.Task[None]] = field(default_factory=list)

    async def keep_envoy(self, host: str) -> None:
        """Run Envoy as a container beside: started again whenever it ends."""
        folder = self.gateway(host)
        command = (sys.executable, "-m", "sampan.app.activator_envoy", f"--folder={folder}")
        while True:
            process = await asyncio.create_subprocess_exec(*command)
            self.envoys.append(process)
            await process.wait()

    def gateway(self, host: str) -> Path:
        return self.folder / host.rpartition(".")[2]

    async def start_activator(self, host: str = HOME) -> Running:
        """Start an activator; one per address of loopback, each with its Envoy."""
        if host not in self.health:
            self.health[host] = free_port()
            self._keeping.append(asyncio.create_task(self.keep_envoy(host)))
        command = (sys.executable, "-m", "sampan.app.activator", "--envoy-beside")
        command += ("--kubeconfig", str(self.folder / "account"), f"--host={host}")
        command += (f"--front-port={free_port()}", f"--folder={self.gateway(host)}")
        command += (f"--health-port={self.health[host]}", f"--identity=activator-{host}")
        command += (f"--doors={self.doors}-{self.doors + 20}",)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        running = Running(process, [])
        self.running.append(running)
        self._reading.append(asyncio.create_task(_read(running)))
        await self._show(host)
        return running

    async def _show(self, host: str) -> None:
        """Tell where a pod of the activator is, once it is ready, as its Service does."""
        port = self.health[host]

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
        """End a pod of the activator, as Kubernetes does."""
        key = Key(ENDPOINT_SLICES.id, "kserve", f"{ACTIVATOR}-{host}")
        await self.played.store.delete(key)
        [process] = [r.process for r, h in zip(self.running, self.health, strict=True) if h == host]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0

    async def stop_activators(self) -> None:
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for running in self.running:
            with contextlib.suppress(ProcessLookupError):
                running.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(running.process.wait(), 60)
        await asyncio.gather(*self._reading, return_exceptions=True)
        for process in self.envoys:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

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

    async def replicas(self, name: str, namespace: str = "ml") -> int:
        deployment = await self.played.get(DEPLOYMENTS, namespace, name)
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
        return "\n".join(running.said() for running in self.running)


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
