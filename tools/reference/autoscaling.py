"""`autoscaling.md`: annotations and cluster-wide settings of the autoscaler, from their readers.

Names and defaults are the code's; only what they mean is written here. A name without a meaning
fails the generation.
"""

from __future__ import annotations

from sampan.autoscaler.annotations import CAMEL_CASE, DOMAIN, READERS
from sampan.autoscaler.cluster import KEYS
from sampan.autoscaler.queries import OPERATIONS
from sampan.autoscaler.query import AGGREGATES, OVER_TIME
from sampan.autoscaler.settings import Defaults
from sampan.controllers.scaling_settings import CONFIG_AUTOSCALER
from tools.reference.markdown import code, page, section, table

_INTRODUCTION = f"""
How the number of replicas follows the load: Knative's rules with Knative's names. What a component
says itself (`minReplicas`, `maxReplicas`, `scaleTarget`, `scaleMetric`, `containerConcurrency`)
wins over annotations, and these over the ConfigMap `{CONFIG_AUTOSCALER.name}` in the namespace
`{CONFIG_AUTOSCALER.namespace}`, which is read anew at each decision. A value that is wrong is told
to who applies it, and counts as absent. [Scale with the load](../how-to/scale-with-the-load.md)
shows it at work.
"""
_BY_USE = (
    "use of the replicas, each 15 s, as Kubernetes's HorizontalPodAutoscaler does it, with "
    "`autoScaling.metrics` and `autoScaling.behavior`; metrics of type `External` and `PodMetric` "
    "with `serving.kserve.io/autoscalerClass: keda` (below)"
)
_BY_BOTH = (
    "the metrics say how many; there are none once no request came for a whole window and every "
    "query comes to 0"
)
_WHO = (
    (
        "Standard, with `scaleMetric` `cpu`, `memory` or none",
        "`maxReplicas` above `minReplicas`",
        _BY_USE,
    ),
    (
        "Standard, with `scaleMetric` `concurrency` or `rps`, or `minReplicas: 0` without a metric",
        "always; without `maxReplicas` there is one at most",
        "requests, each 2 s",
    ),
    (
        "Standard, with `minReplicas: 0`, `autoScaling.metrics` and the class `keda`",
        "`maxReplicas` above 1",
        _BY_BOTH,
    ),
    (
        "Knative",
        "always; without `maxReplicas` as many as the machine's memory holds",
        "requests, each 2 s; CPU or memory with the class `hpa.autoscaling.knative.dev`",
    ),
    (
        "Standard, with `serving.kserve.io/autoscalerClass: sampan`, on a cluster too",
        "always",
        "requests, with the rules and annotations below; down to none with `minReplicas: 0`",
    ),
    (
        "any, with `serving.kserve.io/autoscalerClass` `none` or `external`",
        "never",
        "nobody: `minReplicas` is the number",
    ),
)

_ASKED = f"""
With `serving.kserve.io/autoscalerClass: keda` each of `autoScaling.metrics` is read each 15 s, and
the one that asks for most replicas decides. As KEDA has it, the target is what one replica is held
at. A metric that cannot be read takes no replica away; the condition `ScalingActive` says why.

| type | what is asked |
|---|---|
| `Resource` | use of `cpu` or `memory` |
| `External` with `serverAddress` | that Prometheus, by its query API; no answer is 0. Not `graphite`, and without the credentials of `authenticationRef` |
| `External` without it, or with the gateway's own address | the replicas' own metrics, in a part of PromQL: selectors, {", ".join(map(code, AGGREGATES))} without `by`, {", ".join(map(code, OVER_TIME))}, and `+ - * /` |
| `PodMetric` | the sum of `query` over the replicas' own metrics; `operationOverTime` is one of {", ".join(code(o) for o in OPERATIONS if o)}, over two minutes |

The replicas' own metrics are at `/metrics`, or where the annotation `prometheus.kserve.io/path` or
`prometheus.io/path` says, on the port that answers requests. Their series have the labels
`namespace`, `deployment` and `pod`. Beside them are `DCGM_FI_DEV_GPU_UTIL` (percent) and
`DCGM_FI_DEV_FB_USED` (MiB), with a label `gpu`, where `nvidia-smi` tells what GPUs do.
"""  # noqa: E501  # rows of a table

_MEANINGS = {
    "target": ("what one replica can take of the metric", "0.01 or more"),
    "target-utilization-percentage": ("the share of it at which a replica is held", "1 to 100"),
    "min-scale": ("fewest replicas; of a service `minReplicas` says it", "0 or more"),
    "max-scale": ("most replicas, 0 for no limit; `maxReplicas` says it", "0 or more"),
    "initial-scale": ("replicas at the start, until as many were ready once", "0 or more"),
    "activation-scale": ("fewest replicas while there is any load", "2 or more"),
    "scale-down-delay": ("how long the most that was wanted is kept", "0s to 1h"),
    "scale-to-zero-pod-retention-period": ("how long the last replica is kept", "0s to 1h"),
    "window": ("the stable window, over which load is averaged", "6s to 1h"),
    "panic-window-percentage": ("the panic window, as a share of the stable one", "1 to 100"),
    "panic-threshold-percentage": (
        "panic begins where that window wants so many percent of the ready replicas",
        "110 to 1000",
    ),
    "target-burst-capacity": ("no effect: requests are held only while none runs", "-1, 0 or more"),
    "metric-aggregation-algorithm": (
        "how a window is averaged",
        "`linear`, `weighted-exponential`",
    ),
}
_CLUSTER = {
    "pod-autoscaler-class": "the class of services in Knative mode that name none",
    "max-scale-limit": "the most that an annotation `max-scale` may say; 0 for any",
    "allow-zero-initial-scale": "whether `initial-scale` may be 0",
    "requests-per-second-target-default": "`target`, where the metric is `rps`",
    "max-scale-up-rate": "how many times the ready replicas one decision may ask for",
    "max-scale-down-rate": "by how much one decision may divide them",
    "scale-to-zero-grace-period": "no effect: the gateway tells when it holds the requests",
    "enable-scale-to-zero": "whether the last replica may go",
    "activator-capacity": "no effect: there is one activator",
}
_OWN_DEFAULTS = {"metric-aggregation-algorithm": "`linear`"}
_KEYS = {
    "target": "container-concurrency-target-default",
    "target-utilization-percentage": "container-concurrency-target-percentage",
    "window": "stable-window",
}


def render() -> str:
    """Return the page; raise KeyError for a name whose meaning is not written here."""
    return page(
        "Autoscaling",
        _INTRODUCTION,
        section("Who decides", table(("mode", "scales", "what decides"), _WHO)),
        section("Metrics that are asked for", _ASKED.strip()),
        section(
            f"Annotations `{DOMAIN}...`",
            "An alias is the same name written as `minScale`.",
            table(("annotation", "cluster key", "default", "allowed", "meaning"), _annotations()),
        ),
        section("Only for the cluster", table(("key", "default", "meaning"), _cluster())),
    )


def _annotations() -> list[tuple[str, str, str, str, str]]:
    rows = []
    for name in READERS:
        meaning, allowed = _MEANINGS[name]
        key = _KEYS.get(name, name)
        known = key in KEYS
        alias = ", or its alias" if name in CAMEL_CASE else ""
        rows.append(
            (code(name) + alias, code(key if known else ""), _default(key), allowed, meaning)
        )
    return rows


def _cluster() -> list[tuple[str, str, str]]:
    told = {_KEYS.get(name, name) for name in READERS}
    return [(code(key), _default(key), _CLUSTER[key]) for key in KEYS if key not in told]


def _default(key: str) -> str:
    if key not in KEYS:
        return _OWN_DEFAULTS.get(key, "none")
    value = getattr(Defaults(), KEYS[key][0])
    text = str(value).lower() if isinstance(value, bool | str) else f"{value:g}"
    return code(text + ("s" if "window" in key and "percentage" not in key else ""))
