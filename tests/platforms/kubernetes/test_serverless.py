"""What a service of the class sampan is made of, and what the activator makes of what it sees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api.scheme import REGISTRY
from sampan.app.offline import render_offline
from sampan.gateway.table import Endpoint
from sampan.machinery.registry import AdmissionContext
from sampan.plan.scaling import Scaling
from sampan.platforms.kubernetes.children import (
    ApplyChild,
    DeleteChild,
    child_key,
    diff_children,
    settle,
)
from sampan.platforms.kubernetes.serverless import TERMS, Terms, encode_terms, read_terms
from sampan.platforms.kubernetes.serverless_slices import (
    Doors,
    choose_doors,
    diff_slices,
    make_slice,
    select_addresses,
    select_peers,
)
from sampan.platforms.kubernetes.serverless_table import (
    Served,
    keep_of_deployment,
    make_table,
    select_terms,
)
from sampan.platforms.kubernetes.serverless_table import select_served as select_with_terms
from sampan.platforms.kubernetes.status.serverless import derive_serverless, render_replicas

KIND = "PredictorReady"
DONE = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
NONE_THERE = {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}


def service(autoscaler: str = "sampan", **fields: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://models/iris"}
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": autoscaler,
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris", "namespace": "ml", "annotations": annotations},
        "spec": {"predictor": {"minReplicas": 0, "model": model, **fields}},
    }


def rendered(obj: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    outcome = render_offline([obj], "Standard")
    assert not outcome.mistakes, outcome.mistakes
    return {(o["kind"], o["metadata"]["name"]): o for o in outcome.objects}


class TestObjects:
    def test_its_own_service_leads_nowhere_by_itself_and_a_second_one_to_its_pods(self) -> None:
        objects = rendered(service())
        assert "HorizontalPodAutoscaler" not in {kind for kind, _ in objects}
        own, pods = objects["Service", "iris-predictor"], objects["Service", "iris-predictor-pods"]
        assert "selector" not in own["spec"]
        assert own["spec"]["ports"][0]["port"] == 80
        assert pods["spec"]["clusterIP"] == "None"
        assert pods["spec"]["selector"] == {"app": "isvc.iris-predictor"}

    def test_its_deployment_says_no_number_and_tells_the_terms(self) -> None:
        made = rendered(service(maxReplicas=4, scaleTarget=3))["Deployment", "iris-predictor"]
        assert "replicas" not in made["spec"]
        terms = read_terms(made["metadata"]["annotations"])
        assert terms is not None
        assert (terms.scaling.minimum, terms.scaling.maximum, terms.scaling.target) == (0, 4, 3)
        assert TERMS not in made["spec"]["template"]["metadata"]["annotations"]

    def test_another_class_is_as_it_was(self) -> None:
        objects = rendered(service("hpa"))
        assert ("HorizontalPodAutoscaler", "iris-predictor") in objects
        assert "selector" in objects["Service", "iris-predictor"]["spec"]
        assert ("Service", "iris-predictor-pods") not in objects

    def test_who_may_ask_cannot_be_bounded_when_all_is_asked_by_the_activator(self) -> None:
        bounded = service()
        bounded["metadata"]["annotations"]["serving.sampan.dev/allow-from"] = "team-a"
        [trouble] = render_offline([bounded], "Standard").mistakes
        assert '"serving.sampan.dev/allow-from" cannot be kept' in trouble.text

    def test_opting_in_and_out_makes_the_service_anew(self) -> None:
        owner = {"metadata": {"uid": "u"}}

        def live(obj: dict[str, Any]) -> dict[str, Any]:
            metadata = {**obj["metadata"], "ownerReferences": [{"uid": "u", "controller": True}]}
            return {**obj, "metadata": metadata}

        before, after = (
            rendered(service(name))["Service", "iris-predictor"] for name in ("hpa", "sampan")
        )
        for old, new in ((before, after), (after, before)):
            [step] = diff_children([new], {child_key(old): live(old)}, owner)
            assert isinstance(step, DeleteChild)
        [step] = diff_children([after], {child_key(after): live(after)}, owner)
        assert isinstance(step, ApplyChild)

    def test_one_that_sleeps_when_it_leaves_the_class_is_woken_for_no_other_autoscaler_would(
        self,
    ) -> None:
        asleep = rendered(service())["Deployment", "iris-predictor"]
        asleep = {**asleep, "spec": {**asleep["spec"], "replicas": 0}}
        other = rendered(service("hpa"))["Deployment", "iris-predictor"]
        assert settle(other, asleep)["spec"]["replicas"] == 1
        awake = {**asleep, "spec": {**asleep["spec"], "replicas": 3}}
        assert "replicas" not in settle(other, awake)["spec"]
        still = rendered(service())["Deployment", "iris-predictor"]
        assert "replicas" not in settle(still, asleep)["spec"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        pytest.param({}, "", id="requests are measured by themselves"),
        pytest.param({"scaleMetric": "rps"}, "", id="requests a second may be"),
        pytest.param({"scaleMetric": "cpu"}, '"cpu" is no measure', id="CPU is not"),
        pytest.param(
            {"autoScaling": {"metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]}},
            "is not read by the class",
            id="lists of metrics are not",
        ),
    ],
)
def test_the_class_measures_requests_alone(fields: dict[str, Any], wrong: str) -> None:
    obj = service(**fields)
    admit = REGISTRY.for_object(obj).admit  # type: ignore[union-attr]  # it is there
    assert admit is not None
    verdict = admit(obj, None, AdmissionContext())
    said = verdict.denied + " ".join(map(str, verdict.errors))
    assert (wrong in said) if wrong else not said


numbers = st.none() | st.integers(0, 10_000)
scalings = st.builds(
    Scaling,
    autoscaler=st.just("sampan"),
    minimum=numbers,
    maximum=st.integers(0, 100),
    metric=st.sampled_from(("", "concurrency", "rps")),
    target=numbers,
)
names = st.text("abc-", max_size=5)


@given(st.builds(Terms, scalings, st.integers(0, 99), numbers, names, names))
def test_terms_are_read_as_they_were_written(terms: Terms) -> None:
    assert read_terms({TERMS: encode_terms(terms)}) == terms


@pytest.mark.parametrize("text", ["", "[]", "{", '{"timeout": "long"}', '{"minReplicas": []}'])
def test_terms_that_cannot_be_read_are_none(text: str) -> None:
    assert read_terms({TERMS: text}) is None


def select_served(deployments: list[Any], slices: list[Any]) -> tuple[Served, ...]:
    return select_with_terms(deployments, slices, select_terms(deployments, {})[0])


def deployment(name: str = "iris-predictor", replicas: int = 1) -> dict[str, Any]:
    obj = rendered(service())["Deployment", "iris-predictor"]
    metadata = {**obj["metadata"], "name": name, "uid": name}
    return keep_of_deployment(
        {**obj, "metadata": metadata, "spec": {**obj["spec"], "replicas": replicas}}
    )


def pods_slice(*pods: tuple[str, bool | None], name: str = "iris-predictor-pods") -> dict[str, Any]:
    endpoints = [
        {"addresses": [a], "conditions": {} if ready is None else {"ready": ready}}
        for a, ready in pods
    ]
    port = rendered(service())["Service", "iris-predictor"]["spec"]["ports"][0].get("name", "")
    labels = {"kubernetes.io/service-name": name}
    return {
        "metadata": {"name": f"{name}-x", "namespace": "ml", "labels": labels},
        "endpoints": endpoints,
        "ports": [{"name": port, "port": 8080}],
    }


class TestTable:
    def test_pods_that_are_ready_are_asked_and_no_others(self) -> None:
        found = pods_slice(("10.0.0.1", True), ("10.0.0.2", False), ("10.0.0.3", None))
        [one] = select_served([deployment()], [found])
        assert one.rest == (Endpoint("10.0.0.1", 8080), Endpoint("10.0.0.3", 8080))
        assert one.grpc == one.rest  # one port is for both

    def test_without_a_door_nothing_is_served(self) -> None:
        [one] = select_served([deployment()], [])
        assert make_table([one], lambda _: True).routes == ()

    def test_a_route_is_held_for_rest_and_grpc_by_one_name(self) -> None:
        [one] = select_served([deployment()], [pods_slice(("10.0.0.1", True))])
        written = make_slice(one, 20_000, ["http"], ["10.1.0.1"])
        [one] = select_served([deployment()], [written, pods_slice(("10.0.0.1", True))])
        [route] = make_table([one], lambda _: True).routes
        assert route.door == 20_000
        shares = (*route.shares, *route.grpc_shares)
        assert {share.held for share in shares} == {"ml/iris-predictor"}


doors_of = st.lists(st.integers(0, 12).map(lambda n: n and 20_000 + n), max_size=12)


@given(doors_of)
def test_each_workload_has_a_door_of_its_own_and_keeps_it(ports: list[int]) -> None:
    served = [
        Served("ml", f"w{n}", Terms(Scaling()), deployment_stub(f"w{n}"), door=port)
        for n, port in enumerate(ports)
    ]
    found = choose_doors(served, Doors(20_000, 20_020))
    assert found.keys() == {one.key for one in served}
    assert len(set(found.values())) == len(found)
    for one in served:
        if one.door and ports.count(one.door) == 1:
            assert found[one.key] == one.door


def deployment_stub(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name}, "spec": {"replicas": 1}}


def test_where_no_port_is_left_the_last_get_none() -> None:
    served = [Served("ml", f"w{n}", Terms(Scaling()), deployment_stub(f"w{n}")) for n in range(3)]
    assert len(choose_doors(served, Doors(20_000, 20_001))) == 2


class TestSlices:
    def test_what_is_written_is_not_written_again(self) -> None:
        [one] = select_served([deployment()], [])
        made = make_slice(one, 20_000, ["", "grpc"], ["10.1.0.1", "10.1.0.2"])
        assert diff_slices([made], []) == ([made], [])
        stored = {**made, "endpoints": [{**e, "nodeName": "n"} for e in made["endpoints"]]}
        assert diff_slices([made], [stored]) == ([], [])
        moved = make_slice(one, 20_000, ["", "grpc"], ["10.1.0.9"])
        assert diff_slices([moved], [stored]) == ([moved], [])
        assert diff_slices([], [stored]) == ([], [stored])

    def test_nobody_else_s_slice_is_touched(self) -> None:
        assert diff_slices([], [pods_slice(("10.0.0.1", True))]) == ([], [])

    def test_activators_that_are_ready_are_led_to_and_those_that_end_are_asked_still(self) -> None:
        found = pods_slice(("10.1.0.1", True), ("10.1.0.2", False), name="sampan-activator")
        found["endpoints"][1]["conditions"] |= {"serving": True, "terminating": True}
        assert select_addresses([found], "ml") == ["10.1.0.1"]
        found["endpoints"].append({"addresses": ["10.1.0.3"], "conditions": {"ready": False}})
        where = select_peers([found], "ml")
        assert where.serving == {Endpoint("10.1.0.1", 8080), Endpoint("10.1.0.2", 8080)}
        assert where.others == {Endpoint("10.1.0.3", 8080)}

    def test_addresses_of_two_families_are_not_mixed(self) -> None:
        found = pods_slice(("10.1.0.1", True), ("fd00::1", True), name="sampan-activator")
        assert select_addresses([found], "ml") == ["10.1.0.1"]
        [one] = select_served([deployment()], [])
        assert make_slice(one, 20_000, [""], ["fd00::1"])["addressType"] == "IPv6"


def pod(**state: Any) -> dict[str, Any]:
    return {"metadata": {}, "status": {"containerStatuses": [{"name": "c", "state": state}]}}


@pytest.mark.parametrize(
    ("replicas", "conditions", "pods", "said"),
    [
        pytest.param(0, [DONE], [], ("True", "NoTraffic"), id="asleep it is Ready"),
        pytest.param(
            1, [DONE, NONE_THERE], [], ("True", "NewReplicaSetAvailable"), id="so it is waking"
        ),
        pytest.param(
            1,
            [DONE, NONE_THERE],
            [pod(waiting={"reason": "ContainerCreating"})],
            ("True", "NewReplicaSetAvailable"),
            id="while its pod starts",
        ),
        pytest.param(
            1,
            [DONE, NONE_THERE],
            [pod(waiting={"reason": "ImagePullBackOff"})],
            None,
            id="not when its image cannot be had",
        ),
        pytest.param(
            1, [DONE, NONE_THERE], [pod(terminated={"exitCode": 1})], None, id="nor when it ended"
        ),
        pytest.param(
            1,
            [NONE_THERE, {**DONE, "reason": "ReplicaSetUpdated"}],
            [],
            None,
            id="nor before it has ever run",
        ),
    ],
)
def test_who_sleeps_or_wakes_is_ready(
    replicas: int, conditions: list[Any], pods: list[Any], said: tuple[str, str] | None
) -> None:
    made = {**deployment(replicas=replicas), "status": {"conditions": conditions}}
    found = derive_serverless(KIND, made, pods)
    assert (found and (found.status.value, found.reason)) == said


def test_replicas_are_told_as_on_a_laptop() -> None:
    assert render_replicas(deployment(replicas=0)) == "0 (idle)"
    some = {**deployment(replicas=3), "status": {"readyReplicas": 1}}
    assert render_replicas(some) == "1/3"
