"""Numbers that others tell, as a component asks to be scaled by them: KEDA's triggers.

KServe, autoscaler class `keda`: `External` is a query to a Prometheus, `PodMetric` one to what the
replicas tell of themselves. KEDA hands both on as an average over the replicas, so the target is
what one replica is held at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.autoscaler.errors import MetricError
from sampan.autoscaler.query import parse_query
from sampan.machinery.quantity import QuantityError, parse_quantity
from sampan.plan.observed import ObservedReplica
from sampan.plan.scaling import KEDA, Scaling, Unread

EXTERNAL, POD_METRIC = "External", "PodMetric"
PROMETHEUS, OPENTELEMETRY = "prometheus", "opentelemetry"
KEPT = "2m"
"""How long KEDA's OpenTelemetry scaler keeps what an operation over time is made of."""

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

OPERATIONS: Mapping[str, str] = {
    "": "sum({})",
    "last_one": "sum({})",
    "rate": f"sum(rate({{}}[{KEPT}]))",
    "count": f"sum(count_over_time({{}}[{KEPT}]))",
    "avg": f"sum(avg_over_time({{}}[{KEPT}]))",
    "min": f"sum(min_over_time({{}}[{KEPT}]))",
    "max": f"sum(max_over_time({{}}[{KEPT}]))",
}
"""Each `operationOverTime` as a query to the replicas."""


@dataclass(frozen=True, slots=True)
class Query:
    """A number that is asked for, and how much of it one replica is held at.

    `server` "" asks the replicas themselves, else it is a Prometheus's address; `tenant` is the
    namespace that a server of many tenants is told. `shown` is what people call it.
    """

    text: str
    target: float
    server: str = ""
    tenant: str = ""
    shown: str = ""

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return self.shown or self.text


@dataclass(frozen=True, slots=True)
class Readings:
    """What queries came to, of all replicas together, and the first one that could not be read."""

    told: Mapping[Query, float] = field(default_factory=dict)
    unread: Unread | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for a workload, `namespace/name`, of which these replicas are ready.

    `path` is where they tell their metrics, `port` at which port of their container (0: that of
    their requests).
    """

    workload: str
    queries: tuple[Query, ...]
    replicas: tuple[ObservedReplica, ...]
    path: str = "/metrics"
    port: int = 0


def make_queries(scaling: Scaling) -> tuple[Query, ...]:
    """Return the queries of a component; what cannot be asked is left out (`find_unasked`)."""
    if scaling.autoscaler != KEDA:
        return ()
    return tuple(q for m in scaling.metrics if isinstance(q := _read(m), Query))


def make_named_query(name: str, target: float) -> Query | str:
    """Return the query of a metric that replicas tell by this name, or why there is none.

    Knative, class hpa: a metric that is neither cpu nor memory is one of the pods, and the target
    is what one of them is held at on average.
    """
    if not _METRIC_NAME.fullmatch(name):
        return f'is "{name}", which is no name of a metric; write it as the replicas tell it'
    if target <= 0:
        return f'is "{name}", which needs a target; annotate "autoscaling.knative.dev/target"'
    return Query(OPERATIONS[""].format(name), target, shown=name)


def find_unasked(scaling: Scaling) -> Iterator[tuple[int, str, str]]:
    """Yield `(index, field, sentence)` for what of the metrics has no effect, and why."""
    for index, metric in enumerate(scaling.metrics):
        kind = str(metric.get("type"))
        if kind == "Resource":
            continue
        if scaling.autoscaler != KEDA:
            text = f'is of type "{kind}"; annotate the service "serving.kserve.io/autoscalerClass: '
            yield index, "", f'{text}{KEDA}" to have it read'
            continue
        found = _read(metric)
        if isinstance(found, str):
            yield index, _FIELD.get(kind, ""), found
        else:
            yield from ((index, field, text) for field, text in _unheeded(metric, found))


_FIELD = {EXTERNAL: ".external", POD_METRIC: ".podmetric"}


def _read(metric: Mapping[str, Any]) -> Query | str:
    """Return the query of a metric, or why there is none."""
    kind = metric.get("type")
    if kind not in _FIELD:
        return f'is of type "{kind}"; it must be Resource, External or PodMetric'
    given = metric.get("external" if kind == EXTERNAL else "podmetric") or {}
    source, target = given.get("metric") or {}, (given.get("target") or {}).get("value")
    try:
        amount = float(parse_quantity(target).value) if target is not None else 0.0
    except QuantityError as error:
        return f'has the target "{target}": {error}'
    if amount <= 0:
        return "has no effect: target.value must be more than 0"
    make = _external if kind == EXTERNAL else _pod_metric
    found = make(source, amount)
    if isinstance(found, Query) and not found.server:
        try:
            parse_query(found.text)
        except MetricError as error:
            return f"has no effect: {error}"
    return found


def _external(source: Mapping[str, Any], target: float) -> Query | str:
    backend, query = source.get("backend") or PROMETHEUS, str(source.get("query") or "")
    if backend != PROMETHEUS:
        return f'asks a "{backend}", which is not read here; name a Prometheus'
    if not query:
        return "has no effect: metric.query is empty"
    server, tenant = str(source.get("serverAddress") or ""), str(source.get("namespace") or "")
    return Query(query, target, server.rstrip("/"), tenant)


def _pod_metric(source: Mapping[str, Any], target: float) -> Query | str:
    query, names = str(source.get("query") or ""), source.get("metricNames") or ()
    if not query:
        return "has no effect: metric.query is empty"
    operation = str(source.get("operationOverTime") or "")
    if operation not in OPERATIONS:
        known = ", ".join(name for name in OPERATIONS if name)
        return f'has the operationOverTime "{operation}"; it must be one of {known}'
    if names and query.partition("{")[0] not in names:
        return f'has no effect: metricNames does not list "{query}", so it is not gathered'
    shown = f"{query} ({operation})" if operation not in ("", "last_one") else query
    return Query(OPERATIONS[operation].format(query), target, shown=shown)


def _unheeded(metric: Mapping[str, Any], query: Query) -> Iterator[tuple[str, str]]:
    """What of a metric that is read has no effect."""
    if metric.get("type") == POD_METRIC:
        if ((metric.get("podmetric") or {}).get("metric") or {}).get("serverAddress"):
            text = "is not asked: the replicas' metrics are read from the replicas"
            yield ".podmetric.metric.serverAddress", text
        return
    external = metric.get("external") or {}
    name = ((external.get("authenticationRef") or {}).get("authenticationRef") or {}).get("name")
    if name and query.server:
        text = f'"{name}" is not read here; "{query.server}" is asked without credentials'
        yield ".external.authenticationRef", text
