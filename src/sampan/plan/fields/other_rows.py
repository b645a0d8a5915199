"""Rows of the kinds besides InferenceService.

A kind on which nothing acts yet says so as a whole when it is applied
(`sampan.controllers.unbuilt`), and that stands before its rows here.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.plan.fields.verdicts import (
    YES,
    Honoured,
    Inside,
    Partly,
    Row,
    Warned,
    Written,
    everywhere,
)

_STATUS = {"status": everywhere(Written())}
_BY_MESH = Honoured("by ModelMesh's own controller")


def _meshed(how: str) -> Row:
    return Row(Honoured(how), _BY_MESH)


def _not_meshed(sentence: str, *fine: object) -> Row:
    return Row(Warned(sentence, fine), _BY_MESH)


_OWN_PORTS = "is not read: the shared processes have ports of their own behind the gateway"
_NO_OBJECTS = Warned(
    "no objects are made of it on a cluster; KServe's own controller acts on it where it runs"
)
_ON_PODS = Row(Honoured("on replicas"), Honoured("on pods"))
_WHOLE_NAMESPACE = Partly("every object counts", "who sets it is told so when applying")
_WORKERS = Row(Warned("several nodes are not built; such a runtime is not selected"), YES)

RUNTIME: Mapping[str, Row] = {
    **_STATUS,
    "spec": everywhere(Inside("PodSpec")),
    "spec.supportedModelFormats": everywhere(Honoured("as what it is selected for")),
    "spec.protocolVersions": everywhere(Honoured("as what it is selected for")),
    "spec.disabled": everywhere(Honoured("true: it is not selected")),
    "spec.multiModel": everywhere(
        Honoured("true: it is for services of ModelMesh mode, and for no others, as in KServe")
    ),
    "spec.labels": _ON_PODS,
    "spec.annotations": _ON_PODS,
    "spec.nodeSelector": everywhere(Inside("PodSpec")),
    "spec.workerSpec": _WORKERS,
    "spec.grpcEndpoint": _meshed("with multiModel, as the sign that it is managed"),
    "spec.grpcDataEndpoint": _not_meshed(_OWN_PORTS),
    "spec.httpDataEndpoint": _not_meshed(_OWN_PORTS),
    "spec.replicas": _meshed("as the number of shared processes; absent: one"),
    "spec.storageHelper": _not_meshed(
        "is not read: the platform brings models, no helper beside the server", {"disabled": False}
    ),
    "spec.builtInAdapter": _meshed(
        "serverType, memBufferBytes and modelLoadingTimeoutMillis, of the shared processes"
    ),
    "spec.builtInAdapter.env": _not_meshed("is not read: no adapter runs beside the server"),
    "spec.builtInAdapter.runtimeManagementPort": _not_meshed(_OWN_PORTS),
}

GRAPH: Mapping[str, Row] = {
    **_STATUS,
    'metadata.annotations["serving.sampan.dev/graph-options"]': Row(
        Honoured("by the router"),
        Warned("is for Sampan's router; KServe's image (the setting router.image) ignores it"),
    ),
    'metadata.annotations["serving.sampan.dev/fuse"]': Row(
        Honoured("true: the router and the models of its steps are one process"),
        Warned("is for a laptop; here the router asks its services", ("", "false")),
    ),
    "spec.nodes": everywhere(Honoured("by the router")),
    "spec.timeout": everywhere(Honoured("by the router")),
    "spec.routerTimeouts": everywhere(Honoured("by the router")),
    "spec.resources": everywhere(Inside("ResourceRequirements")),
    **{
        f"spec.{name}": everywhere(Inside("PodSpec"))
        for name in ("affinity", "tolerations", "nodeSelector", "nodeName", "serviceAccountName")
    },
    **{
        f"spec.{name}": Row(Honoured("by the autoscaler"), Honoured("by the autoscaler"))
        for name in ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric")
    },
}

TRAINED_MODEL: Mapping[str, Row] = {
    **_STATUS,
    "spec": Row(
        Honoured("loaded into the server of its service"),
        Honoured("listed for the agent beside the server of its service"),
    ),
}

STORAGE_CONTAINER: Mapping[str, Row] = {
    "disabled": everywhere(Honoured("true: it fits no URI")),
    "spec.supportedUriFormats": everywhere(Honoured("as what URIs are valid")),
    "spec.supportsMultiModelDownload": Row(
        Warned("the built-in fetcher fetches several models", (False, True)), YES
    ),
    "spec.workloadType": Row(Honoured("initContainer is looked at"), YES),
    "spec.container": Row(
        Warned("its image is not run here; the built-in fetcher is used, with its variables"),
        Honoured("merged over the storage initializer"),
    ),
}

LOCAL_MODEL: Mapping[str, Row] = {
    **_STATUS,
    "spec": Row(Honoured("downloaded before it is used"), _NO_OBJECTS),
}

LLM: Mapping[str, Row] = {
    **_STATUS,
    "spec": Row(Warned("no engine is run by this field"), _NO_OBJECTS),
}

_ACCESS = Row(Honoured("by the API server"), Honoured("by the cluster"))
ROLE: Mapping[str, Row] = {"rules": _ACCESS}
CLUSTER_ROLE: Mapping[str, Row] = {"rules": _ACCESS, "aggregationRule": _ACCESS}
BINDING: Mapping[str, Row] = {"roleRef": _ACCESS, "subjects": _ACCESS}

QUOTA: Mapping[str, Row] = {
    **_STATUS,
    "spec.hard": Row(
        Partly("counts, replicas, memory and devices", "others are told when applied"), YES
    ),
    "spec.scopes": Row(_WHOLE_NAMESPACE, YES),
    "spec.scopeSelector": Row(_WHOLE_NAMESPACE, YES),
}

_DATA: Mapping[str, Row] = {
    "data": everywhere(Honoured("in variables, volumes and credentials")),
    "immutable": everywhere(Honoured("true: its data cannot be changed")),
}
CONFIG_MAP: Mapping[str, Row] = {**_DATA, "binaryData": everywhere(Honoured("in volumes"))}
SECRET: Mapping[str, Row] = {
    **_DATA,
    "stringData": everywhere(Honoured("as data")),
    "type": everywhere(Honoured("as it is written")),
}

ACCOUNT: Mapping[str, Row] = {
    "secrets": Row(Honoured("read for the credentials of models that are fetched"), YES),
    "imagePullSecrets": Row(Honoured("the first opens the registry of an oci:// model"), YES),
    "automountServiceAccountToken": Row(Honoured("no token is mounted here"), YES),
}

REVISION: Mapping[str, Row] = {
    "data": Row(Honoured("as what runs again when it is gone back to"), YES),
    "revision": Row(Honoured("as its place in the history"), YES),
}

NAMESPACE: Mapping[str, Row] = {
    **_STATUS,
    "spec.finalizers": everywhere(Written()),
}

EVENT: Mapping[str, Row] = {
    name: everywhere(Honoured("as it is written"))
    for name in (
        "action", "count", "eventTime", "firstTimestamp", "involvedObject", "lastTimestamp",
        "message", "reason", "related", "reportingComponent", "reportingInstance", "series",
        "source", "type",
    )
}  # fmt: skip
