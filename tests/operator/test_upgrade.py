"""One version of the operator after another over the same services: no pod starts anew.

The version of before is what the repository had one commit ago, or `SAMPAN_UPGRADE_FROM` (a tag, a
commit); it is unpacked beside this one and run as its own process.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.operator.played_cluster import PlayedCluster, is_ready, rested, until
from tests.operator.test_process import Process, started
from tests.operator.test_standard import SERVICES

from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, LEASES, PODS

ROOT = Path(__file__).parents[2]
GRAPHS = RESOURCES.get("inferencegraphs.serving.kserve.io")
NAMES = ("one", "two")
GRAPH: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "InferenceGraph",
    "metadata": {"name": "chain", "namespace": "ml"},
    "spec": {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceName": "one"}]}}},
}


@pytest.fixture(scope="module")
def version_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the version of before, unpacked."""
    commit = os.environ.get("SAMPAN_UPGRADE_FROM", "HEAD~1")
    archive = tmp_path_factory.mktemp("before") / "sources.tar"
    asked = ("git", "-C", str(ROOT), "archive", "-o", str(archive), commit, "src")
    made = subprocess.run(asked, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f'no version "{commit}" to come from: {made.stderr.strip()}')
    with tarfile.open(archive) as sources:
        sources.extractall(archive.parent, filter="data")
    folder = archive.parent / "src"
    asked = (sys.executable, "-c", "import sampan; print(sampan.__file__)")
    told = subprocess.check_output(asked, env={**os.environ, "PYTHONPATH": str(folder)}, text=True)
    assert told.startswith(str(folder)), "the version of before is what is run"
    return folder


async def leads(cluster: PlayedCluster, identity: str) -> bool:
    lease = await cluster.store.get(Key(LEASES.id, "kserve", "sampan-operator"))
    return bool(lease["spec"].get("holderIdentity") == identity)


async def all_ready(cluster: PlayedCluster) -> bool:
    found = [await cluster.get(SERVICES, "ml", name) for name in NAMES]
    return all(map(is_ready, (*found, await cluster.get(GRAPHS, "ml", "chain"))))


async def running(cluster: PlayedCluster) -> dict[str, Any]:
    """The templates that run, and the pods that were made of them."""
    deployments = (await cluster.store.list(DEPLOYMENTS.id, "ml")).items
    pods = (await cluster.store.list(PODS.id, "ml")).items
    made = {p["metadata"]["name"]: p["metadata"]["uid"] for p in pods}
    templates = {
        d["metadata"]["name"]: (d["metadata"]["generation"], d["spec"]["template"])
        for d in deployments
    }
    return {"templates": templates, "pods": made}


async def hand_over(cluster: PlayedCluster, first: Process, second: str) -> None:
    """Stop who acts; the one that stands by goes on."""
    assert await first.stop() == 0
    await until(lambda: leads(cluster, second), 120)
    await rested(cluster, 1.0)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_pod_starts_anew_from_version_to_version_and_back(
    cluster: PlayedCluster,
    make_service: Any,
    version_before: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(version_before))
    async with started(cluster, "--webhook-port=0", "--identity=before") as before:
        await until(lambda: leads(cluster, "before"), 120, lambda: "\n".join(before.lines))
        await cluster.create(*(make_service(name) for name in NAMES), GRAPH)
        await until(lambda: all_ready(cluster), 120, lambda: "\n".join(before.lines))
        await rested(cluster, 1.0)
        at_first = await running(cluster)
        assert set(at_first["templates"]) == {"one-predictor", "two-predictor", "chain"}
        monkeypatch.delenv("PYTHONPATH")
        async with started(cluster, "--webhook-port=0", "--identity=now") as now:
            await now.door("health and metrics")
            await hand_over(cluster, before, "now")
            assert await running(cluster) == at_first
            assert await all_ready(cluster)
            monkeypatch.setenv("PYTHONPATH", str(version_before))
            async with started(cluster, "--webhook-port=0", "--identity=again") as again:
                await again.door("health and metrics")
                await hand_over(cluster, now, "again")
                assert await running(cluster) == at_first
                assert await all_ready(cluster)
    await asyncio.sleep(1)
    assert await running(cluster) == at_first, "models run on without any operator"
    assert await all_ready(cluster)
