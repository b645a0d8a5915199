"""InferenceGraphs from YAML on the laptop: kubectl's objects, status, URL through the gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sampan.client.grpc import InferenceGRPCClient
from sampan.protocol.tensors import InferInput, InferRequest

IRIS = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}
ANSWER = {"predictions": [1, 1]}

GRAPH = """
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata:
  name: {name}
spec:
  nodes:
    root:
      routerType: {kind}
      steps:
{steps}
"""


def graph(name: str, kind: str, *steps: str) -> str:
    return GRAPH.format(name=name, kind=kind, steps="\n".join(f"      - {step}" for step in steps))


def ready_of(sampan: Any, name: str) -> dict[str, Any]:
    status = sampan.api(
        f"/apis/serving.kserve.io/v1alpha1/namespaces/default/inferencegraphs/{name}"
    ).get("status", {})
    found = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
    return {"url": status.get("url"), **found}


def wait_until(look: Callable[[], Any], true: Callable[[Any], bool], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true(seen := look()):
            return seen
        time.sleep(0.1)
    raise AssertionError(f"after {seconds} s: {json.dumps(seen, indent=2)}")


def wait_ready(sampan: Any, name: str) -> dict[str, Any]:
    return wait_until(lambda: ready_of(sampan, name), lambda told: told.get("status") == "True")


@pytest.fixture(scope="module")
def served(sampan: Any, iris: Path, isvc: Callable[..., str]) -> Any:
    for name in ("sklearn-iris", "xgboost-iris"):  # the names of KServe's samples
        sampan.apply(isvc(name, iris))
    for name in ("sklearn-iris", "xgboost-iris"):
        sampan.wait_ready(name)
    return sampan


STEPS = ("serviceName: sklearn-iris\n        name: a", "serviceName: xgboost-iris\n        name: b")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "extra", "answer"),
    [
        pytest.param("Sequence", "", ANSWER, id="one after the other"),
        pytest.param("Ensemble", "", {"a": ANSWER, "b": ANSWER}, id="all at once"),
        pytest.param("Splitter", "\n        weight: 50", ANSWER, id="by shares"),
        pytest.param("Switch", '\n        condition: "instances"', ANSWER, id="by condition"),
    ],
)
def test_a_graph_of_each_type_answers_at_its_url(
    served: Any, kind: str, extra: str, answer: Any
) -> None:
    name = kind.lower()
    served.apply(graph(name, kind, *(step + extra for step in STEPS)))
    told = wait_ready(served, name)
    assert told["url"] == f"http://{name}.default.localhost:{served.port}"
    assert served.predict(name, IRIS, path="/") == (200, answer)
    served.cli("delete", "ig", name)


@pytest.mark.slow
def test_a_graph_waits_for_its_services_and_is_not_ready_without_them(
    served: Any, iris: Path, isvc: Callable[..., str]
) -> None:
    served.apply(graph("late", "Sequence", "serviceName: tardy"))
    told = wait_until(lambda: ready_of(served, "late"), lambda t: t.get("status") == "False")
    assert told["reason"] == "GraphStepNotReady"
    assert 'InferenceService "tardy", which does not exist' in told["message"]
    served.apply(isvc("tardy", iris))
    wait_ready(served, "late")
    assert served.predict("late", IRIS, path="/") == (200, ANSWER)
    served.cli("delete", "isvc", "tardy")
    wait_until(lambda: ready_of(served, "late"), lambda t: t.get("reason") == "GraphStepNotReady")


@pytest.mark.slow
def test_a_graph_is_stopped_started_changed_and_deleted(served: Any) -> None:
    served.apply(graph("life", "Sequence", "serviceName: sklearn-iris"))
    wait_ready(served, "life")
    pods = served.api("/api/v1/namespaces/default/pods")["items"]
    labels = [p["metadata"]["labels"].get("serving.kserve.io/inferencegraph") for p in pods]
    assert labels.count("life") == 1
    stopped = graph("life", "Sequence", "serviceName: sklearn-iris").replace(
        "  name: life", '  name: life\n  annotations: {serving.kserve.io/stop: "true"}'
    )
    served.apply(stopped)
    told = wait_until(lambda: ready_of(served, "life"), lambda t: t.get("reason") == "Stopped")
    assert told["url"] is None
    served.apply(stopped.replace('"true"', '"false"'))
    wait_ready(served, "life")
    served.apply(graph("life", "Ensemble", "serviceName: sklearn-iris\n        name: only"))
    wait_until(
        lambda: served.predict("life", IRIS, path="/"), lambda got: got == (200, {"only": ANSWER})
    )
    served.cli("delete", "ig", "life")
    wait_until(lambda: served.predict("life", IRIS, path="/")[0], lambda status: status == 404)


@pytest.mark.slow
def test_inspect_shows_what_each_step_was_sent_and_answered(served: Any) -> None:
    served.apply(graph("seen", "Sequence", *STEPS))
    told = json.loads(served.cli("graph", "inspect", "seen", "-d", json.dumps(IRIS), "-o", "json"))
    assert (told["status"], told["answer"]) == (200, ANSWER)
    assert [(e["step"], e["status"], e["sent"], e["answered"]) for e in told["edges"]] == [
        ("a", 200, IRIS, ANSWER),
        ("b", 200, IRIS, ANSWER),
    ]
    shown = served.cli("graph", "inspect", "ig/seen", "-d", json.dumps(IRIS))
    assert "root/a  200" in shown
    assert "seen [Sequence]\n├─ a → sklearn-iris" in served.cli("graph", "view", "seen")


@pytest.mark.slow
def test_a_graph_that_leads_nowhere_says_so_and_a_name_that_is_taken_too(served: Any) -> None:
    told = served.run("apply", "-f", "-", stdin=graph("lost", "Sequence", "nodeName: nowhere"))
    assert 'leads to node "nowhere", which the graph does not have' in told.stdout + told.stderr
    wait_until(lambda: ready_of(served, "lost"), lambda t: t.get("reason") == "InvalidGraph")
    served.apply(graph("sklearn-iris", "Sequence", "serviceName: xgboost-iris"))
    wait_until(lambda: ready_of(served, "sklearn-iris"), lambda t: t.get("reason") == "NameTaken")
    assert served.predict("sklearn-iris", IRIS) == (200, ANSWER)
    circle = served.run("apply", "-f", "-", stdin=graph("round", "Switch", "nodeName: root"))
    assert circle.returncode == 1
    assert 'nodes lead back to themselves: "root" -> "root"' in circle.stderr


@pytest.mark.slow
def test_a_graph_enters_another_and_falls_back_where_a_step_is_not_there(served: Any) -> None:
    inner = graph("inner", "Ensemble", "serviceName: sklearn-iris\n        name: only")
    text = '{"root/gone": {"timeout": "5s", "fallback": {"serviceName": "inner"}}}'
    gone = "serviceUrl: http://127.0.0.1:9/\n        name: gone"
    outer = graph("outer", "Sequence", gone).replace(
        "  name: outer",
        f"  name: outer\n  annotations: {{serving.sampan.dev/graph-options: '{text}'}}",
    )
    served.apply(outer)
    told = wait_until(lambda: ready_of(served, "outer"), lambda t: t.get("status") == "False")
    assert told["reason"] == "GraphStepNotReady"
    served.apply(inner)
    wait_ready(served, "outer")
    assert served.predict("outer", IRIS, path="/") == (200, {"only": ANSWER})
    for name in ("outer", "inner"):
        served.cli("delete", "ig", name)


@pytest.mark.slow
def test_a_fused_graph_answers_as_its_services_do_from_one_process(served: Any) -> None:
    fused = graph("fused", "Ensemble", *STEPS).replace(
        "  name: fused", '  name: fused\n  annotations: {serving.sampan.dev/fuse: "true"}'
    )
    served.apply(fused)
    wait_ready(served, "fused")
    assert served.predict("fused", IRIS, path="/") == (200, {"a": ANSWER, "b": ANSWER})
    wrong = {"instances": [[1, 2]]}
    status, told = served.predict("fused", wrong, path="/")
    assert status == 200
    assert told["a"] == served.predict("sklearn-iris", wrong)[1]
    served.cli("delete", "ig", "fused")


@pytest.mark.slow
@pytest.mark.parametrize("fuse", ["false", "true"], ids=["apart", "fused"])
async def test_a_graph_of_v2_services_is_asked_by_grpc_at_the_gateway(
    served: Any, iris: Path, isvc: Callable[..., str], fuse: str
) -> None:
    served.apply(isvc("spoken-iris", iris, "      protocolVersion: v2\n"))
    name = f"spoken-{fuse}"
    served.apply(
        graph(name, "Sequence", "serviceName: spoken-iris").replace(
            f"  name: {name}",
            f'  name: {name}\n  annotations: {{serving.sampan.dev/fuse: "{fuse}"}}',
        )
    )
    wait_ready(served, name)
    rows = InferInput("x", [2, 4], "FP64", [value for row in IRIS["instances"] for value in row])
    authority = ("grpc.default_authority", f"{name}.default.localhost")
    address = f"127.0.0.1:{served.port}"
    async with InferenceGRPCClient(address, channel_args=[authority]) as client:
        answer = await client.infer(InferRequest("spoken-iris", [rows]), timeout=60)
    assert answer.outputs[0].as_numpy().ravel().tolist() == ANSWER["predictions"]
    served.cli("delete", "ig", name)


RPC_ONLY = """
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: rpc-only
spec:
  supportedModelFormats: [{name: sklearn}]
  protocolVersions: [grpc-v2]
  containers:
  - name: kserve-container
    image: kserve/sklearnserver:latest
    args: ["--model_name={{.Name}}", --model_dir=/mnt/models, --http_port=8080]
"""


@pytest.mark.slow
def test_a_service_that_speaks_grpc_only_is_a_step_by_its_name(
    served: Any, iris: Path, isvc: Callable[..., str]
) -> None:
    served.apply(RPC_ONLY)
    told = "      protocolVersion: grpc-v2\n      runtime: rpc-only\n"
    served.apply(isvc("rpc-iris", iris, told))
    served.apply(graph("by-rpc", "Sequence", "serviceName: rpc-iris"))
    wait_ready(served, "by-rpc")
    rows = [value for row in IRIS["instances"] for value in row]
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP64", "data": rows}
    status, answer = served.predict("by-rpc", {"inputs": [tensor]}, path="/")
    assert status == 200
    assert answer["outputs"][0]["data"] == ANSWER["predictions"]
    metrics = served.cli("graph", "inspect", "by-rpc", "-d", json.dumps({"inputs": [tensor]}))
    assert "root/0  200" in metrics
    served.cli("delete", "ig", "by-rpc")


SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
ROWS = {
    "ensemble-model-e77647": {"sklearn-iris": ANSWER, "xgboost-iris": ANSWER},
    "splitter-model-cb9e8c": ANSWER,
    "model-ensemble-555f12": {f"model_{letter}": ANSWER for letter in "abc"},
}


@pytest.mark.slow
@pytest.mark.parametrize("sample", ROWS)
def test_a_sample_of_kserve_s_runs_as_it_is_once_its_services_do(
    served: Any, iris: Path, isvc: Callable[..., str], sample: str
) -> None:
    path = SAMPLES / f"inferencegraph-{sample}.yaml"
    if not path.exists():
        pytest.skip("no samples of KServe beside this repository (../shared/samples)")
    name = sample.rpartition("-")[0]
    served.apply(path.read_text())
    if name == "model-ensemble":
        told = wait_until(lambda: ready_of(served, name), lambda t: t.get("status") == "False")
        assert 'InferenceService "model-a", which does not exist' in told["message"]
        for letter in "abc":
            served.apply(isvc(f"model-{letter}", iris))
    wait_ready(served, name)
    assert served.predict(name, IRIS, path="/") == (200, ROWS[sample])
