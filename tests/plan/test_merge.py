"""The pod spec of a predictor: runtime and service merged, or why that cannot be."""

from __future__ import annotations

import copy

import pytest

from sampan.plan.merge import main_container, make_pod_spec
from sampan.plan.select import select_runtime
from sampan.plan.server_type import RuntimeDefaults

NAME_ENV = {"name": "INFERENCE_SERVICE_NAME", "value": "iris"}


def merge(service, runtime, defaults=None):
    return make_pod_spec(
        service, select_runtime(service, [], [runtime]), defaults or RuntimeDefaults()
    )


def container_of(service, runtime, defaults=None):
    merged = merge(service, runtime, defaults)
    assert merged.blocked is None
    return merged.spec["containers"][0]


def with_container(make, **fields):
    base = {"name": "kserve-container", "image": "server:1"}
    return make.runtime(containers=[{**base, **fields}])


def test_the_runtime_s_container_with_its_placeholders_rendered(make):
    assert container_of(make.service(), make.runtime()) == {
        "name": "kserve-container",
        "image": "kserve/sklearnserver:latest",
        "args": ["--model_name=iris", "--model_dir=/mnt/models", "--http_port=8080"],
        "resources": {},
        "env": [NAME_ENV],
    }


CONTAINERS = {
    "arguments are appended": ({"args": ["-a"]}, {"args": ["-b"]}, {"args": ["-a", "-b"]}),
    "arguments of the service alone": ({}, {"args": ["-b"]}, {"args": ["-b"]}),
    "the command is replaced": (
        {"command": ["a", "b"]},
        {"command": ["c"]},
        {"command": ["c"]},
    ),
    "an empty list replaces nothing": (
        {"command": ["a"]},
        {"command": []},
        {"command": ["a"]},
    ),
    "a null removes nothing": ({"command": ["a"]}, {"command": None}, {"command": ["a"]}),
    "the image is the service's": ({}, {"image": "mine:2"}, {"image": "mine:2"}),
    "an empty name keeps the runtime's": ({}, {"name": ""}, {"name": "kserve-container"}),
    "variables merge by name": (
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"env": [{"name": "B", "value": "3"}]},
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, NAME_ENV]},
    ),
    "new variables stand before the runtime's": (
        {"env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "C", "value": "3"}]},
        {"env": [{"name": "C", "value": "3"}, {"name": "A", "value": "1"}, NAME_ENV]},
    ),
    "a value takes the place of a source": (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        {"env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "A", "value": "1"}, NAME_ENV]},
    ),
    "a source takes the place of a value": (
        {"env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        {
            "env": [
                {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                NAME_ENV,
            ]
        },
    ),
    "the service's name is overwritten": (
        {"env": [{"name": "INFERENCE_SERVICE_NAME", "value": "other"}]},
        {},
        {"env": [NAME_ENV]},
    ),
    "ports merge by container port": (
        {"ports": [{"containerPort": 8080, "name": "http"}]},
        {"ports": [{"containerPort": 8080, "name": "h2c"}]},
        {"ports": [{"containerPort": 8080, "name": "h2c"}]},
    ),
    "mounts merge by path": (
        {"volumeMounts": [{"mountPath": "/a", "name": "x"}]},
        {"volumeMounts": [{"mountPath": "/a", "name": "y", "readOnly": True}]},
        {"volumeMounts": [{"mountPath": "/a", "name": "y", "readOnly": True}]},
    ),
    "resources merge": (
        {"resources": {"limits": {"cpu": "1", "memory": "2Gi"}}},
        {"resources": {"limits": {"memory": "4Gi"}, "requests": {"cpu": "500m"}}},
        {"resources": {"limits": {"cpu": "1", "memory": "4Gi"}, "requests": {"cpu": "500m"}}},
    ),
    "a probe merges field by field": (
        {"readinessProbe": {"httpGet": {"path": "/a", "port": 8080}, "periodSeconds": 5}},
        {"readinessProbe": {"periodSeconds": 1}},
        {"readinessProbe": {"httpGet": {"path": "/a", "port": 8080}, "periodSeconds": 1}},
    ),
    "placeholders of the service are rendered too": (
        {},
        {"args": ["{{.Namespace}}"]},
        {"args": ["default"]},
    ),
}


@pytest.mark.parametrize("case", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_containers_merge(make, case):
    runtime, own, expected = case
    merged = container_of(make.service(model=own), with_container(make, **runtime))
    assert {k: merged[k] for k in expected} == expected


def test_the_model_s_own_fields_do_not_reach_the_container(make):
    model = {"runtimeVersion": "1.7", "protocolVersion": "v1", "runtime": "kserve-sklearnserver"}
    merged = container_of(make.service(model=model), make.runtime())
    assert merged["image"] == "kserve/sklearnserver:1.7"
    assert set(merged) == {"name", "image", "args", "resources", "env"}


def test_the_runtime_s_defaults_are_added_where_the_service_says_nothing(make):
    defaults = RuntimeDefaults("v2", {"modelClass": "C"}, {"A": "1", "B": "2"}, ("--explicit",))
    runtime = with_container(make, args=["-a", "{{.Labels.modelClass}}"])
    model = {"env": [{"name": "B", "value": "mine"}], "args": ["-b"]}
    merged = container_of(make.service(model=model), runtime, defaults)
    assert merged["args"] == ["-a", "C", "-b", "--explicit"]
    assert {e["name"]: e["value"] for e in merged["env"]} == {
        "A": "1",
        "B": "mine",
        "INFERENCE_SERVICE_NAME": "iris",
    }


PODS = {
    "volumes merge by name": (
        {"volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}]},
        {"volumes": [{"name": "data", "emptyDir": {}}]},
        {"volumes": [{"name": "data", "emptyDir": {}},
                     {"name": "shm", "emptyDir": {"medium": "Memory"}}]},
    ),
    "node selectors merge": (
        {"nodeSelector": {"a": "1"}}, {"nodeSelector": {"b": "2"}},
        {"nodeSelector": {"a": "1", "b": "2"}},
    ),
    "tolerations are replaced": (
        {"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]},
        {"tolerations": [{"key": "b"}]},
    ),
    "the runtime's stay where the service has none": (
        {"imagePullSecrets": [{"name": "s"}], "schedulerName": "x"}, {},
        {"imagePullSecrets": [{"name": "s"}], "schedulerName": "x"},
    ),
    "fields of the service alone are kept": (
        {}, {"serviceAccountName": "sa", "terminationGracePeriodSeconds": 5},
        {"serviceAccountName": "sa", "terminationGracePeriodSeconds": 5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PODS.values(), ids=PODS.keys())
def test_pods_merge(make, case):
    runtime, own, expected = case
    merged = merge(make.service(**own), make.runtime(**runtime)).spec
    assert {k: merged[k] for k in merged if k != "containers"} == expected


def test_what_a_runtime_does_not_give_to_the_pod_is_not_copied(make):
    runtime = make.runtime(hostIPC=True, annotations={"a": "b"}, labels={"c": "d"})
    assert set(merge(make.service(), runtime).spec) == {"containers"}


def test_fields_that_are_kserve_s_and_not_the_pod_s_do_not_reach_it(make):
    service = make.service(
        minReplicas=2, maxReplicas=3, scaleTarget=1, scaleMetric="cpu", timeout=5, name="v2",
        containerConcurrency=1, canaryTrafficPercent=10, logger={}, batcher={}, labels={"a": "b"},
        annotations={"c": "d"}, deploymentStrategy={"type": "Recreate"}, autoScaling={},
        scaleMetricType="Utilization", storageContainerName="x",
    )  # fmt: skip
    assert set(merge(service, make.runtime()).spec) == {"containers"}


def containers(make, runtime, own):
    merged = merge(make.service(containers=own, model={}), make.runtime(containers=runtime))
    assert merged.blocked is None
    return [c["name"] for c in merged.spec["containers"]], merged.spec["containers"]


def named(*names, **fields):
    return [{"name": name, "image": "i", **fields} for name in names]


ORDERS = {
    "the server comes first": (named("side", "kserve-container"), [], ["kserve-container", "side"]),
    "then a transformer of the runtime": (
        named("side", "transformer-container", "kserve-container"), [],
        ["kserve-container", "transformer-container", "side"],
    ),
    "or of the service": (
        named("kserve-container", "side"), named("own", "transformer-container"),
        ["kserve-container", "transformer-container", "side", "own"],
    ),
    "which is there once when both have it": (
        named("kserve-container", "transformer-container"), named("transformer-container"),
        ["kserve-container", "transformer-container"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ORDERS.values(), ids=ORDERS.keys())
def test_the_order_of_containers(make, case):
    runtime, own, expected = case
    assert containers(make, runtime, own)[0] == expected


def test_a_transformer_of_both_sides_is_merged_and_rendered(make):
    runtime = [*named("kserve-container"), *named("transformer-container", args=["{{.Name}}"])]
    own = [{"name": "transformer-container", "image": "mine", "args": ["-b"]}]
    transformer = containers(make, runtime, own)[1][1]
    assert transformer["image"] == "mine"
    assert transformer["args"] == ["iris", "-b"]


def test_placeholders_of_other_containers_are_left_alone(make):
    runtime = [*named("kserve-container"), *named("side", args=["{{.Name}}"])]
    assert containers(make, runtime, [])[1][1]["args"] == ["{{.Name}}"]


def test_every_container_knows_the_service_s_name(make):
    runtime = named("kserve-container", "transformer-container", "side")
    for container in containers(make, runtime, named("own"))[1]:
        assert NAME_ENV in container["env"]


BROKEN = {
    "no containers": ([], "no container configuration found in selected serving runtime"),
    "no kserve-container": (
        named("server", "side"),
        "failed to find kserve-container in ServingRuntime containers",
    ),
    "a placeholder that cannot be rendered": (
        named("kserve-container", args=["{{ messages }}"]),
        "failed to replace placeholders in serving runtime kserve-sklearnserver Container",
    ),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_a_runtime_is_refused_that_has(make, case):
    given, text = case
    blocked = merge(make.service(), make.runtime(containers=given)).blocked
    assert blocked is not None
    assert blocked.reason == "InvalidPredictorSpec"
    assert blocked.message.startswith(text)
    assert not blocked.message.endswith(".")


def test_a_refusal_names_what_the_runtime_has_instead(make):
    blocked = merge(make.service(), make.runtime(containers=named("server", "side"))).blocked
    assert blocked is not None
    assert '"server", "side"' in blocked.message


def test_a_custom_predictor_is_used_as_it_stands(make):
    own = [{"name": "kserve-container", "image": "mine", "args": ["{{.Name}}"]}]
    merged = merge(make.service(containers=own, nodeSelector={"a": "b"}), make.runtime())
    assert merged.spec == {
        "containers": [{**own[0], "env": [NAME_ENV]}],
        "nodeSelector": {"a": "b"},
    }


def test_a_custom_predictor_s_server_is_put_first(make):
    service = make.service(containers=named("side", "kserve-container", "last"))
    spec = merge(service, make.runtime()).spec
    assert [c["name"] for c in spec["containers"]] == ["kserve-container", "side", "last"]


def test_a_predictor_of_nothing_is_refused(make):
    blocked = merge(make.service(containers=[]), make.runtime()).blocked
    assert blocked is not None
    assert "neither a model nor containers" in blocked.message


def test_merging_changes_neither_runtime_nor_service(make):
    runtime = make.runtime(volumes=[{"name": "a", "emptyDir": {}}])
    service = make.service(model={"env": [{"name": "A", "value": "1"}]}, nodeSelector={"x": "y"})
    before = copy.deepcopy((runtime, service))
    merge(service, runtime, RuntimeDefaults("v2", {}, {"B": "2"}, ("-x",)))
    assert (runtime, service) == before


def test_the_main_container_is_the_one_of_that_name_else_the_first():
    assert main_container({"containers": named("a", "kserve-container")})["name"] == (
        "kserve-container"
    )
    assert main_container({"containers": named("a", "b")})["name"] == "a"


MALFORMED = {
    "a variable without a name": {"env": [{"value": "1"}]},
    "a mount without a path": {"volumeMounts": [{"name": "a"}]},
    "a port without a number": {"ports": [{"name": "http"}]},
}


@pytest.mark.parametrize("own", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_cannot_be_merged_blocks_instead_of_failing(make, own):
    base = {
        "env": [{"name": "A", "value": "1"}],
        "volumeMounts": [{"name": "a", "mountPath": "/a"}],
        "ports": [{"containerPort": 8080}],
    }
    blocked = merge(make.service(model=own), with_container(make, **base)).blocked
    assert blocked is not None
    assert blocked.reason == "InvalidPredictorSpec"
    assert next(iter(own)) in blocked.message
