"""What Prometheus and Grafana are told of operator and activators: where their numbers are, and
what they mean.

Pure. Of the Prometheus operator's kinds; nothing of it is needed to run Sampan.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.installation import activator_observability
from sampan.installation.activator import SELECTED as ACTIVATORS
from sampan.installation.alert import Alert
from sampan.installation.options import ACTIVATOR, OPERATOR, Options
from sampan.installation.workload import SELECTED
from sampan.machinery.registry import JsonObject

MONITORING = "monitoring.coreos.com/v1"


ALERTS = (
    Alert(
        "SampanNobodyActs",
        "sum(sampan_operator_leading) < 1 or absent(sampan_operator_leading)",
        "2m",
        "critical",
        "No operator holds the lease: nothing that changes is acted upon",
        "look at the pods of deployment/sampan-operator and at lease/sampan-operator",
    ),
    Alert(
        "SampanReconcilesFail",
        "sum by (resource) (rate(sampan_operator_reconcile_failures_total[5m])) > 0.1",
        "10m",
        "warning",
        "Reconciles of {{ $labels.resource }} fail again and again",
        "the operator's log names the objects",
    ),
    Alert(
        "SampanQueueGrows",
        "max(sampan_operator_queue) > 100",
        "10m",
        "warning",
        "More than 100 objects wait to be looked at",
        "give the operator more CPU, or look at how long the API server takes",
    ),
    Alert(
        "SampanWebhooksSlow",
        "histogram_quantile(0.99, sum by (le, path) "
        "(rate(sampan_operator_webhook_seconds_bucket[5m]))) > 1",
        "10m",
        "warning",
        "{{ $labels.path }} takes more than a second: whoever applies waits for it",
        "look at the operator's CPU and at how long the API server takes",
    ),
)

PANELS = (
    ("Operators that act", "sum(sampan_operator_leading)", "short"),
    ("Objects that wait", "max(sampan_operator_queue)", "short"),
    ("Objects that are followed", "max by (kind) (sampan_operator_objects)", "short"),
    (
        "Reconciles a second",
        "sum by (resource) (rate(sampan_operator_reconcile_seconds_count[5m]))",
        "ops",
    ),
    (
        "Time of a reconcile, 99 of 100",
        (
            "histogram_quantile(0.99, sum by (le, resource) "
            "(rate(sampan_operator_reconcile_seconds_bucket[5m])))"
        ),
        "s",
    ),
    (
        "Reconciles that fail, a second",
        "sum by (resource) (rate(sampan_operator_reconcile_failures_total[5m]))",
        "ops",
    ),
    (
        "Calls of the API server a second",
        "sum by (verb, resource) (rate(sampan_operator_api_calls_total[5m]))",
        "ops",
    ),
    (
        "Time of a webhook, 99 of 100",
        (
            "histogram_quantile(0.99, sum by (le, path) "
            "(rate(sampan_operator_webhook_seconds_bucket[5m])))"
        ),
        "s",
    ),
    ("Memory", "process_resident_memory_bytes", "bytes"),
    ("CPU", "rate(process_cpu_seconds_total[5m])", "percentunit"),
)
"""Title, question and unit of each of the operator's panels."""
ALL_PANELS = PANELS + activator_observability.PANELS


def make_monitoring(options: Options) -> list[JsonObject]:
    """Return a PodMonitor and a PrometheusRule of the operator, and of the activators where there
    are any. Each is asked, also who stands by.
    """
    made = _make_two(OPERATOR, options, SELECTED, ALERTS)
    if options.activators:
        made += _make_two(ACTIVATOR, options, ACTIVATORS, activator_observability.ALERTS)
    return made


def _make_two(
    name: str, options: Options, selected: Mapping[str, str], alerts: tuple[Alert, ...]
) -> list[JsonObject]:
    metadata = {"name": name, "namespace": options.namespace, "labels": dict(selected)}
    monitor = {
        "selector": {"matchLabels": dict(selected)},
        "podMetricsEndpoints": [{"port": "health", "path": "/metrics"}],
    }
    rules = {"groups": [{"name": name, "rules": [alert.render() for alert in alerts]}]}
    return [
        {"apiVersion": MONITORING, "kind": "PodMonitor", "metadata": metadata, "spec": monitor},
        {"apiVersion": MONITORING, "kind": "PrometheusRule", "metadata": metadata, "spec": rules},
    ]


def make_board() -> JsonObject:
    """Return the Grafana board, the activators' rows last; its data source is chosen when it is
    imported.
    """
    source = {"type": "prometheus", "uid": "${datasource}"}
    variable = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    return {
        "title": "Sampan operator",
        "uid": "sampan-operator",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [variable]},
        "panels": [_panel(number, source) for number in range(len(ALL_PANELS))],
    }


def _panel(number: int, source: JsonObject) -> JsonObject:
    title, question, unit = ALL_PANELS[number]
    row, column = divmod(number, 2)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"x": 12 * column, "y": 8 * row, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "expr": question, "datasource": source}],
    }
