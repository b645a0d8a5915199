"""The command line on a cluster: the same verbs, by a context of the kubeconfig."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from tests.operator.played_cluster import PlayedCluster, is_ready, until
from tests.operator.test_standard import SERVICES

from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.kinds import PODS

SAMPAN = Path(sys.executable).with_name("sampan")
CRASHED: JsonObject = {
    "phase": "Running",
    "containerStatuses": [
        {
            "name": "kserve-container",
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
        }
    ],
}


async def sampan(cluster: PlayedCluster, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(str(SAMPAN), "--context", "played", *words),
        env={"KUBECONFIG": str(cluster.kubeconfig), "PATH": "/usr/bin", "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, told.decode()


async def test_get_why_and_delete_do_what_they_do_on_a_laptop(
    cluster: PlayedCluster, make_service: Any, tmp_path: Path
) -> None:
    await cluster.start_operator()
    await cluster.create(make_service())

    async def ready() -> bool:
        return is_ready(await cluster.get(SERVICES, "ml", "iris"))

    await until(ready)
    code, told = await sampan(cluster, "get", "isvc", "-n", "ml")
    assert code == 0, told
    assert "http://iris-ml.example.com" in told
    code, told = await sampan(cluster, "why", "iris", "-n", "ml")
    assert code == 0, told
    assert "is Ready" in told
    code, told = await sampan(cluster, "delete", "isvc", "iris", "-n", "ml")
    assert code == 0, told


async def test_why_names_the_pod_that_fails(cluster: PlayedCluster, make_service: Any) -> None:
    cluster.players.held = True
    await cluster.start_operator()
    await cluster.create(make_service())

    async def there() -> JsonObject:
        return await cluster.get(PODS, "ml", "iris-predictor-0")

    await until(there)
    await cluster.players.stop()  # nobody else writes this pod's status now
    pod = await there()
    fresh = {k: v for k, v in pod["metadata"].items() if k != "resourceVersion"}
    await cluster.store.update_status(PODS.id, {**pod, "metadata": fresh, "status": CRASHED})
    code, told = await sampan(cluster, "why", "iris", "-n", "ml")
    assert code == 1
    assert "is not Ready" in told
    assert "CrashLoopBackOff: iris-predictor-0: back-off 5m0s" in told
