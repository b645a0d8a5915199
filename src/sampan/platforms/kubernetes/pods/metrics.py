"""Whether a pod's metrics are aggregated and scraped.

KServe, metrics: what the pod does not say is the operator's choice, and is written into the pod.
Aggregation needs Knative's proxy, which asks the server's metrics and adds its own.
"""

from __future__ import annotations

from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.pods.containers import (
    add_env,
    annotations_of,
    edit_containers,
    find_container,
    variable,
    with_annotations,
)
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

AGGREGATE = "serving.kserve.io/enable-metric-aggregation"
SCRAPE = "serving.kserve.io/enable-prometheus-scraping"
PORT, PATH = "prometheus.kserve.io/port", "prometheus.kserve.io/path"
QUEUE_PROXY = "queue-proxy"
AGGREGATED_PORT, QUEUE_PORT = "9088", "9091"


def make_metrics(pod: JsonObject, around: Surroundings) -> JsonObject:
    """Return the pod with what it says of its metrics, and with what that needs."""
    settings = around.settings
    chosen = {
        AGGREGATE: str(settings.aggregate).lower(),
        SCRAPE: str(settings.scrape).lower(),
        **{k: v for k, v in annotations_of(pod).items() if k in (AGGREGATE, SCRAPE)},
    }
    pod = with_annotations(pod, chosen)
    aggregated = chosen[AGGREGATE] == "true"
    if aggregated and find_container(pod, QUEUE_PROXY):
        pod = edit_containers(pod, [QUEUE_PROXY], lambda c: _aggregating(c, pod))
    if chosen[SCRAPE] == "true":
        port = AGGREGATED_PORT if aggregated else QUEUE_PORT
        pod = with_annotations(pod, {"prometheus.io/port": port, "prometheus.io/path": "/metrics"})
    return pod


def _aggregating(proxy: JsonObject, pod: JsonObject) -> JsonObject:
    annotations = annotations_of(pod)
    env = [
        variable("KSERVE_CONTAINER_PROMETHEUS_METRICS_PORT", annotations.get(PORT, "8080")),
        variable("KSERVE_CONTAINER_PROMETHEUS_METRICS_PATH", annotations.get(PATH, "/metrics")),
        variable("AGGREGATE_PROMETHEUS_METRICS_PORT", AGGREGATED_PORT),
    ]
    port = {"name": "aggr-metric", "containerPort": int(AGGREGATED_PORT), "protocol": "TCP"}
    others = [p for p in proxy.get("ports") or () if p.get("name") != port["name"]]
    return {**add_env(proxy, env), "ports": [*others, port]}
