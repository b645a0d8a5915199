"""A service of several components: who answers for which name, and when it is Ready."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.plan.build import build_plan
from sampan.plan.chain import derive_chain
from sampan.plan.events import derive_events
from sampan.plan.explain import why
from sampan.plan.mends import make_mend
from sampan.plan.observed import Exit, Link, LinkState
from sampan.plan.status import derive_status
from sampan.plan.types import Backend, Component

IMAGE = {"containers": [{"name": "kserve-container", "image": "ghcr.io/x/y"}]}
BOTH = {"transformer": IMAGE, "explainer": IMAGE}
LINKS = ["download", "environment", "process", "load", "ready"]
CRASHED: dict[str, Any] = {
    "running": False, "ready": False, "back_off_until": 1_800_000_010.0,
    "last_exit": Exit(1, last_lines=("ValueError: no image",), started_at=1.0, finished_at=2.0),
}  # fmt: skip


def arguments(plan, component):
    workload = next(w for w in plan.workloads if w.component is component)
    return workload.template["spec"]["containers"][0]["args"]


def conditions(status):
    return {c["type"]: c for c in status["conditions"]}


def look(make, service, **fields):
    """The status of a service whose replicas are all ready but for `fields`."""
    snapshot = make.snapshot(service)
    plan = build_plan(snapshot)
    return derive_status(snapshot, plan, make.all_ready(plan, **fields))


# Who runs, and what it is told


def test_each_component_is_a_workload_of_its_own_the_predictor_first(make):
    plan = build_plan(make.snapshot(make.service(**BOTH)))
    assert [(w.name, w.component) for w in plan.workloads] == [
        ("iris-predictor", Component.PREDICTOR),
        ("iris-transformer", Component.TRANSFORMER),
        ("iris-explainer", Component.EXPLAINER),
    ]


@pytest.mark.parametrize("component", [Component.TRANSFORMER, Component.EXPLAINER])
def test_it_is_told_the_model_s_name_and_its_predictor(make, component):
    args = arguments(build_plan(make.snapshot(make.service(**BOTH))), component)
    assert args[args.index("--model_name") + 1] == "iris"
    assert args[args.index("--predictor_host") + 1] == "iris-predictor.default"
    assert args[args.index("--http_port") + 1] == "8080"


def test_files_of_a_component_come_from_its_uri_or_its_uris(make):
    env = [{"name": "STORAGE_URI", "value": "s3://b/background"}]
    several = [{"uri": "s3://b/a", "mountPath": "/mnt/a"}, {"uri": "s3://b/m"}]
    one = {"containers": [{**IMAGE["containers"][0], "env": env}]}
    spec = {"transformer": {**IMAGE, "storageUris": several}, "explainer": one}
    _, transformer, explainer = build_plan(make.snapshot(make.service(**spec))).workloads
    assert [(m.uri, m.path) for m in transformer.models] == [
        ("s3://b/a", "/mnt/a"), ("s3://b/m", "/mnt/models"),
    ]  # fmt: skip
    assert [(m.uri, m.path) for m in explainer.models] == [("s3://b/background", "/mnt/models")]


# Who answers


FRONTS = {
    "a predictor alone": ({}, "iris-predictor", []),
    "a transformer stands before the predictor": (
        {"transformer": IMAGE}, "iris-transformer", ["predictor", "transformer"],
    ),
    "an explainer does not": (
        {"explainer": IMAGE}, "iris-predictor", ["predictor", "explainer"],
    ),
    "all three": (BOTH, "iris-transformer", ["predictor", "transformer", "explainer"]),
}  # fmt: skip


@pytest.mark.parametrize("case", FRONTS.values(), ids=FRONTS.keys())
def test_the_service_s_own_names_lead_to(make, case):
    spec, front, components = case
    route = build_plan(make.snapshot(make.service(**spec))).route
    assert route is not None
    assert route.backends == (Backend(front),)
    assert [c.component for c in route.components] == components
    for own in route.components:
        assert own.backends == (Backend(f"iris-{own.component}"),)
        assert f"iris-{own.component}.default.localhost" in own.hosts
        assert not set(own.hosts) & set(route.hosts)


def test_no_host_is_given_twice_though_the_domain_template_forgets_the_name(make):
    from sampan.api.config import Config

    config = Config(domain_template="one.{{ .IngressDomain }}")
    route = build_plan(make.snapshot(make.service(**BOTH), config=config)).route
    assert route is not None
    hosts = [*route.hosts, *(host for c in route.components for host in c.hosts)]
    assert len(hosts) == len(set(hosts))


def test_each_route_has_the_timeout_of_the_component_that_answers(make):
    spec = {"timeout": 5, "transformer": {**IMAGE, "timeout": 7}, "explainer": {**IMAGE}}
    route = build_plan(make.snapshot(make.service(**spec))).route
    assert route is not None
    assert route.timeout_seconds == 7
    assert [c.timeout_seconds for c in route.components] == [5, 7, None]


# Readiness


def test_it_is_ready_when_every_component_is_and_each_has_its_url(make):
    status = look(make, make.service(**BOTH))
    ready = ["Ready", "PredictorReady", "TransformerReady", "ExplainerReady", "IngressReady"]
    assert [conditions(status)[name]["status"] for name in ready] == ["True"] * 5
    assert {name: c["url"] for name, c in status["components"].items()} == {
        name: f"http://iris-{name}.default.localhost:8080"
        for name in ("predictor", "transformer", "explainer")
    }


@pytest.mark.parametrize("component", ["predictor", "transformer", "explainer"])
def test_a_component_that_is_not_ready_closes_the_way_in(make, component):
    """KServe, Standard mode: the ingress is not created until each component is ready."""
    status = look(make, make.service(**BOTH), **{component: {"ready": False}})
    told = conditions(status)
    assert told[f"{component.capitalize()}Ready"]["status"] == "False"
    assert told["IngressReady"]["status"] == "False"
    assert told["IngressReady"]["reason"] == f"{component.capitalize()} ingress not created"
    assert told["Ready"]["status"] == "False"
    assert "url" not in status


def test_only_the_predictor_s_condition_and_the_ingress_weigh_on_ready(make):
    told = conditions(look(make, make.service(**BOTH)))
    assert {name for name, c in told.items() if c.get("severity") == "Info"} == {
        "TransformerReady", "ExplainerReady", "Stopped",
    }  # fmt: skip


def test_the_model_is_loaded_though_the_transformer_crashes(make):
    status = look(make, make.service(transformer=IMAGE), transformer=CRASHED)
    assert status["modelStatus"]["states"]["activeModelState"] == "Loaded"
    told = conditions(status)
    assert told["TransformerReady"]["reason"] == "CrashLoopBackOff"
    assert "ValueError: no image" in told["TransformerReady"]["message"]
    assert told["Ready"]["message"] == told["TransformerReady"]["message"]


def test_stopped_is_told_of_every_component(make):
    stop = {"serving.kserve.io/stop": "true"}
    told = conditions(look(make, make.service(**BOTH, meta_annotations=stop)))
    for name in ("PredictorReady", "TransformerReady", "ExplainerReady", "IngressReady"):
        assert (told[name]["status"], told[name]["reason"]) == ("False", "Stopped")


def test_a_component_that_was_removed_leaves_no_condition_and_no_url(make):
    before = look(make, make.service(**BOTH))
    status = look(make, {**make.service(), "status": before})
    assert not {"TransformerReady", "ExplainerReady"} & set(conditions(status))
    assert set(status["components"]) == {"predictor"}


def test_while_a_decision_is_blocked_what_runs_keeps_its_conditions(make):
    plan = build_plan(make.snapshot(make.service(**BOTH)))
    snapshot = make.snapshot(make.service(**BOTH), cluster_runtimes=())
    status = derive_status(snapshot, build_plan(snapshot), make.all_ready(plan))
    told = conditions(status)
    assert [told[f"{c}Ready"]["status"] for c in ("Predictor", "Transformer", "Explainer")] == [
        "True"
    ] * 3


# Why not


def test_the_chain_goes_over_all_components_to_the_one_way_in(make):
    plan = build_plan(make.snapshot(make.service(**BOTH)))
    chain = derive_chain(plan, make.all_ready(plan))
    assert [link.name for link in chain] == [*LINKS * 3, "route"]
    assert [link.component for link in chain][::5] == [
        "predictor", "transformer", "explainer", "predictor",
    ]  # fmt: skip


def test_why_names_the_component_and_a_mend_of_its_own(make):
    snapshot = make.snapshot(make.service(transformer=IMAGE))
    plan = build_plan(snapshot)
    answer = why(snapshot, plan, make.all_ready(plan, transformer=CRASHED))
    assert (answer.component, answer.link) == (Component.TRANSFORMER, "load")
    assert answer.replica == "iris-transformer-0"
    assert answer.lines == ("ValueError: no image",)
    assert "spec.predictor" not in answer.mend


def test_a_component_without_replicas_is_told_by_its_field(make):
    own = {**IMAGE, "minReplicas": 0}
    annotations = {"serving.kserve.io/autoscalerClass": "none"}
    snapshot = make.snapshot(make.service(transformer=own, meta_annotations=annotations))
    plan = build_plan(snapshot)
    answer = why(snapshot, plan, make.all_ready(plan))
    assert answer.message == "spec.transformer.minReplicas is 0, so no replica runs"
    assert answer.mend == "set spec.transformer.minReplicas to 1 or more"


MENDS = {
    "limits are the container's": (
        "OOMKilled",
        "raise spec.transformer.containers[0].resources.limits.memory, or serve a smaller model",
    ),
    "logs are the component's": (
        "ReplicaNotReady", "read its log: sampan logs iris --component transformer",
    ),
    "a place is a variable of the container": (
        "InvalidURI", "write spec.transformer.containers[0].env STORAGE_URI as the message says",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MENDS.values(), ids=MENDS.keys())
def test_a_mend_names_the_fields_of_the_component(case):
    reason, expected = case
    assert make_mend("load", reason, "iris", Component.TRANSFORMER) == expected


def test_a_component_s_failure_is_an_event_once(make):
    snapshot = make.snapshot(make.service(transformer=IMAGE))
    plan = build_plan(snapshot)
    seen = make.all_ready(plan, transformer=CRASHED)
    status = derive_status(snapshot, plan, seen)
    first = derive_events({}, status, plan, seen)
    assert [e.reason for e in first if e.reason == "CrashLoopBackOff"] == ["CrashLoopBackOff"]
    assert derive_events(status, status, plan, seen) == ()


def test_a_component_s_failure_is_told_though_another_is_still_on_its_way(make):
    snapshot = make.snapshot(make.service(transformer=IMAGE))
    plan = build_plan(snapshot)
    loading = {"ready": False, "load": Link(LinkState.RUNNING, "Loading")}
    seen = make.all_ready(plan, predictor=loading, transformer=CRASHED)
    events = derive_events({}, derive_status(snapshot, plan, seen), plan, seen)
    assert [e.reason for e in events] == ["CrashLoopBackOff"]


def test_a_way_in_that_fails_is_told_after_the_components(make):
    failed = Link(LinkState.FAILED, "RequestNotPassed", "GET got 500")
    status = look(make, make.service(**BOTH), route=failed)
    told = conditions(status)["IngressReady"]
    assert (told["reason"], told["message"]) == ("RequestNotPassed", "GET got 500")
