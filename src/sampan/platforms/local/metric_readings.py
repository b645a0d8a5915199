"""The numbers that autoscalers ask for: of replicas' own metrics, and of Prometheus servers.

A query that names no server, or this machine's own gateway, is answered from what the workload's
replicas tell. Nothing is asked but for a workload that is about to be decided, each 15 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from urllib.parse import urlsplit

from sampan.autoscaler.errors import MetricError
from sampan.autoscaler.queries import Asked, Query, Readings
from sampan.autoscaler.query import Expression, Selector, find_selectors, parse_query
from sampan.autoscaler.query_value import Told, evaluate
from sampan.machinery.clock import Clock
from sampan.machinery.suggest import did_you_mean
from sampan.plan.scaling import Unread
from sampan.platforms.local.prometheus_server import ask_prometheus
from sampan.platforms.local.replica_metrics import DEVICES, ReplicaMetrics

FAILED_EXTERNAL, FAILED_PODS = "FailedGetExternalMetric", "FailedGetPodsMetric"
"""Kubernetes's own reasons of the condition `ScalingActive`."""


class MetricReadings:
    """Answers what autoscalers ask. `own` are addresses of the gateway, as `localhost:8080`."""

    def __init__(self, replicas: ReplicaMetrics, clock: Clock, own: Collection[str] = ()) -> None:
        self._replicas = replicas
        self._clock = clock
        self._own = frozenset(own)

    async def read(self, asked: Asked) -> Readings:
        """Return what the queries come to."""
        local = [q for q in asked.queries if self._is_own(q)]
        remote = [q for q in asked.queries if q not in local]
        # What needs a device fails where there is none, and the rest is told all the same.
        parts = ([q for q in local if _is_of_device(q)], [q for q in local if not _is_of_device(q)])
        found = [await self._read_own(asked, part) for part in parts if part]
        found += await asyncio.gather(*map(_read_server, remote))
        told = {query: value for one in found for query, value in one.told.items()}
        return Readings(told, next((one.unread for one in found if one.unread), None))

    def _is_own(self, query: Query) -> bool:
        return not query.server or urlsplit(query.server).netloc in self._own

    async def _read_own(self, asked: Asked, queries: list[Query]) -> Readings:
        parsed: dict[Query, Expression] = {}
        told: dict[Query, float] = {}
        unread: Unread | None = None
        now = self._clock.now()
        try:
            for query in queries:
                parsed[query] = parse_query(query.text)
            selectors = [s for expression in parsed.values() for s in find_selectors(expression)]
            names = {s.name for s in selectors}
            seconds = max((s.seconds for s in selectors), default=0.0)
            series = await self._replicas.read(asked, names, seconds, now)
        except MetricError as error:
            return Readings(unread=Unread(FAILED_PODS, str(error)))
        for query, expression in parsed.items():
            try:
                self._check_known(asked, expression, series)
                told[query] = evaluate(expression, series, now)
            except MetricError as error:
                unread = unread or Unread(FAILED_PODS, f'"{query.name}": {error}')
        return Readings(told, unread)

    def _check_known(self, asked: Asked, expression: Expression, told: Told) -> None:
        """Raise MetricError for a metric that no replica tells: 0 would hide a name misspelt.

        One that is announced (by its `# TYPE`) has no series yet, which is 0.
        """
        known = self._replicas.known.get(asked.workload, frozenset())
        there = known | {series.name for series in told}
        missing: list[Selector] = [s for s in find_selectors(expression) if s.name not in there]
        if missing:
            near = did_you_mean(missing[0].name, known)
            raise MetricError(f'no replica tells "{missing[0].name}" yet{near}')


def _is_of_device(query: Query) -> bool:
    return DEVICES in query.text


async def _read_server(query: Query) -> Readings:
    try:
        return Readings({query: await ask_prometheus(query)})
    except MetricError as error:
        text = f'"{query.name}" could not be read from "{query.server}": {error}'
        return Readings(unread=Unread(FAILED_EXTERNAL, text))
