"""A thousand services that an activator looks after, most of them asleep: what that takes, and what
one more costs.

The objects are those that the operator would have made; the activator and its Envoy are processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from bench.operator_rows.stage import stage
from bench.processes import Usage, free_port, tree_of, usage_of
from bench.progress import note
from bench.row import Goal, Row, make_row
from bench.setting import Setting
from tests.operator.played_cluster import PlayedCluster

from sampan.machinery.errors import NotFound
from sampan.machinery.store import Key
from sampan.plan.scaling import SAMPAN, Scaling
from sampan.platforms.kubernetes.children import AUTOSCALER
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, ENDPOINT_SLICES
from sampan.platforms.kubernetes.serverless import PODS_SUFFIX, TERMS, Terms, encode_terms
from sampan.platforms.kubernetes.serverless_slices import SLICE_SUFFIX
from sampan.platforms.kubernetes.serverless_table import ACTIVATOR, SERVICE_NAME

SERVICES = int(os.environ.get("SAMPAN_BENCH_DOORS", "1000"))
AWAKE = 10  # one in so many
MORE = 5  # services that come when all is there
REST_SECONDS = 20.0
NAMESPACE = "ml"


@dataclass(frozen=True)
class Measured:
    """Bytes of activator and Envoy; CPU of both at rest, as shares of a processor; of one service
    more the seconds until its door is open, and the CPU seconds of each of the two.
    """

    resident: tuple[int, int]
    rest: tuple[float, float]
    opened: list[float]
    cpu: tuple[float, float]


def look_after(setting: Setting) -> Iterator[Row]:
    """Memory and CPU of an activator and its Envoy, and what one more service costs."""
    del setting
    found = asyncio.run(_measure())
    at = f"at {SERVICES} services, a tenth of them awake"
    names = ("activator", "its Envoy")
    for name, resident, rest, cpu in zip(names, found.resident, found.rest, found.cpu, strict=True):
        yield make_row(f"{name}: memory {at}", "MB", [resident / 1e6], [], Goal())
        yield make_row(f"{name}: CPU at rest {at}", "% of one", [100 * rest], [], Goal())
        yield make_row(f"{name}: CPU of one service more {at}", "ms", [1000 * cpu], [], Goal())
    opened = [1000 * seconds for seconds in found.opened]
    yield make_row(f"a new service until its door is open {at}", "ms", opened, [], Goal())


async def _measure() -> Measured:
    async with stage() as cluster:
        await cluster.ensure_namespace(NAMESPACE)
        await cluster.ensure_namespace("kserve")
        note(f"{SERVICES} services are made ...")
        for number in range(SERVICES):
            await _make(cluster, number)
        async with _activator(cluster) as processes:
            await _opened(cluster, SERVICES - 1)
            await asyncio.sleep(REST_SECONDS)
            before, began = _usages(processes), time.monotonic()
            await asyncio.sleep(REST_SECONDS)
            after, passed = _usages(processes), time.monotonic() - began
            opened = []
            for number in range(SERVICES, SERVICES + MORE):
                at = time.monotonic()
                await _make(cluster, number)
                await _opened(cluster, number)
                opened.append(time.monotonic() - at)
                await asyncio.sleep(1)
            last = _usages(processes)
    idle = _each(before, after, passed)
    busy = _each(after, last, MORE)
    turned = tuple(
        max(0.0, b - i * (sum(opened) / MORE + 1)) for b, i in zip(busy, idle, strict=True)
    )
    return Measured((after[0].resident, after[1].resident), idle, opened, (turned[0], turned[1]))


def _each(first: list[Usage], then: list[Usage], over: float) -> tuple[float, float]:
    used = [(b.cpu_seconds - a.cpu_seconds) / over for a, b in zip(first, then, strict=True)]
    return used[0], used[1]


def _usages(processes: tuple[int, int]) -> list[Usage]:
    return [usage_of([process]) for process in processes]


@contextlib.asynccontextmanager
async def _activator(cluster: PlayedCluster) -> AsyncIterator[tuple[int, int]]:
    """An activator; yields its process and its Envoy's."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sampan.app.activator"]
        command += ["--kubeconfig", str(cluster.kubeconfig), f"--folder={folder}/gw"]
        command += ["--health-port=0", f"--front-port={free_port()}", "--identity=bench"]
        process = await asyncio.to_thread(subprocess.Popen, command, stderr=subprocess.DEVNULL)
        try:
            await cluster.create(_slice("kserve", ACTIVATOR, "health", 1))
            yield process.pid, await asyncio.to_thread(_child, process.pid)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


def _child(process: int) -> int:
    for _ in range(600):
        _, *children = tree_of(process)
        if children:
            return children[0]
        time.sleep(0.1)
    raise TimeoutError("the activator has started no Envoy")


async def _make(cluster: PlayedCluster, number: int) -> None:
    awake = number % AWAKE == 0
    name = f"service-{number}-predictor"
    # Who is awake stays so: the played cluster has no subresource "scale".
    terms = encode_terms(Terms(Scaling(SAMPAN, int(awake), 3), rest="http", grpc="http"))
    metadata = {
        "name": name, "namespace": NAMESPACE, "labels": {AUTOSCALER: SAMPAN, "app": name},
        "annotations": {TERMS: terms},
    }  # fmt: skip
    labels = {"app": name}
    container = {"name": "kserve-container", "image": "example/model"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": int(awake), "selector": {"matchLabels": labels}, "template": template}
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    await cluster.store.create(DEPLOYMENTS.id, made)
    if awake:
        await cluster.store.create(
            ENDPOINT_SLICES.id, _slice(NAMESPACE, name + PODS_SUFFIX, "http", 9)
        )


def _slice(namespace: str, service: str, port_name: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-1",
            "namespace": namespace,
            "labels": {SERVICE_NAME: service, AUTOSCALER: SAMPAN},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }


async def _opened(cluster: PlayedCluster, number: int) -> None:
    """Wait until a service is led to its door, and the door takes connections."""
    key = Key(ENDPOINT_SLICES.id, NAMESPACE, f"service-{number}-predictor{SLICE_SUFFIX}")
    async with asyncio.timeout(600):
        while True:
            with contextlib.suppress(NotFound, OSError):
                found = await cluster.store.get(key)
                port = found["ports"][0]["port"]
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.005)
