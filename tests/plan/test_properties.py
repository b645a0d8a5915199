"""Laws that hold for every service, every set of runtimes and everything that can be observed."""

from __future__ import annotations

import copy
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.plan.build import build_plan
from sampan.plan.events import derive_events
from sampan.plan.explain import why
from sampan.plan.observed import (
    Exit,
    Link,
    LinkState,
    Observed,
    ObservedReplica,
    ObservedWorkload,
)
from sampan.plan.select import select_runtime
from sampan.plan.status import derive_status

NOW = 1_800_000_000.0
FORMATS = ["sklearn", "xgboost", "onnx"]
PROTOCOLS = ["v1", "v2", "grpc-v1", "grpc-v2"]

entries = st.fixed_dictionaries(
    {"name": st.sampled_from(FORMATS)},
    optional={
        "version": st.sampled_from(["1", "2"]),
        "autoSelect": st.booleans(),
        "priority": st.integers(1, 3),
    },
)
specs = st.fixed_dictionaries(
    {
        "formats": st.lists(entries, min_size=1, max_size=3),
        "protocolVersions": st.lists(st.sampled_from(PROTOCOLS), max_size=3, unique=True),
    },
    optional={
        "disabled": st.booleans(),
        "multiModel": st.booleans(),
        "workerSpec": st.just({}),
    },
)
stamps = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])
sets_of_runtimes = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "e"]), st.tuples(specs, stamps), max_size=5
)
models = st.fixed_dictionaries(
    {"modelFormat": st.fixed_dictionaries(
        {"name": st.sampled_from(FORMATS)}, optional={"version": st.sampled_from(["1", "2"])}
    )},
    optional={
        "protocolVersion": st.sampled_from(PROTOCOLS),
        "runtime": st.sampled_from(["a", "b", "z"]),
        "storageUri": st.sampled_from(["s3://b/m", "ftp://b/m", "/m"]),
        "args": st.lists(st.sampled_from(["--model_name=x", "{{.Name}}", "{{oops}}"]), max_size=2),
    },
)  # fmt: skip
services = st.fixed_dictionaries(
    {"model": models},
    optional={
        "minReplicas": st.integers(0, 5),
        "transformer": st.just({}),
        "logger": st.just({}),
        "timeout": st.integers(0, 9),
        "meta_annotations": st.dictionaries(
            st.sampled_from(
                ["serving.kserve.io/stop", "serving.kserve.io/autoscalerClass", "mine"]
            ),
            st.sampled_from(["true", "false", "none"]),
        ),
    },
)


def build(make, found):
    return [
        make.runtime(name, metadata={"creationTimestamp": stamp}, **spec)
        for name, (spec, stamp) in found.items()
    ]


@given(sets_of_runtimes, sets_of_runtimes, models, st.randoms(use_true_random=False))
def test_selection_ignores_the_order_of_runtimes(make, namespaced, cluster, model, random):
    service = make.service(model=model)
    here, there = build(make, namespaced), build(make, cluster)
    first = select_runtime(service, here, there)
    random.shuffle(here)
    random.shuffle(there)
    assert select_runtime(service, here, there) == first


@given(sets_of_runtimes, models)
def test_selection_never_picks_a_disabled_runtime(make, cluster, model):
    selection = select_runtime(make.service(model=model), [], build(make, cluster))
    assert not (selection.runtime.get("spec") or {}).get("disabled")


@given(sets_of_runtimes, sets_of_runtimes, models)
def test_selection_picks_one_or_says_why_it_picks_none(make, namespaced, cluster, model):
    here, there = build(make, namespaced), build(make, cluster)
    selection = select_runtime(make.service(model=model), here, there)
    assert (selection.blocked is None) is bool(selection.name)
    if "runtime" not in model:
        passed_over = len(selection.rejected) + bool(selection.name)
        assert passed_over == len(here) + len(there)


@given(sets_of_runtimes, services)
def test_traffic_sums_to_a_hundred_or_there_is_none(make, cluster, spec):
    plan = build_plan(make.snapshot(make.service(**spec), cluster_runtimes=build(make, cluster)))
    if plan.route:
        assert sum(b.weight for b in plan.route.backends) == 100
        assert {b.workload for b in plan.route.backends} <= {w.name for w in plan.workloads}
    else:
        assert plan.workloads == ()


@given(sets_of_runtimes, services)
def test_a_plan_runs_or_is_stopped_or_is_blocked(make, cluster, spec):
    plan = build_plan(make.snapshot(make.service(**spec), cluster_runtimes=build(make, cluster)))
    assert [bool(plan.workloads), plan.stopped, plan.blocked is not None].count(True) == 1


@given(sets_of_runtimes, services)
def test_stopped_means_no_workload_and_no_route(make, cluster, spec):
    stop = {**spec.get("meta_annotations", {}), "serving.kserve.io/stop": "true"}
    service = make.service(**{**spec, "meta_annotations": stop})
    plan = build_plan(make.snapshot(service, cluster_runtimes=build(make, cluster)))
    assert plan.stopped
    assert (plan.workloads, plan.route) == ((), None)


@given(sets_of_runtimes, services)
def test_planning_changes_nothing_that_it_is_given(make, cluster, spec):
    service, runtimes = make.service(**spec), build(make, cluster)
    before = copy.deepcopy((service, runtimes))
    build_plan(make.snapshot(service, cluster_runtimes=tuple(runtimes)))
    assert (service, runtimes) == before


# What can be observed

times = st.sampled_from([0.0, NOW - 60, NOW - 5])
links = st.builds(
    Link,
    state=st.sampled_from(LinkState),
    reason=st.sampled_from(["", "Downloading", "NotFound"]),
    message=st.sampled_from(["", "1 of 2 MB", 'no "x"; put it there']),
    since=times,
)
exits = st.builds(
    Exit,
    code=st.sampled_from([None, 0, 1, 137]),
    signal=st.sampled_from(["", "SIGKILL"]),
    reason=st.sampled_from(["Error", "OOMKilled", "ModelMissing"]),
    message=st.sampled_from(["", "said"]),
    last_lines=st.sampled_from([(), ("a", "b")]),
    started_at=times,
    finished_at=times,
)


@st.composite
def replicas(draw, ordinal, template_hash):
    running = draw(st.booleans())
    return ObservedReplica(
        name=f"iris-predictor-{ordinal}",
        workload="iris-predictor",
        template_hash=draw(st.sampled_from([template_hash, "v1-older"])),
        running=running,
        ready=running and draw(st.booleans()),
        created_at=draw(times),
        started_at=draw(times),
        draining=draw(st.booleans()),
        load=draw(links),
        last_exit=draw(st.none() | exits),
        back_off_until=draw(st.sampled_from([0.0, NOW + 10])),
    )


@st.composite
def observations(draw, template_hash):
    count = draw(st.integers(0, 3))
    workload = ObservedWorkload(
        name="iris-predictor",
        component="predictor",
        template_hash=draw(st.sampled_from([template_hash, "v1-older"])),
        download=draw(links),
        environment=draw(links),
        replicas=tuple(draw(replicas(n, template_hash)) for n in range(count)),
        replicas_wanted=count,
    )
    return Observed(
        workloads=draw(st.sampled_from([(), (workload,)])), route=draw(links), warnings=()
    )


@st.composite
def histories(draw, make):
    """A service, and what is observed of it one look after the other; it may be edited between."""
    snapshots = []
    for _ in range(draw(st.integers(1, 4))):
        spec = draw(services)
        runtimes = draw(st.sampled_from([(make.runtime(),), ()]))
        snapshot = make.snapshot(make.service(**spec), cluster_runtimes=runtimes)
        plan = build_plan(snapshot)
        template = plan.workloads[0].template_hash if plan.workloads else "v1-none"
        snapshots.append((snapshot, plan, draw(observations(template))))
    return snapshots


def live(make, data):
    """Yield each look of a history: before, after, plan, observed, snapshot."""
    status = {}
    for step, (snapshot, plan, observed) in enumerate(data.draw(histories(make))):
        service = {**snapshot.service, "status": status}
        now = replace(snapshot, service=service, now=NOW + step)
        before, status = status, derive_status(now, plan, observed)
        yield before, status, plan, observed, now


@given(st.data())
@settings(max_examples=60)
def test_deriving_a_status_again_later_gives_the_same(make, data):
    for _, status, plan, observed, snapshot in live(make, data):
        service = {**snapshot.service, "status": status}
        later = replace(snapshot, service=service, now=snapshot.now + 1000)
        assert derive_status(later, plan, observed) == status


@given(st.data())
@settings(max_examples=60)
def test_ready_means_that_a_replica_is_ready_and_a_request_passes(make, data):
    for _, status, plan, observed, _ in live(make, data):
        told = {c["type"]: c["status"] for c in status["conditions"]}
        if told["Ready"] != "True":
            continue
        assert observed.route.state is LinkState.DONE
        assert any(r.ready and not r.draining for w in observed.workloads for r in w.replicas)
        assert not plan.stopped


@given(st.data())
def test_a_status_never_says_less_than_whose_turn_it_is(make, data):
    for _, status, plan, observed, snapshot in live(make, data):
        told = {c["type"]: c for c in status["conditions"]}
        answer = why(snapshot, plan, observed)
        if told["Ready"]["status"] != "True":
            assert told["Ready"].get("reason")
            assert answer.link
        assert answer.mend or not answer.link


@given(st.data())
def test_no_event_is_told_twice(make, data):
    for before, status, plan, observed, _ in live(make, data):
        events = derive_events(before, status, plan, observed)
        assert len(set(events)) == len(events)
        assert derive_events(status, status, plan, observed) == ()


@given(st.data())
def test_readiness_events_follow_the_condition(make, data):
    def ready(status):
        return next(
            (c["status"] for c in status.get("conditions", ()) if c["type"] == "Ready"), None
        )

    for before, status, plan, observed, _ in live(make, data):
        reasons = [e.reason for e in derive_events(before, status, plan, observed)]
        became = ready(status) == "True" and ready(before) != "True"
        ceased = ready(before) == "True" and ready(status) == "False"
        assert ("InferenceServiceReady" in reasons) is became
        assert ("InferenceServiceNotReady" in reasons) is ceased
