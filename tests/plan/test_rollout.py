"""Revisions and shares: KServe's bookkeeping, told by a real KServe, and what is our own."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.plan.fields.table import make_field_warnings
from sampan.plan.revision import History, Revision, Rollout
from sampan.plan.revision_data import decode_workload, encode_workload
from sampan.plan.revision_keep import RETAIN_SECONDS, select_collectable
from sampan.plan.rollout_notes import NOTE
from sampan.plan.traffic import make_gradual_step, move_shares, split
from sampan.plan.types import Component, Role

from .rollout_stage import RolloutStage

MODES = ["Standard", "Knative"]
SHARES = st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(any)


@pytest.fixture
def stage(make):
    return RolloutStage(make)


@pytest.fixture
def put(stage, make):
    """Apply a version of a service; versions differ in their model."""

    def put(version, *, ready=True, mode="Standard", annotations=None, **spec):
        service = make.service(
            model={"storageUri": f"file:///models/{version}"},
            meta_annotations={
                "serving.kserve.io/deploymentMode": mode, **(annotations or {})
            },
            **spec,
        )  # fmt: skip
        stage.put(service, ready=ready)
        return stage

    return put


KNATIVE_STORIES = ("01-storage-uri-changed", "02-canary-promoted", "02b-canary-100",
                   "04-revision-fails", "04b-first-revision-fails")  # fmt: skip
# Steps that are ahead of KServe's: what runs already is ready at once where it is asked for again.
AHEAD = {("04-revision-fails", 8)}
TOLD = ("latestCreatedRevision", "latestReadyRevision", "latestRolledoutRevision",
        "previousRolledoutRevision")  # fmt: skip


@pytest.mark.parametrize("name", KNATIVE_STORIES)
def test_revisions_and_shares_are_those_of_a_real_kserve(make, golden, installed, name):
    stage = RolloutStage(make, installed)
    for number, step in enumerate(golden(f"lifecycle/knative/{name}.json")["steps"]):
        at, do = f"{name}, step {number}", step["do"]
        if do.get("containerStatuses") is not None:
            stage.dead.add(stage.plan.workloads[0].name)
        if step.get("defaulted") or do.get("ready"):
            stage.dead.clear()
        if step.get("defaulted"):
            stage.service["metadata"] = {}
            stage.put(step["defaulted"], ready=bool(do.get("then")))
        else:
            stage.settle(ready=bool(do.get("ready")))
        if (name, number) in AHEAD:
            continue
        expected = (step["status"].get("components") or {}).get("predictor") or {}
        found = stage.revisions()
        assert {k: found.get(k) for k in TOLD} == {k: expected.get(k) for k in TOLD}, at
        shares = [{k: v for k, v in t.items() if k != "url"} for t in found.get("traffic") or ()]
        assert shares == [
            {k: v for k, v in t.items() if k != "url"} for t in expected.get("traffic") or ()
        ], at


@pytest.mark.parametrize("set_up", ["standard-ingress", "standard-gateway"])
@pytest.mark.parametrize("name", ["13-canary", "13d-canary-at-creation"])
def test_canaries_are_those_of_a_real_kserve(make, golden, installed, set_up, name):
    stage = RolloutStage(make, installed)
    for number, step in enumerate(golden(f"lifecycle/{set_up}/{name}.json")["steps"]):
        at, do = f"{name}, step {number}", step["do"]
        ready = do.get("ready") or ()
        if ready and ready is not True:  # of all that starts only these become ready
            stage.dead = {w.name for w in stage.plan.workloads} - set(ready)
        started = bool(do.get("then") or ready)
        if step.get("defaulted"):
            stage.service["metadata"] = {}
            stage.put(step["defaulted"], ready=started)
        else:
            stage.settle(ready=started)
        expected = step["status"]
        assert stage.status.get("canaryStatuses") == expected.get("canaryStatuses"), at
        told = {c["type"]: (c["status"], c.get("reason")) for c in stage.status["conditions"]}
        real = {c["type"]: (c["status"], c.get("reason")) for c in expected["conditions"]}
        assert told.get("CanaryPredictorReady") == real.get("CanaryPredictorReady"), at
        routes = [o for o in step.get("objects") or () if o["kind"] == "HTTPRoute"]
        for route in routes:
            weights = {b["name"]: b["weight"] for b in route["spec"]["rules"][0]["backendRefs"]}
            total = sum(weights.values())
            wanted = {k: v * 100 // total for k, v in weights.items() if v}
            assert stage.shares() == wanted, at


@pytest.mark.parametrize("mode", MODES)
class TestACanary:
    def test_has_its_share_once_it_is_ready_and_none_before(self, put, mode):
        put("v1", mode=mode)
        stage = put("v2", mode=mode, canaryTrafficPercent=20, ready=False)
        assert stage.shares() == {"iris-predictor": 100}
        stage.settle(ready=True)
        assert stage.shares() == {"iris-predictor": 80, "iris-predictor-00002": 20}
        assert stage.revisions()["traffic"][1]["tag"] == "prev"

    def test_that_is_promoted_takes_all_without_being_started_again(self, put, mode):
        put("v1", mode=mode)
        before = dict(put("v2", mode=mode, canaryTrafficPercent=20).replicas)
        stage = put("v2", mode=mode)
        assert stage.shares() == {"iris-predictor-00002": 100}
        assert stage.replicas.items() <= before.items()

    def test_that_is_taken_back_leaves_what_ran_before(self, put, mode):
        put("v1", mode=mode)
        put("v2", mode=mode, canaryTrafficPercent=20)
        stage = put("v1", mode=mode)
        assert stage.shares() == {"iris-predictor": 100}
        assert {name for name, _ in stage.replicas} == {"iris-predictor"}
        assert stage.revisions()["latestRolledoutRevision"] == "iris-predictor-00003"

    def test_that_is_asked_for_after_the_fact_brings_the_one_before_back(self, put, mode):
        put("v1", mode=mode)
        put("v2", mode=mode)
        stage = put("v2", mode=mode, canaryTrafficPercent=10)
        assert stage.shares() == {"iris-predictor": 10, "iris-predictor-00001": 90}

    def test_whose_replica_dies_gives_its_share_to_the_other(self, put, mode):
        put("v1", mode=mode)
        stage = put("v2", mode=mode, canaryTrafficPercent=50)
        for key in stage.replicas:
            if key[0] == "iris-predictor-00002":
                stage.replicas[key] = False
        stage.settle()
        assert stage.shares() == {"iris-predictor": 100}

    def test_goes_on_where_it_was_after_a_stop(self, put, mode):
        put("v1", mode=mode)
        put("v2", mode=mode, canaryTrafficPercent=20)
        stopped = {"serving.kserve.io/stop": "true"}
        stage = put("v2", mode=mode, canaryTrafficPercent=20, annotations=stopped)
        assert stage.replicas == {}
        assert "components" not in stage.status
        put("v2", mode=mode, canaryTrafficPercent=20)
        assert stage.shares() == {"iris-predictor": 80, "iris-predictor-00002": 20}
        assert stage.revisions()["latestRolledoutRevision"] == "iris-predictor-00001"

    def test_of_the_very_first_revision_is_told_to_have_no_effect(self, put, mode):
        stage = put("v1", mode=mode, canaryTrafficPercent=10)
        assert stage.shares() == {"iris-predictor": 100}
        assert any("no revision has had all traffic before" in e for e in stage.events)


def test_an_update_without_a_share_goes_in_place(put):
    put("v1")
    stage = put("v2")
    assert stage.shares() == {"iris-predictor": 100}
    assert stage.revisions()["previousRolledoutRevision"] == "iris-predictor-00001"


def test_an_old_revision_runs_what_it_was_made_of_whatever_its_runtime_became(put, make, stage):
    put("v1")
    changed = make.runtime(labels={"changed": "since"})
    stage.cluster = (changed,)
    put("v2", canaryTrafficPercent=20)
    newest, older = stage.plan.workloads
    assert (newest.role, older.role) == (Role.STABLE, Role.REVISION)
    assert "changed" in newest.template["metadata"]["labels"]
    assert "changed" not in older.template["metadata"]["labels"]


def test_a_rollout_that_takes_its_time_grows_step_by_step(put, stage):
    slow = {"serving.knative.dev/rollout-duration": "30s"}
    put("v1", annotations=slow)
    put("v2", annotations=slow, ready=False)
    stage.settle(ready=True)
    seen = [stage.shares().get("iris-predictor-00002", 0)]
    for _ in range(40):
        stage.now += 1
        stage._reconcile()
        seen.append(stage.shares().get("iris-predictor-00002", 0))
    assert seen == sorted(seen)
    assert seen[0] < 60
    assert seen[-1] == 100
    assert NOTE not in stage.status["annotations"]


def test_a_rollout_that_is_paused_keeps_its_shares_and_goes_on_afterwards(put):
    put("v1")
    put("v2", canaryTrafficPercent=20)
    paused = {"serving.sampan.dev/rollout-paused": "true"}
    stage = put("v2", canaryTrafficPercent=90, annotations=paused)
    assert stage.shares() == {"iris-predictor": 80, "iris-predictor-00002": 20}
    assert put("v2", canaryTrafficPercent=90).shares()["iris-predictor-00002"] == 90


def test_what_is_new_while_paused_runs_and_gets_nothing(put):
    put("v1")
    paused = {"serving.sampan.dev/rollout-paused": "true"}
    stage = put("v2", annotations=paused)
    assert stage.shares() == {"iris-predictor": 100}
    assert put("v2").shares() == {"iris-predictor-00002": 100}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("serving.knative.dev/rollout-duration", "soon", '"soon" is no duration'),
        ("serving.knative.dev/rollout-duration", "1.5s", '"1.5s" is not a number of whole seconds'),
        ("serving.sampan.dev/rollout-paused", "yes", '"yes" is neither "true" nor "false"'),
    ],
)
def test_an_annotation_that_cannot_be_read_is_told(put, key, value, words):
    stage = put("v1", annotations={key: value})
    assert any(words in e for e in stage.events)


class TestSharesOfTraffic:
    @settings(deadline=None)
    @given(SHARES, st.integers(0, 100))
    def test_sum_to_what_there_is_to_share(self, shares, total):
        assert sum(split(total, shares)) == total

    @settings(deadline=None)
    @given(SHARES)
    def test_of_all_the_traffic_stay_in_proportion(self, shares):
        whole = sum(shares)
        for got, share in zip(split(100, shares), shares, strict=True):
            assert abs(got - 100 * share / whole) < 1

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1).filter(
        lambda pairs: any(share for share, _ in pairs)
    ))  # fmt: skip
    def test_never_go_to_who_cannot_serve_while_another_can(self, pairs):
        shares, able = [s for s, _ in pairs], [a for _, a in pairs]
        moved = move_shares(shares, able)
        assert sum(moved) == sum(shares)
        if any(able):
            assert not any(m for m, ok in zip(moved, able, strict=True) if not ok)

    def test_of_a_gradual_rollout_are_knative_s(self):
        at = [make_gradual_step(100, 5, 0.0, t).percent for t in (0, 1, 2, 3, 4)]
        assert at == [1, 26, 51, 76, 100]

    @settings(deadline=None)
    @given(st.integers(2, 100), st.integers(1, 3600), st.floats(0, 7200))
    def test_of_a_gradual_rollout_only_grow_and_reach_their_end(self, percent, duration, passed):
        step = make_gradual_step(percent, duration, 0.0, passed)
        later = make_gradual_step(percent, duration, 0.0, passed + 1)
        assert 1 <= step.percent <= later.percent <= percent
        assert make_gradual_step(percent, duration, 0.0, duration).percent == percent
        assert step.wake_at == 0 or step.wake_at > passed - 1e-6


def _revision(number, age=0.0):
    return Revision(number, Component.PREDICTOR, "m-predictor", "m-predictor", f"h{number}", -age)


class TestRevisionsThatNobodyNeeds:
    def test_go_when_they_are_old_and_many(self):
        revisions = tuple(_revision(n, RETAIN_SECONDS * 2) for n in range(1, 31))
        rollout = Rollout(Component.PREDICTOR, revisions[-1], revisions[-1], revisions[0])
        gone = select_collectable(revisions, (rollout,), 0.0)
        assert [r.number for r in gone] == list(range(2, 10))

    def test_stay_while_they_are_young(self):
        revisions = tuple(_revision(n) for n in range(1, 60))
        rollout = Rollout(Component.PREDICTOR, revisions[-1], revisions[-1], revisions[-1])
        assert select_collectable(revisions, (rollout,), 0.0) == ()

    def test_go_beyond_a_thousand_however_young(self):
        revisions = tuple(_revision(n) for n in range(1, 1006))
        rollout = Rollout(Component.PREDICTOR, revisions[-1], revisions[-1], revisions[-1])
        gone = select_collectable(revisions, (rollout,), 0.0)
        assert [r.number for r in gone] == [1, 2, 3, 4]


def test_a_workload_is_read_back_as_it_was_recorded(put):
    workload = put("v1", minReplicas=2, maxReplicas=4, scaleMetric="concurrency").plan.workloads[0]
    told = json.loads(json.dumps(encode_workload(workload)))
    assert decode_workload(told) == workload


def test_without_a_history_components_are_as_the_platform_makes_them(put, make, stage):
    put("v1")
    from dataclasses import replace

    from sampan.plan.build import build_plan

    plan = build_plan(replace(stage.snapshot(), history=None))
    assert plan.rollouts == ()
    assert History().of(Component.PREDICTOR) == ()
    assert list(make_field_warnings("ControllerRevision", {}, "local")) == []


TAGGED = {"serving.kserve.io/enable-tag-routing": "true"}


class TestWaysToARevision:
    def test_the_one_before_has_a_host_of_its_own(self, put):
        put("v1")
        stage = put("v2", canaryTrafficPercent=20)
        newest, before = stage.plan.route.backends
        assert (newest.tag, before.tag) == ("", "prev")
        assert "prev-iris-predictor.default.localhost" in before.hosts
        told = stage.revisions()["traffic"][1]["url"]
        assert told == "http://prev-iris-predictor.default.localhost:8080"

    def test_with_tag_routing_the_newest_has_one_too_and_headers_count(self, put):
        put("v1", annotations=TAGGED)
        stage = put("v2", canaryTrafficPercent=20, annotations=TAGGED)
        assert [b.tag for b in stage.plan.route.backends] == ["latest", "prev"]
        assert stage.plan.route.way.tagged

    def test_a_canary_s_tag_is_its_name(self, put):
        entry = {
            "name": "v2",
            "model": {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://b"},
        }
        canary = [{"trafficPercent": 30, "predictor": entry}]
        stage = put("v1", canary=canary, annotations=TAGGED)
        assert {b.workload: (b.weight, b.tag) for b in stage.plan.route.backends} == {
            "iris-predictor": (70, "latest"), "iris-v2-predictor": (30, "v2"),
        }  # fmt: skip

    def test_tags_of_a_component_are_not_those_of_the_service(self, put):
        transformer = {"containers": [{"name": "kserve-container", "image": "x", "command": ["y"]}]}
        put("v1", transformer=transformer)
        route = put("v2", canaryTrafficPercent=20, transformer=transformer).plan.route
        assert [b.workload for b in route.backends] == ["iris-transformer"]
        predictor = next(c for c in route.components if c.component == "predictor")
        assert [(b.weight, b.tag) for b in predictor.backends] == [(20, ""), (80, "prev")]

    def test_no_two_hosts_of_a_long_name_are_cut_to_one(self, make):
        from sampan.api.config import Config
        from sampan.plan.routes import make_tag_hosts
        from sampan.plan.types import Gateway

        name = f"{'a' * 60}-predictor"
        assert make_tag_hosts("prev", name, make.service(), Gateway(), Config()) == ()


class TestCopiesOfRequests:
    def test_go_to_the_newest_revision_while_it_has_no_share(self, put):
        mirror = {"serving.sampan.dev/mirror": "50"}
        put("v1", annotations=mirror)
        stage = put("v2", canaryTrafficPercent=0, annotations=mirror)
        assert {b.workload: b.mirror for b in stage.plan.route.backends} == {
            "iris-predictor-00002": 50, "iris-predictor": 0,
        }  # fmt: skip
        stage = put("v2", canaryTrafficPercent=10, annotations=mirror)
        assert [b.mirror for b in stage.plan.route.backends] == [0, 0]
        assert any("copies go to canaries without a share" in e for e in stage.events)

    def test_make_a_canary_run_that_would_not(self, put):
        entry = {
            "name": "v2",
            "model": {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://b"},
        }
        canary = [{"trafficPercent": 0, "predictor": entry}]
        stage = put("v1", canary=canary)
        assert stage.plan.workloads[1].replicas == 0
        stage = put("v1", canary=canary, annotations={"serving.sampan.dev/mirror": "100"})
        assert stage.plan.workloads[1].replicas == 1
        assert {b.workload: b.mirror for b in stage.plan.route.backends} == {
            "iris-predictor": 0, "iris-v2-predictor": 100,
        }  # fmt: skip

    @pytest.mark.parametrize("value", ["-1", "101", "half", "5.5", ""])
    def test_of_no_percent_are_told_and_not_made(self, put, value):
        stage = put("v1", annotations={"serving.sampan.dev/mirror": value})
        assert any(f'"{value}" is no percent' in e for e in stage.events)


@pytest.mark.parametrize(
    ("value", "kept", "words"),
    [
        ("cookie", "cookie", ""),
        ("header/X-User", "x-user", ""),
        ("ip", "", '"ip" says nothing by which a client could be known'),
        ("header/", "", '"header/" says nothing'),
        ("header/a b", "", '"header/a b" says nothing'),
    ],
)
def test_a_client_stays_with_its_share_by(put, value, kept, words):
    stage = put("v1", annotations={"serving.sampan.dev/sticky-canary": value})
    assert stage.plan.route.way.sticky == kept
    assert any(words in e for e in stage.events if "sticky" in e) is bool(words)


@pytest.mark.parametrize(
    ("own", "stable"),
    [
        pytest.param({"minReplicas": 0}, {}, id="its own minimum is 0"),
        pytest.param({}, {"minReplicas": 0}, id="the stable one's minimum is 0"),
    ],
)
def test_a_canary_with_a_share_has_a_replica(put, own, stable):
    entry = {
        "name": "v2",
        "model": {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://b"},
        **own,
    }
    stage = put("v1", canary=[{"trafficPercent": 20, "predictor": entry}], **stable)
    assert stage.plan.workloads[1].replicas == 1
