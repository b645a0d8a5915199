"""Rows of an InferenceService's components: fields that they all have, and those of a predictor."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.plan.fields.verdicts import (
    YES,
    Honoured,
    Inside,
    Partly,
    Rejected,
    Row,
    Warned,
    everywhere,
)

_KNATIVE_ONLY = Warned("has an effect in Knative mode only", modes=("Standard",))
_READ_BY_NONE = Warned("is read by nothing, in KServe neither; the metric decides how it is meant")
_PREDICTORS_LOGGER = Warned(
    "is taken from spec.predictor.logger for every component, as KServe does; set it there"
)
_LOGGED = Honoured("as the agent's argument")
_ONE_TARGET = (
    "by the type of the metric: averageUtilization of cpu and memory, averageValue of memory, the "
    "others as type says; what another type needs is not read"
)

SCALING: Mapping[str, Row] = {
    "minReplicas": Row(
        Partly("as many replicas at least", "scale to zero needs an autoscaler"),
        Partly("by the autoscaler", "an HPA keeps one replica where 0 is asked for"),
        example=0,
    ),
    "maxReplicas": everywhere(Honoured("as the autoscaler's upper bound"), example=5),
    "scaleTarget": everywhere(Honoured("as the autoscaler's target"), example=5),
    "scaleMetric": Row(
        Honoured("as what the autoscaler looks at"),
        Partly(
            "cpu and memory by an HPA, concurrency and rps by Knative",
            "an HPA does not know concurrency and rps",
        ),
        example="cpu",
    ),
    "scaleMetricType": everywhere(_READ_BY_NONE, example="Utilization"),
    "autoScaling": Row(Honoured(_ONE_TARGET), Honoured(_ONE_TARGET), example={"metrics": []}),
    "autoScaling.behavior": Row(
        Honoured("as the windows of scaling"),
        Partly("in a ScaledObject of KEDA", "an HPA's behavior is empty, as KServe makes it"),
        example={"scaleUp": {"stabilizationWindowSeconds": 0}},
    ),
}

COMPONENT: Mapping[str, Row] = {
    **SCALING,
    "labels": Row(Honoured("on replicas"), Honoured("on pods")),
    "annotations": Row(Honoured("on replicas"), Honoured("on pods")),
    "timeout": Row(
        Honoured("as the gateway's limit for a request"),
        Partly("by Knative and the Gateway API", "a plain Ingress has no place for it"),
    ),
    "containerConcurrency": Row(
        Honoured("as the server's limit, where the server can be told"), _KNATIVE_ONLY
    ),
    "canaryTrafficPercent": Row(
        Honoured("as the share of the newest revision"), _KNATIVE_ONLY, example=10
    ),
    "deploymentStrategy": Row(
        Partly("Recreate and RollingUpdate", "maxSurge and maxUnavailable are not acted on"),
        Honoured("in Standard mode; refused in Knative mode"),
        example={"rollingUpdate": {"maxSurge": 1}},
    ),
    "storageUris": Row(
        Honoured("fetched, and put at their paths"), Honoured("by the storage initializer")
    ),
    "batcher": Row(
        Honoured("by the server itself, where it can be told"), Honoured("by the agent")
    ),
    "batcher.timeout": everywhere(
        Warned("is read by nothing, in KServe neither; maxLatency bounds how long a request waits")
    ),
    "logger": everywhere(_LOGGED, example={"mode": "all"}),
    "logger.storage.key": Row(
        _LOGGED, Warned("is not read; the secrets of storage.serviceAccountName are")
    ),
}
"""Below `spec.predictor`, `spec.transformer` and `spec.explainer`."""

OTHERS: Mapping[str, Row] = {
    f"logger.{name}": everywhere(_PREDICTORS_LOGGER)
    for name in ("storage", "storage.key", "marshallerUrl", "batchSize", "batchInterval")
}
"""Below `spec.transformer` and `spec.explainer`."""

EXTENSION: Mapping[str, Row] = {
    "": everywhere(Inside("Container")),
    "storageUri": Row(Honoured("fetched, or opened where it is"), YES),
    "runtimeVersion": Row(
        Honoured("as the version of the framework in the replica's environment"),
        Honoured("as the tag of the image"),
    ),
    "protocolVersion": everywhere(Honoured("as what the runtime must speak, and is asked in")),
    "storage": Row(
        Honoured("read with the credentials of the Secret"),
        Honoured("as the storage initializer's arguments"),
        example={"key": "a", "path": "b"},
    ),
    "storage.schemaPath": Row(
        Warned("is not read; inputs are checked by the model itself"),
        Warned("is read by ModelMesh's own controller alone"),
    ),
    "confidential": Row(
        Rejected("decrypting models is not built"),
        Honoured("by the storage initializer of KServe; Sampan's own fails and says so"),
        example={"enabled": True},
    ),
}
"""Below `spec.predictor.model` and the fields named after formats."""

MODEL: Mapping[str, Row] = {
    **EXTENSION,
    "modelFormat": everywhere(Honoured("as what a runtime must support")),
    "runtime": everywhere(Honoured("as the runtime to use")),
}

PREDICTOR: Mapping[str, Row] = {
    "name": Row(Honoured("in the names of replicas"), Honoured("in the names of objects")),
    "storageContainerName": Row(
        Honoured("as what must fit the URI"),
        Honoured("as the storage initializer's container"),
        example="abc",
    ),
    "workerSpec": Row(
        Rejected("several nodes are not built"),
        Honoured("as Deployments of a head and its workers"),
        example={},
    ),
}
"""Below `spec.predictor`, besides what every component has."""

EXPLAINER: Mapping[str, Row] = {
    "art": everywhere(Inside("Container")),
    "art.type": everywhere(Honoured("as the explainer's argument")),
    "art.storageUri": everywhere(YES),
    "art.runtimeVersion": Row(
        Honoured("as the version that must stand for the image"), Honoured("as the image's tag")
    ),
    "art.config": everywhere(Honoured("as the explainer's arguments")),
    "art.storage": everywhere(
        Warned("is read by nothing, in KServe neither; use spec.explainer.art.storageUri")
    ),
}
