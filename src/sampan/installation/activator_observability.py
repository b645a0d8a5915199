"""What Prometheus and Grafana are told of the activators. Data."""

from __future__ import annotations

from sampan.installation.alert import Alert

ALERTS = (
    Alert(
        "SampanNobodyLetsSleep",
        "sum(sampan_activator_leading) < 1 or absent(sampan_activator_leading)",
        "2m",
        "critical",
        "No activator holds the lease: services wake, but nothing else of their size changes",
        "look at the pods of deployment/sampan-activator and at lease/sampan-activator",
    ),
    Alert(
        "SampanRequestsWait",
        "max(sampan_activator_waiting) > 0 and increase(sampan_activator_scales_total[5m]) < 1 "
        "and max(sampan_activator_asleep) > 0",
        "5m",
        "warning",
        "Requests wait at an activator and nothing is started for them",
        "events of the reason FailedRescale name the service, and what the API server says",
    ),
    Alert(
        "SampanScalesFail",
        "sum(rate(sampan_activator_scale_failures_total[5m])) > 0.05",
        "10m",
        "warning",
        "Numbers of replicas cannot be written",
        "events of the reason FailedRescale name the services, and what the API server says",
    ),
    Alert(
        "SampanActivatorSilent",
        "max(sampan_activator_silent_peers) > 0",
        "10m",
        "warning",
        "An activator does not answer the others: no service goes to sleep",
        "look at the pods of deployment/sampan-activator and at what lies between them",
    ),
    Alert(
        "SampanActivatorEnvoyEnds",
        "increase(sampan_activator_envoy_restarts_total[15m]) > 2",
        "0m",
        "critical",
        "Envoy ends again and again: what it held and passed on is lost each time",
        'look at its container\'s memory limit and at "envoy.log" in its folder',
    ),
    Alert(
        "SampanTermsUnreadable",
        "max(sampan_activator_unreadable) > 0",
        "10m",
        "warning",
        "Terms of scaling cannot be read; what they said before holds",
        "the activator's log names the Deployments",
    ),
)

PANELS = (
    ("Activators that decide", "sum(sampan_activator_leading)", "short"),
    ("Services that sleep", "max(sampan_activator_asleep)", "short"),
    ("Services that are looked after", "max(sampan_activator_workloads)", "short"),
    ("Requests that wait", "sum(sampan_activator_waiting)", "short"),
    ("Requests under way", "sum(sampan_activator_requests)", "short"),
    ("Requests a second", "sum(rate(sampan_activator_requests_total[5m]))", "reqps"),
    (
        "Time of a cold start, 95 of 100",
        (
            "histogram_quantile(0.95, sum by (le, phase) "
            "(rate(sampan_cold_start_seconds_bucket[15m])))"
        ),
        "s",
    ),
    ("Sizes written a second", "sum(rate(sampan_activator_scales_total[5m]))", "ops"),
)
"""Title, question and unit of each panel."""
