"""`reasons.md`: every reason that a condition, an event, an exit or `why` can give.

The reasons are found in the source, the mends are those of `sampan.plan.mends`; only what a reason
means is written here, under the link of the chain that gives it. A reason without a meaning, and a
meaning that no source gives, fail the generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sampan.plan.mends import MENDS
from tools.reference.markdown import code, page, section, table
from tools.reference.reason_scan import SOURCE, find_reasons

_INTRODUCTION = """
A reason is one word for machines; the message beside it, in the condition, the event and in
`sampan why`, names the value and most often what mends it. `NAME` stands for your service.
"""

_DECISION = {
    "Stopped": "the annotation `serving.kserve.io/stop` is true, so nothing runs",
    "RuntimeNotRecognized": "the runtime that the service names does not exist",
    "RuntimeDisabled": "the runtime that the service names is disabled",
    "NoSupportingRuntime": "no runtime serves this model format, version and protocol",
    "InvalidPredictorSpec": "the predictor cannot be made a pod: fields contradict each other, or "
    "a placeholder has no value",
    "DeploymentModeNotSupported": "something of the service, or its runtime, has no place in its "
    "deployment mode here",
    "MultiNodeNotSupported": "a model across several nodes is not built yet",
    "ReferenceNotFound": "the object names another one that is not there (told by `sampan why`)",
    "CannotFuse": "a graph asks for one process with its models, and a model of it cannot be there",
    "GraphStepNotReady": "a step of a graph names a service that is not there or has no address",
    "InvalidGraph": "nodes of a graph lead nowhere, in a circle, or to too many calls",
    "NameTaken": "a graph and a service of one namespace have the same name, and so one address",
    "InvalidWorkerSpecNotSet": "the runtime has no container for the workers of several nodes",
    "InvalidGPUAllocation": "head and workers have fewer GPUs than the model is spread over",
    "ConfidentialNotSupported": "opening encrypted models is not built yet",
    "StorageSpecNotSupported": "a model named by a storage Secret has no path in it",
    "IsNotMMSPredictor": "the service of a TrainedModel serves one model, not several",
    "MemoryResourceNotAvailable": "the memory limit of a TrainedModel's service is used up",
    "NotBuiltYet": "objects of this kind are stored and checked, and nothing acts on them yet",
    "InvalidDomainTemplate": "the operator's domain template gives no host name",
}
_DOWNLOAD = {
    "InvalidURI": "the storage URI cannot be read",
    "UnsupportedScheme": "nothing here fetches this scheme",
    "ModelNotFound": "there is nothing at the place that the storage URI names",
    "InvalidRequest": "the URI makes a request that HTTP does not allow",
    "SourceRefused": "the address is private or a redirect leads where it must not",
    "AuthenticationFailed": "the server wants credentials (401)",
    "GatedModel": "the model's owner has terms accepted before its files are given",
    "RevisionNotFound": "the model's repository has no branch, tag or commit of this name",
    "AccessDenied": "the server, or the rights of a file, refuse this user (403)",
    "InvalidStorageSettings": "a variable or a Secret of a store cannot be read, or is half there",
    "SecretNotFound": "the Secret with the model's credentials is not there",
    "ConnectionFailed": "no connection to the server",
    "SourceUnavailable": "the server is busy or broken (408, 429, 5xx)",
    "UnexpectedStatus": "the server answered neither with a file nor with a known refusal",
    "UnexpectedContent": "the answer is a page or is encoded, not the file",
    "SourceChanged": "the file changed while it was downloaded",
    "DownloadStalled": "nothing came for too long",
    "DownloadTruncated": "the connection ended before the whole file was here",
    "DownloadTooLarge": "the file is larger than the limit",
    "ChecksumMismatch": "the bytes are not those that the URI or the server promised",
    "ArchiveInvalid": "the archive is damaged, or is none",
    "ArchiveUnsafe": "a member of the archive would be written outside the model's folder",
    "ArchiveTooLarge": "the archive unpacks to more bytes or files than allowed",
    "DiskFull": "the disk has no room for the model",
    "LocalIOError": "the disk refuses to read or write",
}
_ENVIRONMENT = {
    "EnvironmentFailed": "the runtime's packages cannot be installed; the message has uv's words",
    "RuntimeVersionNotSupported": "the runtime's image stands for no such version here",
    "ImageNotRunnable": "no local command stands for the image",
    "PortTwiceInPod": "a transformer's container and the predictor's would listen on one port",
    "CommandNotFound": "the container's command is not on this machine",
}
_LOAD = {
    "ModelMissing": "the model's folder holds no file of the format",
    "ModelAmbiguous": "the model's folder holds several files of the format",
    "ModelUntrusted": "the pickle names a class that is not on the allow-list",
    "ModelIncompatible": "the model was saved by another version, or needs a missing module",
    "ModelCorrupt": "the model's file is damaged or of another format",
    "ModelFormat": "what is to be served is no model",
    "FormatNotServed": "the format is not one of those that are served side by side",
    "ModelLoadFailed": "the runtime raised an error that nothing else here describes",
    "RuntimeUnavailable": "the framework is not in the server's environment",
    "OutOfMemory": "memory ran out while the model was loading",
    "PortTaken": "the model server's port is held by another process",
    "CertificateUnreadable": "the model server's certificate or key cannot be read",
    "CreateContainerConfigError": "a ConfigMap, a Secret or a key of one is missing",
    "InsufficientDevices": "other replicas have the GPUs that it asks for, or there are too few",
    "CreateContainerError": "the replica's folder or mounts cannot be made",
    "StartError": "the process could not be started",
    "ImportFailed": "a module that replicas are forked with cannot be imported",
    "ZygoteDied": "the process that replicas are forked from ended; another is started",
    "ThreadsStarted": "the runtime starts threads when imported, so it cannot be forked; it is "
    "started anew for each replica",
    "CrashLoopBackOff": "the process ended several times and is started again after a pause",
    "OOMKilled": "the process used more memory than it may, or than there is",
    "Error": "the process ended with an exit code other than 0",
    "Completed": "the process ended with exit code 0, though a server should not end",
    "ContainerStatusUnknown": "the process ended while nobody watched",
    "NotReady": "the process runs, and its readiness probe has not passed yet",
    "Unhealthy": "the liveness or startup probe failed, so the process was ended",
    "InternalError": "a mistake in Sampan; the daemon's log has the traceback",
}
_READY = {
    "ReplicaNotReady": "the process runs and its readiness probe does not pass",
    "InsufficientMemory": "a replica that would make the machine swap is not started; as condition "
    "`ScalingLimited`: more replicas are wanted than its memory holds; those that fit serve",
    "FailedGetPodsMetric": "condition `ScalingActive`: the replicas do not tell a metric by which "
    "they are scaled; none is taken away meanwhile",
    "FailedGetExternalMetric": "condition `ScalingActive`: a Prometheus does not tell a metric by "
    "which replicas are scaled; none is taken away meanwhile",
    "NoReplicas": "`minReplicas` is 0, and nothing starts a replica",
    "CanaryErrorRateExceeded": "a new revision failed too many requests and gets no more; the "
    "annotation `serving.sampan.dev/rollback-error-percent` says how many it may",
    "CanaryLatencyExceeded": "a new revision was too slow and gets no more requests; the "
    "annotation `serving.sampan.dev/rollback-latency` says how long answers may take",
}
_ROUTE = {
    "NoReadyReplica": "there is no replica that requests could go to",
    "NotVerified": "no real request has passed yet",
    "RouteNotReady": "the gateway does not pass a request yet",
    "RouteRefused": "the route cannot be served, for example because of a host name used twice",
    "EndpointsUnhealthy": "the gateway finds no replica healthy",
    "RequestNotPassed": "a real request through the gateway failed",
    "GatewayNotAnswering": "Envoy does not answer",
    "EnvoyMissing": "Envoy is not installed",
    "EnvoyExited": "Envoy ended; it is started again",
    "AdminUnreachable": "Envoy's admin socket does not answer",
    "ConfigRejected": "Envoy refused the configuration",
    "ConfigNotTaken": "Envoy did not take the configuration in time",
    "InvalidSettings": "the gateway's settings cannot be used",
    "PortInUse": "the gateway's port is held by another process",
    "PathTooLong": "the state folder's path is too long for a socket",
}
_CLUSTER = {
    "KindNotInstalled": "the cluster lacks a kind that the service needs: of Knative, KEDA, Istio, "
    "OpenTelemetry or the Gateway API",
    "NameOccupied": "an object of that name is there and belongs to somebody else; it stays",
    "ParentStatusNotAvailable": "the gateway has not said yet whether it takes the route",
    "ReconcileFailed": "the API server refuses an object of the service; the message has its words",
    "FailedRescale": "event: another number of replicas cannot be written",
}
_UNDER_WAY = {
    "ChildCorrected": "event: a field of an object of the service was changed by hand, and is "
    "again what the service says",
    "MinimumReplicasUnavailable": "a link of the chain is under way",
    "MinimumReplicasAvailable": "enough replicas serve while a newer template is rolled out, or "
    "while it is blocked",
    "NewReplicaSetAvailable": "all replicas of the newest template are ready",
    "BuildingEnvironment": "packages are being installed",
    "Downloading": "the model is being fetched",
    "NotNeeded": "nothing is fetched, for what should run cannot run here",
    "InferenceGraphReady": "event: the graph became Ready",
    "InferenceGraphNotReady": "event: the graph is no longer Ready",
    "InferenceServiceReady": "event: the service became Ready",
    "InferenceServiceNotReady": "event: the service is no longer Ready; of a TrainedModel: its "
    "service is not Ready, or not there",
    "FieldNotHonoured": "event: a field of the service has no effect here",
    "SuccessfulRescale": "event: an autoscaler changed the number of replicas, with its numbers",
    "RequestsHeld": "requests wait at the activator until a replica is up to answer them",
    "AllCanariesReady": "every canary of `spec.canary` is ready and has its share",
    "CanariesNotReady": "a canary of `spec.canary` is not ready, and its share stays with the rest",
    "NoTraffic": "no request came for a whole window, so no replica is wanted",
}
_GROUPS: Mapping[str, Mapping[str, str]] = {
    "Decision": _DECISION,
    "Download": _DOWNLOAD,
    "Environment": _ENVIRONMENT,
    "Process and load": _LOAD,
    "Ready": _READY,
    "Route": _ROUTE,
    "On a cluster": _CLUSTER,
}
_IN_MESSAGE = "what its message says"


def render() -> str:
    """Return the page; raise ValueError when its words and the source's do not agree."""
    _check()
    groups = [
        section(title, table(("reason", "meaning", "what mends it"), _rows(meanings)))
        for title, meanings in _GROUPS.items()
    ]
    news = [(code(reason), meaning) for reason, meaning in _UNDER_WAY.items()]
    last = section("Under way, and news", table(("reason", "meaning"), news))
    return page("Reasons", _INTRODUCTION, *groups, last)


def _rows(meanings: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [(code(r), text, _mend(r)) for r, text in meanings.items()]


def _mend(reason: str) -> str:
    return MENDS.get(reason, _IN_MESSAGE).format(name="NAME")


def _check() -> None:
    told = {r for meanings in _GROUPS.values() for r in meanings} | set(_UNDER_WAY)
    missing = sorted(set(find_reasons()) - told - _OF_REPLICAS)
    if missing:
        raise ValueError(f"reasons without a meaning: {', '.join(missing)}; give it in {__file__}")
    idle = sorted(r for r in told if r not in _source())
    if idle:
        raise ValueError(f"no source gives the reasons {', '.join(idle)}; remove their meanings")


_OF_REPLICAS = frozenset({"Loading", "Adopted", "Starting"})
"""Words for how far a replica is that are no reasons of their own."""


@cache
def _source() -> str:
    texts = (p.read_text("utf-8") for p in SOURCE.rglob("*.py") if p.parent.name != "cli")
    return "\n".join(texts)
