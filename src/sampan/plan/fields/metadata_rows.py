"""Rows of the annotations and labels by which KServe is told things."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.plan.fields.verdicts import YES, Honoured, Partly, Row, Warned, everywhere

_KSERVE = "serving.kserve.io/"
_OFF = ("", "false", "False", "FALSE")


def _annotation(key: str) -> str:
    return f'annotations["{key}"]'


def _label(key: str) -> str:
    return f'labels["{key}"]'


_OF_ROLLOUTS = {
    "rollout-paused": "true: shares stay as they are",
    "sticky-canary": "cookie, or header/NAME: a client stays with its share",
    "mirror": "as the percent of requests that canaries without a share get copies of",
    "rollback-error-percent": "as the errors after which a new revision gets no more requests",
    "rollback-latency": "as the time within which 95 percent of the answers must come",
    "warm": "as the times of the week in which a replica is kept",
    "prefetch": "as the model at hand while nothing runs",
    "rollback-window": "as the time over which both are judged",
}

SERVICE_ANNOTATIONS: Mapping[str, Row] = {
    _annotation(f"{_KSERVE}stop"): everywhere(Honoured("true: nothing runs until it is removed")),
    _annotation(f"{_KSERVE}deploymentMode"): everywhere(YES),
    _annotation(f"{_KSERVE}autoscalerClass"): Row(
        Honoured("hpa, keda and sampan scale; none and external keep minReplicas"),
        YES,
        example="hpa",
    ),
    _annotation("serving.sampan.dev/trust"): Row(
        Honoured("true: the model may run code when it is loaded"),
        Warned("is Sampan's own, and no image of KServe asks for it", _OFF),
    ),
    _annotation("serving.sampan.dev/requirements"): Row(
        Honoured("as packages beside those of the runtime, one a line"),
        Warned("is for environments of a laptop: an image holds its packages"),
    ),
    _annotation(f"{_KSERVE}disable-auto-update"): Row(
        YES, Honoured("true: while the service is Ready, its objects stay as they are"), "true"
    ),
    _annotation(f"{_KSERVE}enable-tag-routing"): Row(
        Honoured("true: tags are reached by host, header and cookie"),
        Honoured("in Knative mode"),
        "true",
    ),
    _annotation("serving.knative.dev/rollout-duration"): Row(
        Honoured("as the time in which a new revision gets its share"), Honoured("in Knative mode")
    ),
    **{
        _annotation(f"serving.sampan.dev/{name}"): Row(
            Honoured(sentence), Warned("is acted on by the gateway of a laptop alone")
        )
        for name, sentence in _OF_ROLLOUTS.items()
    },
    _annotation("serving.sampan.dev/min-available"): Row(
        Warned("nobody drains this machine"),
        Honoured("as the pods of each component that stay while nodes are drained"),
        "50%",
    ),
    _annotation("serving.sampan.dev/allow-from"): Row(
        Warned("nothing listens off this machine"),
        Honoured("as the namespaces whose pods may send requests, besides its own"),
        "istio-system",
    ),
    _annotation(f"{_KSERVE}enable-metric-aggregation"): Row(YES, YES, "true"),
    _annotation(f"{_KSERVE}enable-prometheus-scraping"): Row(YES, YES, "true"),
    _annotation(f"{_KSERVE}storageSecretName"): everywhere(
        Honoured("as the Secret with the credentials of its model")
    ),
    _annotation(f"{_KSERVE}nodegroup"): Row(
        YES, Warned("caches of models are not used for what is rendered"), "abc"
    ),
    _annotation(f"{_KSERVE}gke-accelerator"): Row(
        Warned("there is one machine, with the GPUs that it has"),
        Honoured("as the pod's node selector"),
    ),
    _annotation(f"{_KSERVE}storage-initializer-uid"): Row(
        Warned("models are fetched by the user who runs Sampan"),
        Partly("as the storage initializer's user", "the image's own counts where it is no number"),
    ),
    _annotation(f"{_KSERVE}gpu-resource-types"): everywhere(Honoured("as what counts as a GPU")),
    _annotation("storage.kserve.io/readonly"): Row(
        Warned("files of fetched models are read-only by their own mode", ("true",)),
        Honoured("false: a mount may be written to"),
    ),
    _annotation(f"{_KSERVE}metrics"): everywhere(
        Warned("is read by nothing, in KServe neither; use scaleMetric")
    ),
    _annotation(f"{_KSERVE}targetUtilizationPercentage"): everywhere(
        Warned("is read by nothing, in KServe neither; use scaleTarget")
    ),
}
"""Below `metadata` of an InferenceService. Others are its author's own, and reach the replicas."""

LABELS: Mapping[str, Row] = {
    _label("networking.kserve.io/visibility"): Row(
        YES, Honoured("cluster-local: nothing outside leads to it"), "cluster-local"
    ),
    _label("networking.knative.dev/visibility"): Row(
        YES, Honoured("cluster-local: nothing outside leads to it"), "cluster-local"
    ),
}
