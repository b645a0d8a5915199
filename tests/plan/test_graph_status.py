"""What a graph's status says of what was decided and seen, and which events follow."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from sampan.api.config import Config
from sampan.plan.graph_build import GraphSnapshot, build_graph_plan
from sampan.plan.graph_status import derive_graph_events, derive_graph_status
from sampan.plan.observed import (
    NOTHING,
    Link,
    LinkState,
    Observed,
    ObservedReplica,
    ObservedWorkload,
)
from sampan.plan.types import Gateway

Json = dict[str, Any]
DONE = Link(LinkState.DONE)


def graph(nodes: Json | None = None, **metadata: Any) -> Json:
    root = {"root": {"routerType": "Sequence", "steps": [{"serviceName": "iris"}]}}
    return {
        "metadata": {"name": "g", "namespace": "default", "generation": 2, **metadata},
        "spec": {"nodes": nodes or root},
    }


def service(name: str = "iris", ready: str = "True", **spec: Any) -> Json:
    condition = {"type": "Ready", "status": ready, "reason": "" if ready == "True" else "Loading"}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"predictor": {"model": {"storageUri": "x", **spec}}},
        "status": {"conditions": [condition], "address": {"url": f"http://gw/{name}"}},
    }


def snapshot(given: Json | None = None, *services: Json) -> GraphSnapshot:
    known = {s["metadata"]["name"]: s for s in services or (service(),)}
    return GraphSnapshot(given or graph(), known, {}, Config(), Gateway(), NOTHING, now=1000.0)


def seen(given: GraphSnapshot, *, ready: bool = True, route: Link = DONE) -> Observed:
    [workload] = build_graph_plan(given).workloads
    load = DONE if ready else Link(LinkState.FAILED, "Unhealthy", "it does not answer")
    replica = ObservedReplica(
        "g-1", "g", workload.template_hash, running=True, ready=ready, load=load
    )
    made = ObservedWorkload("g", "router", workload.template_hash, DONE, DONE, (replica,))
    return Observed((made,), route)


def ready_of(status: Json) -> tuple[str, str, str]:
    found = next(c for c in status["conditions"] if c["type"] == "Ready")
    return found["status"], found.get("reason", ""), found.get("message", "")


def status_of(given: GraphSnapshot, observed: Observed = NOTHING) -> Json:
    return derive_graph_status(given, build_graph_plan(given), observed)


def test_a_graph_that_passes_requests_is_ready_and_has_its_url() -> None:
    given = snapshot()
    status = status_of(given, seen(given))
    assert ready_of(status) == ("True", "", "")
    assert status["url"] == "http://g.default.localhost:8080"
    assert (status["observedGeneration"], status["deploymentMode"]) == (2, "Standard")


CIRCLE = {"root": {"routerType": "Switch", "steps": [{"nodeName": "root"}]}}
LOST = {"root": {"routerType": "Switch", "steps": [{"nodeName": "x"}]}}


@pytest.mark.parametrize(
    ("given", "reason", "words"),
    [
        pytest.param(snapshot(graph(), service("other")), "GraphStepNotReady",
                     'InferenceService "iris", which does not exist', id="a service is missing"),
        pytest.param(snapshot(graph(), {**service(), "status": {}}), "GraphStepNotReady",
                     "has no address yet", id="a service has no address"),
        pytest.param(snapshot(graph(), service(protocolVersion="grpc-v1")), "GraphStepNotReady",
                     'speaks "grpc-v1"', id="a service speaks what a graph does not"),
        pytest.param(snapshot(graph(), service(), service("g")), "NameTaken",
                     'InferenceService "g" answers at the same address', id="its name is taken"),
        pytest.param(snapshot(graph(LOST)), "InvalidGraph", 'leads to node "x"', id="a lost node"),
        pytest.param(snapshot(graph(CIRCLE)), "InvalidGraph", "back to themselves", id="a circle"),
    ],
)  # fmt: skip
def test_a_decision_that_cannot_be_taken(given: GraphSnapshot, reason: str, words: str) -> None:
    status, told, message = ready_of(status_of(given))
    assert (status, told) == ("False", reason)
    assert words in message
    assert build_graph_plan(given).workloads == ()


def test_a_graph_is_not_ready_while_a_service_of_it_is_not() -> None:
    given = snapshot(graph(), service(ready="False"))
    status, reason, message = ready_of(status_of(given, seen(given)))
    assert (status, reason) == ("False", "GraphStepNotReady")
    assert 'InferenceService "iris", which is not Ready (Loading); "sampan why iris"' in message


def entering(*names: str) -> dict[str, Json]:
    """Graphs that each enter the one after it."""
    return {
        name: {"kind": "InferenceGraph",
               **graph({"root": {"routerType": "Sequence", "steps": [{"serviceName": after}]}}),
               "metadata": {"name": name, "namespace": "default"},
               "status": service(name)["status"] | {"url": f"http://{name}.default.localhost:8080"}}
        for name, after in pairwise(names)
    }  # fmt: skip


def test_a_step_may_enter_another_graph() -> None:
    graphs = entering("g", "inner", "iris")
    given = replace(snapshot(graphs["g"]), graphs=graphs)
    assert ready_of(status_of(given, seen(given))) == ("True", "", "")
    [router] = build_graph_plan(given).workloads
    assert "http://inner.default.localhost:8080/" in str(router.template)


def test_a_graph_is_not_ready_while_a_graph_that_it_enters_is_not() -> None:
    graphs = entering("g", "inner", "iris")
    graphs["inner"]["status"]["conditions"][0]["status"] = "False"
    given = replace(snapshot(graphs["g"]), graphs=graphs)
    status, reason, message = ready_of(status_of(given, seen(given)))
    assert (status, reason) == ("False", "GraphStepNotReady")
    assert 'InferenceGraph "inner", which is not Ready' in message
    assert '"sampan why ig/inner"' in message


def test_a_graph_waits_for_the_address_of_a_graph_that_it_enters() -> None:
    graphs = entering("g", "inner", "iris")
    del graphs["inner"]["status"]
    status, reason, message = ready_of(status_of(replace(snapshot(graphs["g"]), graphs=graphs)))
    assert (status, reason) == ("False", "GraphStepNotReady")
    assert 'InferenceGraph "inner", which has no address yet' in message


def test_graphs_that_enter_each_other_in_a_circle_are_told_the_circle() -> None:
    graphs = entering("g", "a", "b", "g")
    status, reason, message = ready_of(status_of(replace(snapshot(graphs["g"]), graphs=graphs)))
    assert (status, reason) == ("False", "InvalidGraph")
    assert '"g" -> "a" -> "b" -> "g"' in message


FUSED = {"annotations": {"serving.sampan.dev/fuse": "true"}}


def fusable(name: str = "iris", **spec: Any) -> Json:
    usual = {"modelFormat": {"name": "sklearn"}, "storageUri": f"gs://models/{name}"}
    made = service(name, **(usual | spec))
    made["status"]["address"]["url"] = f"http://{name}-predictor.default.svc.cluster.local"
    return made


def two(first: str = "iris", second: str = "tree") -> Json:
    steps = [{"serviceName": first}, {"serviceName": second}, {"serviceUrl": "http://elsewhere/x"}]
    return {"root": {"routerType": "Sequence", "steps": steps}}


def test_a_fused_graph_is_one_process_with_the_models_of_its_steps() -> None:
    given = snapshot(graph(two(), **FUSED), fusable(), fusable("tree", protocolVersion="v2"))
    [router] = build_graph_plan(given).workloads
    assert [(source.uri, source.path) for source in router.models] == [
        ("gs://models/iris", "/mnt/models/iris"),
        ("gs://models/tree", "/mnt/models/tree"),
    ]
    [container] = router.template["spec"]["containers"]
    assert container["image"] == "kserve/sklearnserver:latest"
    assert container["command"][:3] == ["python", "-m", "sampan.app.route"]
    text = router.template["metadata"]["annotations"]["serving.sampan.dev/graph"]
    assert '"local:/v1/models/iris:predict"' in text
    assert '"local:/v2/models/tree/infer"' in text
    assert '"http://elsewhere/x"' in text


def test_a_graph_that_does_not_ask_for_it_is_not_fused() -> None:
    given = snapshot(graph(two()), fusable(), fusable("tree"))
    [router] = build_graph_plan(given).workloads
    assert router.models == ()
    assert router.template["spec"]["containers"][0]["image"] == "kserve/router:latest"


def beside(**spec: Any) -> Json:
    made = fusable("tree")
    made["spec"] |= spec
    return made


def trusted() -> Json:
    made = fusable("tree")
    made["metadata"]["annotations"] = {"serving.sampan.dev/trust": "true"}
    return made


@pytest.mark.parametrize(
    ("other", "words"),
    [
        pytest.param(fusable("tree", modelFormat={"name": "onnx"}), "serves no model of a format",
                     id="a format that is not fused"),
        pytest.param(fusable("tree", modelFormat={"name": "xgboost"}), "different model formats",
                     id="two formats"),
        pytest.param(fusable("tree", runtime="mine"), 'names runtime "mine"', id="a runtime"),
        pytest.param(fusable("tree", args=["--x"]), "sets args", id="arguments"),
        pytest.param(fusable("tree", runtimeVersion="1.5.2"), "different runtimeVersions",
                     id="two versions"),
        pytest.param(beside(transformer={"containers": [{"name": "t"}]}), "has a transformer",
                     id="a transformer"),
        pytest.param(beside(predictor={"containers": [{"name": "c"}]}), "serves no model",
                     id="a custom predictor"),
        pytest.param(fusable("tree", storageUri=None), "has no storageUri", id="no place"),
        pytest.param(trusted(), "different degrees of trust", id="trust in one of them"),
    ],
)  # fmt: skip
def test_a_graph_that_cannot_be_one_process_says_why(other: Json, words: str) -> None:
    given = snapshot(graph(two(), **FUSED), fusable(), other)
    status, reason, message = ready_of(status_of(given))
    assert (status, reason) == ("False", "CannotFuse")
    assert words in message
    assert "tree" in message


def test_a_graph_that_enters_another_is_not_one_process() -> None:
    inner = entering("inner", "iris")["inner"]
    given = replace(snapshot(graph(two("iris", "inner"), **FUSED), fusable()),
                    graphs={"inner": inner})  # fmt: skip
    status, reason, message = ready_of(status_of(given))
    assert (status, reason) == ("False", "CannotFuse")
    assert 'enters InferenceGraph "inner"' in message


@pytest.mark.parametrize(
    ("ready", "route", "reason", "words"),
    [
        pytest.param(False, DONE, "Unhealthy", "load: it does not answer", id="a failed router"),
        pytest.param(True, Link(LinkState.RUNNING), "MinimumReplicasUnavailable",
                     "router: route is running", id="a route that is not there yet"),
    ],
)  # fmt: skip
def test_a_router_that_does_not_serve(ready: bool, route: Link, reason: str, words: str) -> None:
    given = snapshot()
    told = ready_of(status_of(given, seen(given, ready=ready, route=route)))
    assert told == ("False", reason, words)


def test_a_stopped_graph_has_no_url_and_runs_nothing() -> None:
    given = snapshot()
    running = status_of(given, seen(given))
    stopped = {**graph(annotations={"serving.kserve.io/stop": "true"}), "status": running}
    given = snapshot(stopped)
    status = status_of(given)
    assert ready_of(status)[:2] == ("False", "Stopped")
    assert "url" not in status
    assert build_graph_plan(given).workloads == ()
    types = {c["type"]: c["status"] for c in status["conditions"]}
    assert types == {"Ready": "False", "Stopped": "True"}


def test_deriving_twice_gives_the_same_status_and_no_event() -> None:
    given = snapshot()
    once = status_of(given, seen(given))
    again = replace(given, graph={**graph(), "status": once}, now=2000.0)
    assert status_of(again, seen(given)) == once
    assert derive_graph_events("g", once, once) == ()


def test_events_tell_of_becoming_ready_and_of_ceasing_to_be() -> None:
    given = snapshot()
    ready = status_of(given, seen(given))
    [event] = derive_graph_events("g", {}, ready)
    assert (event.type, event.reason) == ("Normal", "InferenceGraphReady")
    lost = status_of(snapshot(graph(), service("other")))
    told = derive_graph_events("g", ready, lost)
    assert [e.reason for e in told] == ["InferenceGraphNotReady", "GraphStepNotReady"]


def test_the_router_is_told_the_graph_in_a_file_with_each_step_s_address() -> None:
    [router] = build_graph_plan(snapshot()).workloads
    [text] = router.template["metadata"]["annotations"].values()
    assert '"serviceUrl":"http://gw/iris/v1/models/iris:predict"' in text
    container = router.template["spec"]["containers"][0]
    assert container["args"] == ["--graph-file", "/etc/sampan/graph/graph.json"]
    assert "env" not in container


def test_headers_that_the_operator_propagates_are_passed_to_the_router() -> None:
    given = replace(snapshot(), config=Config(router_headers=("Authorization", "X-*")))
    [router] = build_graph_plan(given).workloads
    env = router.template["spec"]["containers"][0]["env"]
    assert env == [{"name": "PROPAGATE_HEADERS", "value": "Authorization,X-*"}]


def test_a_graph_and_a_service_are_never_taken_for_each_other() -> None:
    key = build_graph_plan(snapshot()).service
    assert (key.kind, key.object_name, key.name) == ("InferenceGraph", "g", "g.graph")
