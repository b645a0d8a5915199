"""kubectl and KServe's own client, unmodified, lead services through their life on a cluster."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from bench.peers import peer_python
from bench.setting import CannotMeasure, Setting
from tests.operator.played_cluster import PlayedCluster
from tests.operator.test_process import started
from tests.real_api_clients.conftest import CLIENTS

from sampan.apiserver.certificates import apply_certificates

KUBECTL = shutil.which("kubectl")
PROGRAM = Path(__file__).parents[1] / "real_api_clients" / "program_kserve_cluster.py"
STEPS = (
    "create_and_wait_until_it_is_ready", "a_canary_gets_its_share", "it_is_promoted_by_its_name",
    "it_is_scaled", "it_goes_with_what_it_was_made_of",
)  # fmt: skip
READY = "--for=condition=Ready"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Kubectl = Callable[..., Awaitable[str]]


async def run(*command: str, stdin: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 240)
    assert process.returncode == 0, f"{' '.join(command)}: {err.decode()}{out.decode()}"
    return out.decode()


def over_tls(cluster: PlayedCluster, folder: Path) -> Path:
    """A kubeconfig by which the cluster is asked over TLS: kubectl sends a token no other way."""
    certificates = apply_certificates(folder / "pki", time.time())
    cluster.listener.tls = certificates.context()
    config = json.loads(cluster.kubeconfig.read_text())
    asked = config["clusters"][0]["cluster"]
    asked["server"] = asked["server"].replace("http:", "https:")
    asked["certificate-authority"] = str(certificates.authority)
    path = folder / "kubeconfig-tls"
    path.write_text(json.dumps(config))
    return path


@pytest.fixture
def kubectl(cluster: PlayedCluster, tmp_path: Path) -> Kubectl:
    if KUBECTL is None:
        pytest.skip("kubectl is not on this machine")
    kubeconfig = over_tls(cluster, tmp_path)

    async def ask(*words: str, stdin: Any = "") -> str:
        text = stdin if isinstance(stdin, str) else json.dumps(stdin)
        named = (KUBECTL, "--kubeconfig", str(kubeconfig), "-n", "ml", *words)
        return await run(*named, stdin=text)

    return ask


@pytest.fixture(scope="module")
def clients_python() -> str:
    try:
        return peer_python(Setting(), CLIENTS)
    except CannotMeasure as why:
        pytest.skip(f"the clients are not on this machine: {why}")


async def gone(kubectl: Kubectl, *names: str) -> None:
    for name in names:
        await kubectl("wait", "--for=delete", name, "--timeout=120s")


async def test_kubectl_leads_a_service_and_a_graph_through_their_life(
    cluster: PlayedCluster, make_service: Callable[..., dict[str, Any]], kubectl: Kubectl
) -> None:
    await cluster.ensure_namespace("ml")
    async with started(cluster, "--webhook-port=0"):
        service = make_service()
        await kubectl("apply", "-f", "-", stdin=service)
        await kubectl("wait", READY, "isvc/iris", "--timeout=120s")
        assert "http://iris-ml.example.com" in await kubectl("get", "isvc", "iris")

        model = {**service["spec"]["predictor"]["model"], "storageUri": "gs://models/iris/2"}
        canary = [{"predictor": {"name": "next", "model": model}, "trafficPercent": 25}]
        await kubectl("apply", "-f", "-", stdin={**service, "spec": {
            **service["spec"], "canary": canary}})  # fmt: skip
        share = "--for=jsonpath={.status.canaryStatuses[0].ready}=true"
        await kubectl("wait", share, "isvc/iris", "--timeout=120s")
        routed = await kubectl("get", "httproute", "iris", "-o", "jsonpath={..weight}")
        assert routed.split() == ["75", "25"]

        promoted = {**service, "spec": {"predictor": {"name": "next", "model": model}}}
        await kubectl("apply", "-f", "-", stdin=promoted)
        await gone(kubectl, "deployment/iris-predictor")
        await kubectl("wait", READY, "isvc/iris", "--timeout=120s")

        scale = {"spec": {"predictor": {"minReplicas": 2, "maxReplicas": 3}}}
        await kubectl("patch", "isvc", "iris", "--type=merge", "-p", json.dumps(scale))
        bounds = "--for=jsonpath={.spec.minReplicas}=2"
        await kubectl(
            "wait", bounds, "horizontalpodautoscaler/iris-next-predictor", "--timeout=120s"
        )

        image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "example.com/new"}]
        runtime = ("clusterservingruntime", "kserve-sklearnserver")
        await kubectl("patch", *runtime, "--type=json", "-p", json.dumps(image))
        new = "--for=jsonpath={.spec.template.spec.containers[0].image}=example.com/new"
        await kubectl("wait", new, "deployment/iris-next-predictor", "--timeout=120s")

        nodes = {"root": {"routerType": "Sequence", "steps": [{"serviceName": "iris"}]}}
        graph = {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "InferenceGraph",
            "metadata": {"name": "chain", "namespace": "ml"},
            "spec": {"nodes": nodes},
        }
        await kubectl("apply", "-f", "-", stdin=graph)
        await kubectl("wait", READY, "inferencegraph/chain", "--timeout=120s")
        await kubectl("delete", "inferencegraph", "chain")

        stop = "serving.kserve.io/stop"
        await kubectl("annotate", "isvc", "iris", f"{stop}=true")
        await gone(kubectl, "deployment/iris-next-predictor")
        await kubectl("annotate", "isvc", "iris", f"{stop}-")
        await kubectl("wait", READY, "isvc/iris", "--timeout=120s")

        await kubectl("delete", "isvc", "iris", "--timeout=120s")
        await gone(kubectl, "deployment/iris-next-predictor", "httproute/iris")


async def test_kserve_s_client_leads_a_service_through_its_life(
    cluster: PlayedCluster, clients_python: str
) -> None:
    await cluster.ensure_namespace("ml")
    async with started(cluster, "--webhook-port=0"):
        told = await run(clients_python, str(PROGRAM), str(cluster.kubeconfig))
    steps = dict(json.loads(line) for line in told.splitlines() if line[:1] == "[")
    assert steps == dict.fromkeys(STEPS, "")
