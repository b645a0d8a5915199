"""Pods that a cluster's API server asks the webhook about, fifty a second over TLS."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx
from bench.operator_rows.stage import operating, service, stage
from bench.row import Goal, Row, make_row
from bench.setting import Setting
from tests.operator.played_cluster import PlayedCluster, until
from tests.operator.test_process import STORAGE_CONTAINER, free_port

from sampan.machinery.errors import NotFound
from sampan.machinery.store import Key
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS
from sampan.webhooks.certificates import SECRET_NAME
from sampan.webhooks.paths import MUTATE_PODS

PER_SECOND = 50
PODS = 500
CONNECTIONS = 4
FIRST = 20
"""Asked before it counts: connections are made, modules imported."""


def mutate(setting: Setting) -> Iterator[Row]:
    """Milliseconds from a review of a pod to its answer."""
    del setting
    took, cpu = asyncio.run(_mutate())
    ordered = sorted(took)
    late, middle = ordered[int(len(ordered) * 0.99)], ordered[len(ordered) // 2]
    told = f"p50 {middle:.1f} ms; {1000 * cpu / PODS:.2f} ms of CPU a pod; {PER_SECOND} a second"
    yield make_row("mutation of a pod, p99", "ms", [late], [], Goal(limit=20), note=told)


async def _mutate() -> tuple[list[float], float]:
    port = free_port()
    more = (f"--webhook-port={port}", "--webhook-name=127.0.0.1")
    async with stage() as cluster:
        await cluster.create({"metadata": {"name": "default"}, **STORAGE_CONTAINER})
        await cluster.ensure_namespace("kserve")
        async with operating(cluster, *more) as operator:
            await cluster.create(service(0))
            await operator.rest()
            review = await _make_review(cluster)
            async with await _asking(cluster, port) as client:
                await _ask(client, review, FIRST)
                before = operator.usage().cpu_seconds
                took = await _ask(client, review, PODS)
                return took, operator.usage().cpu_seconds - before


async def _asking(cluster: PlayedCluster, port: int) -> httpx.AsyncClient:
    """An HTTP client that trusts the webhook, and keeps its connections as an API server does."""

    async def made() -> Any:
        try:
            return await cluster.store.get(Key("secrets", "kserve", SECRET_NAME))
        except NotFound:
            return None

    secret = await until(made, 120)
    bundle = base64.b64decode(secret["data"]["ca.crt"]).decode()
    trust = ssl.create_default_context(cadata=bundle)
    url, few = f"https://127.0.0.1:{port}", httpx.Limits(max_connections=CONNECTIONS)
    return httpx.AsyncClient(base_url=url, verify=trust, limits=few, timeout=60, trust_env=False)


async def _make_review(cluster: PlayedCluster) -> dict[str, Any]:
    deployment = await cluster.get(DEPLOYMENTS, "team-0", "iris-0-predictor")
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "iris-0-predictor-x", "namespace": "team-0"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    request = {"uid": "1", "operation": "CREATE", "namespace": "team-0", "object": pod}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


async def _ask(client: httpx.AsyncClient, review: dict[str, Any], count: int) -> list[float]:
    """Ask on time, whether or not the one before has been answered."""
    body, headers = json.dumps(review).encode(), {"content-type": "application/json"}
    took: list[float] = []

    async def ask() -> None:
        began = time.monotonic()
        answer = (await client.post(MUTATE_PODS, content=body, headers=headers)).json()
        if not answer["response"].get("patch"):
            raise ValueError(f"the pod was not changed: {answer}")
        took.append(1000 * (time.monotonic() - began))

    async with asyncio.TaskGroup() as group:
        next_at = time.monotonic()
        for _ in range(count):
            group.create_task(ask())
            next_at += 1 / PER_SECOND
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
    return took
