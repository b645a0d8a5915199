"""What should run, as a whole: the order of the decisions and what each leaves in the plan."""

from __future__ import annotations

import pytest

from sampan.api.config import Config
from sampan.plan.build import build_plan
from sampan.plan.types import RuntimeScope, ServiceKey


def test_a_plain_service(make):
    plan = build_plan(make.snapshot())
    assert plan.service == ServiceKey("default", "iris")
    assert [w.name for w in plan.workloads] == ["iris-predictor"]
    assert plan.route is not None
    assert [b.workload for b in plan.route.backends] == ["iris-predictor"]
    assert plan.runtime_name == "kserve-sklearnserver"
    assert plan.runtime_scope is RuntimeScope.CLUSTER
    assert plan.url == "http://iris.default.localhost:8080"
    assert (plan.blocked, plan.stopped, plan.warnings) == (None, False, ())


def test_a_namespaced_runtime_says_so(make):
    plan = build_plan(make.snapshot(runtimes=(make.runtime("mine"),)))
    assert (plan.runtime_name, plan.runtime_scope) == ("mine", RuntimeScope.NAMESPACE)


def test_a_custom_predictor_has_no_runtime(make):
    service = make.service(containers=[{"name": "kserve-container", "image": "mine"}])
    plan = build_plan(make.snapshot(service))
    assert (plan.runtime_name, plan.runtime_scope) == ("", RuntimeScope.NONE)
    assert plan.workloads[0].runtime_name == ""


STOPS = {
    "true": ("true", True),
    "in any letter case": ("True", True),
    "false goes on": ("false", False),
    "anything else goes on": ("yes", False),
}


@pytest.mark.parametrize("case", STOPS.values(), ids=STOPS.keys())
def test_the_stop_annotation(make, case):
    value, stopped = case
    service = make.service(meta_annotations={"serving.kserve.io/stop": value})
    plan = build_plan(make.snapshot(service))
    assert plan.stopped is stopped
    assert bool(plan.workloads) is not stopped
    assert (plan.route is None) is stopped


def test_a_stopped_service_is_not_blocked_by_anything(make):
    service = make.service(transformer={}, meta_annotations={"serving.kserve.io/stop": "true"})
    plan = build_plan(make.snapshot(service, cluster_runtimes=()))
    assert plan.stopped
    assert plan.blocked is None


def test_a_blocked_plan_runs_nothing_new_and_routes_nothing(make):
    plan = build_plan(make.snapshot(cluster_runtimes=()))
    assert plan.blocked is not None
    assert plan.blocked.reason == "NoSupportingRuntime"
    assert (plan.workloads, plan.route) == ((), None)
    assert plan.url == "http://iris.default.localhost:8080"


def broken(make, *, runtime, unbuilt, model, pod, domain):
    """A snapshot with the mistakes that are named."""
    service = make.service(
        model={
            **({"storageUri": "ftp://x/y"} if model else {}),
            **({"confidential": {"enabled": True}} if unbuilt else {}),
        },
    )
    containers = [{"name": "other"}] if pod else [{"name": "kserve-container"}]
    return make.snapshot(
        service,
        cluster_runtimes=() if runtime else (make.runtime(containers=containers),),
        config=Config(domain_template="{{ .Oops }}" if domain else "{{ .Name }}.test"),
    )


ORDER = ["runtime", "unbuilt", "model", "pod", "domain"]
REASONS = [
    "NoSupportingRuntime", "ConfidentialNotSupported", "InvalidPredictorSpec",
    "InvalidPredictorSpec", "InvalidDomainTemplate",
]  # fmt: skip


@pytest.mark.parametrize("first", range(len(ORDER)), ids=ORDER)
def test_the_first_mistake_in_this_order_is_the_one_that_is_told(make, first):
    mistakes = {name: at >= first for at, name in enumerate(ORDER)}
    plan = build_plan(broken(make, **mistakes))
    assert plan.blocked is not None
    assert plan.blocked.reason == REASONS[first]
    words = {"model": "StorageURI not supported", "pod": "failed to find kserve-container"}
    assert plan.blocked.message.startswith(words.get(ORDER[first], ""))


def test_without_mistakes_nothing_blocks(make):
    plan = build_plan(broken(make, **dict.fromkeys(ORDER, False)))
    assert plan.blocked is None


def test_warnings_are_told_though_the_plan_is_blocked_or_stopped(make):
    expected = ["spec.predictor.logger"]
    stop = {"serving.kserve.io/stop": "true"}
    for service, runtimes in (
        (make.service(logger={}), (make.runtime(),)),
        (make.service(logger={}), ()),
        (make.service(logger={}, meta_annotations=stop), ()),
    ):
        plan = build_plan(make.snapshot(service, cluster_runtimes=runtimes))
        assert [path for path, _ in plan.warnings] == expected


def test_the_runtime_s_defaults_reach_the_template(make):
    runtime = make.runtime(
        "kserve-mlserver",
        protocolVersions=["v2"],
        containers=[
            {
                "name": "kserve-container",
                "env": [{"name": "CLASS", "value": "{{.Labels.modelClass}}"}],
            }
        ],
    )
    service = make.service(model={"protocolVersion": "v2"})
    (workload,) = build_plan(make.snapshot(service, cluster_runtimes=(runtime,))).workloads
    env = {e["name"]: e["value"] for e in workload.template["spec"]["containers"][0]["env"]}
    assert env["CLASS"] == "mlserver_sklearn.SKLearnModel"
    assert env["MLSERVER_MODEL_NAME"] == "iris"
    assert workload.template["metadata"]["labels"]["modelClass"] == "mlserver_sklearn.SKLearnModel"
    assert workload.protocol == "v2"


def test_building_twice_gives_the_same_plan(make):
    snapshot = make.snapshot()
    assert build_plan(snapshot) == build_plan(snapshot)


def test_what_was_observed_and_the_time_play_no_part(make):
    plan = build_plan(make.snapshot())
    observed = make.observed(plan, make.crash(plan))
    assert build_plan(make.snapshot(observed=observed, now=1.0)) == plan
