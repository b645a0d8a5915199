"""KEDA's triggers: what a component asks for, and what of its metrics is said to be in vain."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.autoscaler.errors import MetricError
from sampan.autoscaler.outcome import Seen
from sampan.autoscaler.policy import ByResources, Component, Target, select_policy
from sampan.autoscaler.prometheus import make_path, read_answer
from sampan.autoscaler.queries import Query, Readings, find_unasked, make_queries
from sampan.autoscaler.resource_scaler import ResourceScaler, Use
from sampan.autoscaler.settings import Defaults
from sampan.autoscaler.silences import find_silences
from sampan.plan.scaling import AUTOSCALER_CLASS, Scaling, Unread, make_scaling

RUNNING, SERVER = "vllm:num_requests_running", "http://prometheus:9090"


def scaling(*metrics: dict[str, Any], autoscaler: str = "keda", **fields: Any) -> Scaling:
    spec = {"maxReplicas": 10, "autoScaling": {"metrics": list(metrics)}, **fields}
    return make_scaling(spec, {AUTOSCALER_CLASS: autoscaler})


def external(value: Any = "2", **metric: Any) -> dict[str, Any]:
    target = {"type": "Value", "value": value}
    source = {"backend": "prometheus", "query": RUNNING, **metric}
    return {"type": "External", "external": {"metric": source, "target": target}}


def pod(value: Any = "4", **metric: Any) -> dict[str, Any]:
    target = {"type": "Value", "value": value}
    source = {"backend": "opentelemetry", "query": RUNNING, **metric}
    return {"type": "PodMetric", "podmetric": {"metric": source, "target": target}}


ASKED = {
    "a Prometheus is asked the query as it stands": (
        external(serverAddress=SERVER + "/"), Query(RUNNING, 2, SERVER),
    ),
    "a server of many tenants is told the namespace": (
        external(serverAddress=SERVER, namespace="team"), Query(RUNNING, 2, SERVER, "team"),
    ),
    "without a server the replicas are asked": (external(), Query(RUNNING, 2)),
    "PodMetric is the sum over the replicas, as KServe asks for it": (
        pod(metricNames=[RUNNING]), Query(f"sum({RUNNING})", 4, shown=RUNNING),
    ),
    "an operation is over KEDA's two minutes": (
        pod("500m", operationOverTime="rate"),
        Query(f"sum(rate({RUNNING}[2m]))", 0.5, shown=f"{RUNNING} (rate)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ASKED)
def test_a_metric_is_a_query(row: str) -> None:
    metric, query = ASKED[row]
    assert make_queries(scaling(metric)) == (query,)
    assert list(find_unasked(scaling(metric))) == []


IN_VAIN = {
    "graphite": (external(backend="graphite"), ".external", 'asks a "graphite"'),
    "no query": (external(query=""), ".external", "metric.query is empty"),
    "a target of nothing": (external(value=0), ".external", "target.value must be more than 0"),
    "a target that is no amount": (external(value="two"), ".external", 'has the target "two"'),
    "PromQL that replicas are not asked": (
        external(query="histogram_quantile(0.9, a)"), ".external", "name a Prometheus",
    ),
    "an operation that KEDA does not know": (
        pod(operationOverTime="median"), ".podmetric", "one of last_one, rate, count, avg, min",
    ),
    "a metric that the collector does not gather": (
        pod(metricNames=["other"]), ".podmetric", "metricNames does not list",
    ),
    "a type that nobody knows": ({"type": "Pods"}, "", "must be Resource, External or PodMetric"),
}  # fmt: skip


@pytest.mark.parametrize("row", IN_VAIN)
def test_a_metric_that_cannot_be_asked_is_said_to_be_in_vain(row: str) -> None:
    metric, field, words = IN_VAIN[row]
    assert make_queries(scaling(metric)) == ()
    ((index, where, text),) = find_unasked(scaling(metric))
    assert (index, where) == (0, field)
    assert words in text


def test_without_the_class_keda_queries_are_not_asked() -> None:
    hpa = scaling(external(serverAddress=SERVER), autoscaler="hpa")
    assert make_queries(hpa) == ()
    ((_, _, text),) = find_unasked(hpa)
    assert 'annotate the service "serving.kserve.io/autoscalerClass: keda"' in text


def test_what_of_a_metric_has_no_effect_is_said_beside_the_query() -> None:
    authorised = external(serverAddress=SERVER)
    authorised["external"]["authenticationRef"] = {"authenticationRef": {"name": "creds"}}
    given = scaling(authorised, pod(serverAddress="keda-otel:4318"))
    assert len(make_queries(given)) == 2
    assert [(index, field) for index, field, _ in find_unasked(given)] == [
        (0, ".external.authenticationRef"),
        (1, ".podmetric.metric.serverAddress"),
    ]


def test_resources_and_queries_stand_beside_each_other() -> None:
    cpu = {"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50},
    }}  # fmt: skip
    policy = select_policy(Component(scaling(cpu, pod()), {}), Defaults())
    assert isinstance(policy, ByResources)
    assert policy.targets == (Target("cpu", percent=50),)
    assert [q.name for q in policy.queries] == [RUNNING]


QUERY = Query(RUNNING, 2, shown=RUNNING)


def decide(ready: int, readings: Readings) -> Any:
    policy = select_policy(Component(scaling(pod("2")), {}), Defaults())
    assert isinstance(policy, ByResources)
    scaler = ResourceScaler(policy, ready, 0.0)
    (value,) = readings.told.values()
    asked = Readings({policy.queries[0]: value}, readings.unread)
    outcome = None
    for now in (15.0, 320.0):  # the window of scaling down has passed
        outcome = scaler.decide(now, Seen(ready), Use({}, {}, asked))
    return outcome


NUMBERS = {
    "each replica is held at the target": (1, 7, 4),
    "however many replicas there are": (3, 7, 4),
    "within a tenth nothing changes": (3, 6.3, 3),
    "fewer are kept when there is less": (4, 3, 2),
    "nothing keeps one": (4, 0, 1),
}


@pytest.mark.parametrize("row", NUMBERS)
def test_the_number_of_replicas_follows_the_query(row: str) -> None:
    ready, total, expected = NUMBERS[row]
    outcome = decide(ready, Readings({QUERY: total}))
    assert outcome.replicas == expected
    assert f"{RUNNING} at {total / ready:.4g} of 2" in outcome.reason
    assert outcome.unread is None


def test_while_a_metric_cannot_be_read_nothing_is_taken_away() -> None:
    unread = Unread("FailedGetPodsMetric", '"a" could not be read')
    outcome = decide(4, Readings({QUERY: 1}, unread))
    assert outcome.replicas == 4
    assert outcome.unread == unread
    assert outcome.reason.endswith(
        '"a" could not be read; none is taken away while a metric cannot be read'
    )
    # More are added all the same, for those that can be read ask for them.
    assert decide(1, Readings({QUERY: 8}, unread)).replicas == 4


def test_the_query_is_sent_as_prometheus_takes_it() -> None:
    path = make_path("/prom/", 'sum(a{b="c d"})', "team")
    assert path == "/prom/api/v1/query?query=sum%28a%7Bb%3D%22c+d%22%7D%29&namespace=team"


def vector(*values: str) -> dict[str, Any]:
    result = [{"metric": {}, "value": [1.0, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


ANSWERS: dict[str, tuple[Any, float]] = {
    "one series": (vector("3.5"), 3.5),
    "no series is nothing": (vector(), 0),
    "what is not finite is nothing": (vector("NaN"), 0),
    "a scalar": (
        {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "2"]}}, 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ANSWERS)
def test_an_answer_of_prometheus_is_a_number(row: str) -> None:
    answer, expected = ANSWERS[row]
    assert read_answer(answer) == expected


NO_NUMBER: dict[str, tuple[Any, str]] = {
    "several series": (vector("1", "2"), "tells 2 numbers and one is needed"),
    "a refusal": ({"status": "error", "error": "parse error"}, "it refuses the query: parse error"),
    "a matrix": (
        {"status": "success", "data": {"resultType": "matrix", "result": []}}, "ask for an instant",
    ),
    "another server's JSON": ({"status": "ok"}, "check that serverAddress is one"),
    "a list": ([], "check that serverAddress is one"),
    "no value": (vector("soon"), "the answer holds no number"),
}  # fmt: skip


@pytest.mark.parametrize("row", NO_NUMBER)
def test_an_answer_that_is_no_number_says_why(row: str) -> None:
    answer, words = NO_NUMBER[row]
    with pytest.raises(MetricError, match=words.replace("(", r"\(")):
        read_answer(answer)


def test_what_may_sleep_is_woken_by_requests_and_sized_by_its_metrics() -> None:
    window = {"autoscaling.knative.dev/window": "10s"}
    component = Component(scaling(pod(), minReplicas=0), window)
    policy = select_policy(component, Defaults())
    assert isinstance(policy, ByResources)
    assert (policy.rules.minimum, policy.rules.maximum) == (1, 10)
    assert policy.sleeps is not None
    assert (policy.sleeps.minimum, policy.sleeps.maximum, policy.sleeps.stable_window) == (0, 1, 10)
    assert list(find_silences(component, window, {}, Defaults())) == []
    awake = select_policy(Component(scaling(pod(), minReplicas=1), window), Defaults())
    assert isinstance(awake, ByResources)
    assert awake.sleeps is None
