"""Plans of platforms that run everything: transformers, explainers, canaries, several nodes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.plan.build import build_plan, nothing_unbuilt
from sampan.plan.canary import make_canaries, reduce_stable
from sampan.plan.scaling import Scaling
from sampan.plan.types import Component, Role


def plan_of(make, service, **fields):
    return build_plan(make.snapshot(service, **fields), nothing_unbuilt)


def workload(make, component, **components):
    plan = plan_of(make, make.service(**components))
    assert plan.blocked is None
    return next(w for w in plan.workloads if w.component is component)


def container(found) -> dict[str, Any]:
    return found.template["spec"]["containers"][0]


ADDED = {
    "nothing is given": ((), ["--model_name", "iris"]),
    "the name is given in two words": (("--model_name", "x"), ["--model_name", "x"]),
    "the name is given in one": (("--model_name=x",), ["--model_name=x"]),
}


@pytest.mark.parametrize("case", ADDED.values(), ids=ADDED.keys())
def test_a_transformer_is_told_what_it_is_not_told_yet(make, case):
    given_args, begin = case
    own = {"containers": [{"name": "kserve-container", "args": list(given_args)}]}
    found = container(workload(make, Component.TRANSFORMER, transformer=own))
    rest = ["--predictor_host", "iris-predictor.default", "--http_port", "8080"]
    assert found["args"] == [*begin, *rest]
    assert found["env"] == [{"name": "INFERENCE_SERVICE_NAME", "value": "iris"}]


def test_the_concurrency_of_a_transformer_is_its_workers(make):
    own = {"containers": [{"name": "kserve-container"}], "containerConcurrency": 4}
    found = workload(make, Component.TRANSFORMER, transformer=own)
    assert container(found)["args"][-2:] == ["--workers", "4"]
    assert found.container_concurrency == 4


def test_only_the_first_container_is_told(make):
    own = {"containers": [{"name": "kserve-container"}, {"name": "side", "image": "x"}]}
    found = workload(make, Component.TRANSFORMER, transformer=own)
    assert found.template["spec"]["containers"][1] == {"name": "side", "image": "x"}


def test_the_built_in_explainer_is_made_of_its_settings_with_the_users_arguments_once(make):
    art = {
        "type": "SquareAttack", "storageUri": "gs://b/m", "config": {"nb_classes": "10", "a": "b"},
        "runtimeVersion": "1.2", "args": ["--verbose"], "name": "",
    }  # fmt: skip
    found = workload(make, Component.EXPLAINER, explainer={"art": art})
    made = container(found)
    assert made["name"] == "kserve-container"
    assert made["image"] == "kserve/art-explainer:1.2"
    assert made["args"] == [
        "--model_name", "iris", "--http_port", "8080", "--predictor_host", "iris-predictor.default",
        "--storage_uri", "/mnt/models", "--adversary_type", "SquareAttack",
        "--a", "b", "--nb_classes", "10", "--verbose",
    ]  # fmt: skip
    assert [m.uri for m in found.models] == ["gs://b/m"]


def test_a_component_s_own_labels_and_annotations_are_its_own(make):
    own = {"containers": [{"name": "c"}], "labels": {"a": "b"}, "annotations": {"c": "d"}}
    plan = plan_of(make, make.service(transformer=own))
    predictor, transformer = plan.workloads
    assert transformer.template["metadata"]["labels"]["a"] == "b"
    assert transformer.template["metadata"]["annotations"]["c"] == "d"
    assert "a" not in predictor.template["metadata"]["labels"]


def canary(name, percent, **predictor):
    own = {
        "name": name,
        "model": {"modelFormat": {"name": "sklearn"}, "storageUri": f"s3://b/{name}"},
    }
    return {"trafficPercent": percent, "predictor": {**own, **predictor}}


def test_a_canary_is_the_stable_predictor_with_its_own_fields_in_front(make):
    service = make.service(
        canary=[canary("v2", 20)], minReplicas=4, maxReplicas=8, serviceAccountName="sa"
    )
    stable, found = plan_of(make, service).workloads
    assert (stable.role, found.role) == (Role.STABLE, Role.CANARY)
    assert found.name == "iris-v2-predictor"
    assert found.share == 20
    assert found.template["spec"]["serviceAccountName"] == "sa"
    assert [m.uri for m in found.models] == ["s3://b/v2"]
    assert found.model_name == "iris"


REPLICAS = {
    "a fifth of four, rounded up": (20, {}, 1),
    "half of four": (50, {}, 2),
    "none of the traffic": (0, {}, 0),
    "as many as it asks for": (20, {"minReplicas": 3}, 3),
}


@pytest.mark.parametrize("case", REPLICAS.values(), ids=REPLICAS.keys())
def test_a_canary_s_replicas_are_fixed(make, case):
    percent, own, expected = case
    service = make.service(canary=[canary("v2", percent, **own)], minReplicas=4, maxReplicas=9)
    found = plan_of(make, service).workloads[1]
    assert found.replicas == expected
    assert (found.scaling.minimum, found.scaling.maximum) == (expected, expected)


def test_a_canary_whose_runtime_is_missing_blocks_the_plan(make):
    wrong = canary("v2", 10, model={"modelFormat": {"name": "nope"}})
    blocked = plan_of(make, make.service(canary=[wrong])).blocked
    assert blocked is not None
    assert blocked.reason == "NoSupportingRuntime"


@given(minimum=st.integers(1, 20), ready=st.integers(0, 40))
def test_the_stable_predictor_gives_replicas_away_but_keeps_one(make, minimum, ready):
    stable = plan_of(make, make.service(minReplicas=minimum)).workloads[0]
    left = reduce_stable(stable, ready).scaling.minimum
    assert left == (minimum if ready == 0 else max(minimum - ready, 1))


def test_without_a_minimum_there_is_nothing_to_give_away(make):
    stable = plan_of(make, make.service()).workloads[0]
    assert reduce_stable(stable, 3) == stable
    assert stable.scaling == Scaling()


@given(st.lists(st.integers(0, 100), max_size=5))
def test_each_canary_is_a_service_of_its_own(make, shares):
    service = make.service(canary=[canary(f"v{n}", share) for n, share in enumerate(shares)])
    found = list(make_canaries(service))
    assert [c.share for c in found] == shares
    assert all("canary" not in c.service["spec"] for c in found)
    names = {c.service["spec"]["predictor"]["name"] for c in found}
    assert len(names) == len(shares)


def multi_node(make, worker=None, head=None, runtime=None, **service):
    runtime_worker = {
        "containers": [{"name": "worker-container", "image": "w", "args": ["--name={{.Name}}"]}],
        "volumes": [{"name": "shm", "emptyDir": {}}],
    }
    given_runtime = make.runtime(workerSpec=runtime_worker, **(runtime or {}))
    asked = make.service(
        workerSpec={"pipelineParallelSize": 2, **(worker or {})},
        model={"storageUri": "pvc://models/llama", "resources": head or {}},
        meta_annotations={"serving.kserve.io/autoscalerClass": "none"},
        generation=3,
        **service,
    )
    return plan_of(make, asked, cluster_runtimes=(given_runtime,))


def env_of(found) -> dict[str, str]:
    return {e["name"]: e["value"] for e in container(found)["env"]}


def test_a_head_and_its_workers_know_each_other(make):
    head, workers = multi_node(make).workloads
    assert (head.name, workers.name) == ("iris-predictor", "iris-predictor-worker")
    assert (workers.role, workers.replicas) == (Role.WORKER, 1)
    assert env_of(head)["MODEL_DIR"] == "/mnt/models"
    assert env_of(workers)["HEAD_SVC"] == "iris-head-3"
    assert env_of(workers)["WORKER_SVC"] == "iris-workers-3"
    for found in (head, workers):
        assert env_of(found)["RAY_NODE_COUNT"] == "2"
        assert container(found)["resources"]["limits"] == {"nvidia.com/gpu": "1"}
        assert found.template["metadata"]["labels"]["isvc.generation"] == "3"
    assert workers.template["spec"]["volumes"] == [{"name": "shm", "emptyDir": {}}]


def test_the_workers_container_is_the_runtime_s_with_the_service_s_on_top(make):
    own = {"containers": [{"name": "worker-container", "image": "mine", "args": ["--more"]}]}
    _, workers = multi_node(make, own).workloads
    assert container(workers)["image"] == "mine"
    assert container(workers)["args"] == ["--name=iris", "--more"]


def test_where_the_head_has_all_gpus_there_are_no_workers(make):
    (head,) = multi_node(make, head={"limits": {"nvidia.com/gpu": "2"}}).workloads
    assert env_of(head)["RAY_NODE_COUNT"] == "1"


def test_too_few_gpus_block(make):
    worker = {"tensorParallelSize": 4, "containers": [
        {"name": "worker-container", "resources": {"limits": {"nvidia.com/gpu": "4"}}}
    ]}  # fmt: skip
    blocked = multi_node(make, worker, head={"limits": {"nvidia.com/gpu": "1"}}).blocked
    assert blocked is not None
    assert blocked.reason == "InvalidGPUAllocation"


def test_a_named_runtime_for_one_node_blocks(make):
    service = make.service(model={"runtime": "kserve-sklearnserver"}, workerSpec={})
    blocked = plan_of(make, service).blocked
    assert blocked is not None
    assert blocked.reason == "InvalidWorkerSpecNotSet"
    assert '"kserve-sklearnserver"' in blocked.message
