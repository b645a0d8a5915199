"""An activator and its Envoy before an API server, in one process; Deployments and slices by hand.

What Kubernetes's controllers would write is written by the tests, so that each moment can be held
for as long as it takes to look at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.operator.played_cluster import PlayedCluster, played_cluster, until
from tests.operator.serverless_cluster import Scaled, free_port, free_range
from tests.platforms.kubernetes.test_serverless import rendered, service

from sampan.activator.listener import serve
from sampan.app.activation_on_cluster import ClusterActivation, Place
from sampan.app.activation_peers import Peers
from sampan.app.activation_signals import ClusterSignals
from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.traffic import TrafficReader
from sampan.machinery.clock import SystemClock
from sampan.machinery.errors import AlreadyExists, Conflict, NotFound
from sampan.machinery.events import EventRecorder
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.connection import connect
from sampan.operator.finalizing import SERVICES
from sampan.operator.serverless import SELECTORS, ServerlessCluster
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, ENDPOINT_SLICES
from sampan.platforms.kubernetes.serverless import PODS_SUFFIX, read_terms
from sampan.platforms.kubernetes.serverless_slices import SLICE_SUFFIX, Doors, select_peers
from sampan.platforms.kubernetes.serverless_table import ACTIVATOR, SERVICE_NAME
from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response

SPACE = "ml"
LABEL = {"serving.sampan.dev/autoscaler": "sampan"}


@dataclass
class Stage:
    """All of it. `leading` is the task that decides, None while this one does not."""

    played: PlayedCluster
    scaled: Scaled
    gateway: Gateway
    activation: ClusterActivation
    pods: Listener
    first_door: int
    leading: asyncio.Task[None] | None = None
    _uid: list[int] = field(default_factory=lambda: [0])

    async def lead(self, *, leads: bool = True) -> None:
        """Have this activator decide, or not."""
        if self.leading is not None:
            self.leading.cancel()
            await asyncio.gather(self.leading, return_exceptions=True)
            self.leading = None
        if leads:
            self.leading = asyncio.create_task(self.activation.lead())

    async def deploy(
        self, name: str, replicas: int = 0, component: str = "predictor", **fields: Any
    ) -> str:
        """Make the Deployment of a component of a service `name`, as the operator does, and wait
        until it has a door; return its own name.
        """
        made = service(**fields)
        made["metadata"]["name"] = name
        container = {"name": "kserve-container", "image": "x"}
        if component != "predictor":
            made["spec"][component] = {"containers": [container], "minReplicas": 0}
        own = f"{name}-{component}"
        with contextlib.suppress(AlreadyExists):
            await self.played.store.create(SERVICES, made)
        owner = await self.played.store.get(Key(SERVICES, SPACE, name))
        obj = rendered(made)["Deployment", own]
        obj["spec"]["replicas"] = replicas
        obj["metadata"]["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": "InferenceService",
                "name": name,
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ]
        await self.played.create(obj)
        if self.leading is not None:
            await self.door(own)
        return own

    async def door(self, name: str) -> str:
        """Where a workload is asked, once Envoy serves it."""

        async def led() -> str:
            found = await self.slice_of(name)
            return f"127.0.0.1:{found['ports'][0]['port']}"

        return str(await until(led, 60))

    async def slice_of(self, name: str) -> JsonObject:
        key = Key(ENDPOINT_SLICES.id, SPACE, name + SLICE_SUFFIX)
        return await self.played.store.get(key)

    async def deployment(self, name: str) -> JsonObject:
        return await self.played.get(DEPLOYMENTS, SPACE, name)

    async def change(self, name: str, change: Callable[[JsonObject], None]) -> None:
        """Change a Deployment, whoever changes it too."""
        while True:
            obj = await self.deployment(name)
            change(obj)
            with contextlib.suppress(Conflict):
                await self.played.store.update(DEPLOYMENTS.id, obj)
                return

    async def wait_replicas(self, name: str, wanted: int) -> None:
        async def there() -> bool:
            return bool((await self.deployment(name))["spec"]["replicas"] == wanted)

        await until(there, 60)

    async def show(self, name: str, **conditions: bool) -> None:
        """Say that a pod of a workload is there: `ready`, where nothing else is said."""
        endpoint = {"addresses": ["127.0.0.1"], "conditions": conditions or {"ready": True}}
        _, port = self.pods.address
        terms = read_terms((await self.deployment(name))["metadata"]["annotations"])
        await self.hide(name)
        await self.played.store.create(
            ENDPOINT_SLICES.id,
            {
                "apiVersion": ENDPOINT_SLICES.api_version,
                "kind": ENDPOINT_SLICES.kind,
                "metadata": {
                    "name": f"{name}{PODS_SUFFIX}-x",
                    "namespace": SPACE,
                    "labels": {SERVICE_NAME: name + PODS_SUFFIX, **LABEL},
                },
                "addressType": "IPv4",
                "endpoints": [endpoint],
                "ports": [{"name": terms.rest if terms else "", "port": port, "protocol": "TCP"}],
            },
        )

    async def hide(self, name: str) -> None:
        """Say that no pod of a workload is there."""
        with contextlib.suppress(NotFound):
            key = Key(ENDPOINT_SLICES.id, SPACE, f"{name}{PODS_SUFFIX}-x")
            await self.played.store.delete(key)

    def ask(self, at: str) -> asyncio.Task[httpx.Response]:
        """Ask at a door; who waits there, waits."""

        async def get() -> httpx.Response:
            async with httpx.AsyncClient(timeout=90, trust_env=False) as client:
                return await client.get(f"http://{at}/v1/models/iris")

        return asyncio.create_task(get())

    async def waiting(self, name: str, count: int = 1) -> None:
        """Wait until so many requests wait for a workload."""

        async def there() -> bool:
            return self.activation.activator.waiting(f"{SPACE}/{name}") == count

        await until(there, 60)

    async def events(self, reason: str) -> list[str]:
        """What was recorded with a reason."""
        found = (await self.played.store.list("events", SPACE)).items
        return [str(e["message"]) for e in found if e["reason"] == reason]

    async def told(self, reason: str, text: str) -> None:
        """Wait until an event says something."""

        async def there() -> bool:
            return any(text in message for message in await self.events(reason))

        await until(there, 60, lambda: text)


def _answer(request: Request, reply: Reply) -> None:
    del request
    reply(Response(200, b'{"name": "iris", "ready": true}'))


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Run an activator that decides."""
    async with played_cluster(folder) as played, contextlib.AsyncExitStack() as stack:
        await played.players.stop()
        for name in (SPACE, "kserve"):
            await played.ensure_namespace(name)
        scaled = Scaled(played.door.server, played.store)
        played.door.server = scaled  # type: ignore[assignment]  # it answers as that does
        pods = Listener(_answer)
        await pods.listen_on(_bind())
        stack.push_async_callback(pods.drain, 0)
        first = free_range()
        made = await _activate(played, stack, folder / "gw", first)
        found = Stage(played, scaled, *made, pods, first)
        await _show_activator(played)
        tasks = [asyncio.create_task(each) for each in _works(found.activation)]
        await found.lead()
        try:
            yield found
        finally:
            await found.lead(leads=False)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _works(activation: ClusterActivation) -> list[Awaitable[None]]:
    return [activation.cluster.run(), activation.run()]


async def _activate(
    played: PlayedCluster, stack: contextlib.AsyncExitStack, folder: Path, first: int
) -> tuple[Gateway, ClusterActivation]:
    clock = SystemClock()
    gateway = Gateway(folder, GatewaySettings(port=free_port(), door_host="127.0.0.1"))
    store = ClusterStore(connect(played.kubeconfig, "", ACTIVATOR), RESOURCES, SELECTORS)
    stack.push_async_callback(store.close)
    peers = Peers(clock, "one", lambda: select_peers([], "kserve"))
    signals = ClusterSignals(TrafficReader(folder), peers)
    place = Place("kserve", Doors(first, first + 20))
    activation = ClusterActivation(gateway, signals, peers, clock, place)
    activation.cluster = ServerlessCluster(store, clock, activation.changed)
    activation.events.recorder = EventRecorder(store, clock, "sampan-autoscaler")
    await gateway.start()
    stack.push_async_callback(gateway.close)
    holding = await serve(activation.activator, gateway.activator_socket)
    stack.push_async_callback(holding.drain, 0)
    stack.push_async_callback(activation.activator.close)
    return gateway, activation


async def _show_activator(played: PlayedCluster) -> None:
    """Where it is: in Kubernetes its Service's own slice says so."""
    labels = {SERVICE_NAME: ACTIVATOR, **LABEL}
    made = {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": {"name": f"{ACTIVATOR}-x", "namespace": "kserve", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "health", "port": free_port(), "protocol": "TCP"}],
    }
    await played.store.create(ENDPOINT_SLICES.id, made)


def _bind() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    sock.setblocking(False)
    return sock
