"""Where the steps of a graph lead."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.plan.graph import make_resolved_nodes
from sampan.plan.graph_build import service_names
from sampan.plan.graph_json import make_graph_json
from sampan.plan.types import Blocked
from sampan.router.graph import parse_graph

ADDRESS = "http://iris-predictor.default.svc.cluster.local"
READY = {"address": {"url": ADDRESS}}


def resolved(step: dict[str, Any], service: Any = None, runtime: Any = None) -> Any:
    graph = {"spec": {"nodes": {"root": {"routerType": "Sequence", "steps": [step]}}}}
    found = make_resolved_nodes(graph, lambda _: service, lambda _: runtime)
    return found if isinstance(found, Blocked) else found["root"]["steps"][0]


def url(make: Any, runtime: Any = None, **spec: Any) -> str:
    service = make.service(status=READY, **spec)
    return str(resolved({"serviceName": "iris"}, service, runtime)["serviceUrl"])


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "kserve-container", **fields}]}


PATHS = {
    "V1, where nothing is said": ({}, "/v1/models/iris:predict"),
    "V2 by the model": ({"model": {"protocolVersion": "v2"}}, "/v2/models/iris/infer"),
    "a custom server's variable": (
        container(env=[{"name": "PROTOCOL", "value": "v2"}]), "/v2/models/iris/infer",
    ),
    "the transformer's variable stands first": (
        {
            "model": {"protocolVersion": "v2"},
            "transformer": container(env=[{"name": "PROTOCOL", "value": "v1"}]),
        },
        "/v1/models/iris:predict",
    ),
    "the transformer's model name": (
        {"transformer": container(args=["--model_name", "mine"])}, "/v1/models/mine:predict",
    ),
    "the server's model name": (
        {"model": {"args": ["--model_name=mine"]}}, "/v1/models/mine:predict",
    ),
    "MLServer's variable": (
        {"model": {"env": [{"name": "MLSERVER_MODEL_NAME", "value": "mine"}]}},
        "/v1/models/mine:predict",
    ),
    "a server of many models says nothing of which": ({"model": {"storageUri": None}}, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", PATHS.values(), ids=PATHS.keys())
def test_a_service_is_asked_at_its_address_by_the_path_of_its_protocol(make, case):
    spec, path = case
    assert url(make, **spec) == f"{ADDRESS}{path}"


def test_a_named_runtime_s_first_protocol_of_the_two_counts(make):
    runtime = make.runtime(protocolVersions=["grpc-v2", "v2"])
    found = url(make, runtime, model={"runtime": "kserve-sklearnserver"})
    assert found == f"{ADDRESS}/v2/models/iris/infer"


def test_a_service_that_speaks_grpc_only_is_asked_by_its_model_s_name(make):
    by_grpc = f"grpc{ADDRESS.removeprefix('http')}"
    spoken = {"protocolVersion": "grpc-v2"}
    assert url(make, model=spoken) == f"{by_grpc}/iris"
    named = {**spoken, "args": ["--model_name=mine"]}
    assert url(make, model=named) == f"{by_grpc}/mine"
    runtime = make.runtime(protocolVersions=["grpc-v1", "grpc-v2"])
    assert url(make, runtime, model={"runtime": "kserve-sklearnserver"}) == f"{by_grpc}/iris"


def test_of_many_models_by_grpc_the_step_names_one(make):
    service = make.service(status=READY, model={"protocolVersion": "grpc-v2", "storageUri": None})
    found = resolved({"serviceName": "iris"}, service)
    assert isinstance(found, Blocked)
    assert "serves many models by gRPC; name one as the option path" in found.message
    step = resolved({"serviceName": "iris", "sampan": {"path": "/mine"}}, service)
    assert step["serviceUrl"] == f"grpc{ADDRESS.removeprefix('http')}/mine"


@pytest.mark.parametrize("step", [{"nodeName": "other"}, {"serviceUrl": "http://a/b"}])
def test_a_step_that_names_no_service_stays_as_it_is(step):
    assert resolved(step) == step


def test_a_url_stands_before_a_name():
    step = {"serviceName": "iris", "serviceUrl": "http://a/b"}
    assert resolved(step) == step


def waiting(make: Any) -> list[tuple[Any, Any, str]]:
    speaks = make.service(status=READY, model={"runtime": "r"})
    other = make.runtime(protocolVersions=["grpc-v1"])
    return [
        (None, None, "does not exist"),
        (make.service(), None, "has no address yet"),
        (speaks, other, 'speaks "grpc-v1"'),
    ]


@pytest.mark.parametrize("case", range(3), ids=["not there", "not ready", "gRPC only"])
def test_a_graph_waits_and_says_for_what(make, case):
    service, runtime, words = waiting(make)[case]
    found = resolved({"serviceName": "iris"}, service, runtime)
    assert isinstance(found, Blocked)
    assert found.reason == "GraphStepNotReady"
    assert words in found.message
    assert '"iris"' in found.message


OPTIONS = "serving.sampan.dev/graph-options"


def test_options_stand_at_their_steps_and_a_fallback_has_its_address(make):
    text = '{"root/0": {"timeout": "1s", "fallback": {"serviceName": "iris"}}, "root": {}}'
    graph = {
        "metadata": {"annotations": {OPTIONS: text}},
        "spec": {
            "nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "http://a"}]}}
        },
    }
    nodes = make_resolved_nodes(graph, lambda _: make.service(status=READY), lambda _: None)
    [step] = nodes["root"]["steps"]
    spare = {"serviceUrl": f"{ADDRESS}/v1/models/iris:predict"}
    assert step["sampan"] == {"timeout": "1s", "fallback": spare}
    line = make_graph_json(graph, nodes)
    [read] = parse_graph(line).root.steps
    assert read.options.timeout == 1.0
    assert read.fallback is not None
    assert read.fallback.url == spare["serviceUrl"]


def test_a_path_among_the_options_follows_the_service_s_address(make):
    graph = {
        "metadata": {"annotations": {OPTIONS: '{"root/0": {"path": "/v2/models/x/infer"}}'}},
        "spec": {"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceName": "iris"}]}}},
    }
    service = make.service(status={"address": {"url": "http://localhost:8080/serving/ml/iris"}})
    nodes = make_resolved_nodes(graph, lambda _: service, lambda _: None)
    url = "http://localhost:8080/serving/ml/iris/v2/models/x/infer"
    assert nodes["root"]["steps"] == [{"serviceName": "iris", "serviceUrl": url}]


def test_a_graph_waits_for_the_service_of_a_fallback():
    text = '{"root/0": {"fallback": {"serviceName": "gone"}}}'
    graph = {
        "metadata": {"annotations": {OPTIONS: text}},
        "spec": {
            "nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "http://a"}]}}
        },
    }
    blocked = make_resolved_nodes(graph, lambda _: None, lambda _: None)
    assert 'names InferenceService "gone", which does not exist' in blocked.message
    assert service_names(graph) == ("gone",)


def test_a_service_that_is_asked_over_http_is_not_asked_for_a_stream_by_grpc(make):
    service = make.service(status=READY)
    found = resolved({"serviceName": "iris", "sampan": {"stream": True}}, service)
    assert isinstance(found, Blocked)
    assert found.message == (
        'a step names InferenceService "iris", which speaks "v1", and the option stream is of '
        "grpc-v2; over HTTP a step streams of itself: leave the option out"
    )
    spoken = make.service(status=READY, model={"protocolVersion": "grpc-v2"})
    step = resolved({"serviceName": "iris", "sampan": {"stream": True}}, spoken)
    assert step["sampan"] == {"stream": True}
