"""What to do about a reason: one table, so that each reason is mended in the same words everywhere.

A message already ends with what would mend it where the value is known; this is the next thing to
try, in general.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# What to do about a reason; `{name}` is the service's. Reasons that are not here are mended by
# what their link needs.
MENDS: Mapping[str, str] = MappingProxyType(
    {
        "Stopped": "remove the annotation serving.kserve.io/stop, or set it to false",
        "NoReplicas": "set spec.predictor.minReplicas to 1 or more",
        "RuntimeNotRecognized": "apply the runtime, or name an installed one in "
        "spec.predictor.model.runtime",
        "RuntimeDisabled": "enable the runtime, or name another in spec.predictor.model.runtime",
        "NoSupportingRuntime": "change spec.predictor.model.modelFormat or protocolVersion to what "
        "a runtime supports, or apply a runtime that does",
        "InvalidPredictorSpec": "change the field that the message names",
        "DeploymentModeNotSupported": "delete it and apply it again with the annotation "
        "serving.kserve.io/deploymentMode set to Standard",
        "TransformerNotSupported": "remove spec.transformer",
        "ExplainerNotSupported": "remove spec.explainer",
        "CanaryNotSupported": "remove the canary",
        "MultiNodeNotSupported": "remove spec.predictor.workerSpec",
        "ConfidentialNotSupported": "store the model unencrypted",
        "StorageSpecNotSupported": "use spec.predictor.model.storageUri",
        "InvalidDomainTemplate": "change domainTemplate in inferenceservice-config",
        "CrashLoopBackOff": "read the last lines of its log, mend the model or its arguments, and "
        "apply again",
        "ModelUntrusted": "set the annotation serving.sampan.dev/trust to true if you trust "
        "the model's maker, or save it in a format that runs no code",
        "ModelMissing": "check what spec.predictor.model.storageUri holds: sampan logs {name}",
        "ModelAmbiguous": "keep one model file in spec.predictor.model.storageUri",
        "ModelCorrupt": "save the model again and check that all of it was copied",
        "ModelIncompatible": "save the model with the version that the runtime has, or choose that "
        "one in spec.predictor.model.runtimeVersion",
        "ImageNotRunnable": "give the container a command that is installed here, or choose a "
        "runtime that runs here",
        "RuntimeVersionNotSupported": "change spec.predictor.model.runtimeVersion",
        "CommandNotFound": "install the command, or name it by its absolute path",
        "LocalIOError": "check the free space and the rights of the state folder: sampan doctor",
        "OutOfMemory": "serve a smaller model, fewer replicas, or give it more memory",
        "OOMKilled": "give it more memory in spec.predictor.model.resources, or serve a smaller "
        "model",
        "ReplicaNotReady": "read its log: sampan logs {name}",
    }
)
_LINK_MENDS = {
    "download": "check that spec.predictor.model.storageUri names what is there, and that it can "
    "be reached from here",
    "environment": "check the runtime's image and runtimeVersion, and that packages can be "
    "installed here: sampan doctor",
    "process": "read its log: sampan logs {name}",
    "load": "check that the model's files are of the format and version that the runtime loads",
    "ready": "read its log: sampan logs {name}",
    "route": "check that the gateway runs and its port is free: sampan doctor",
}


def make_mend(link: str, reason: str, name: str) -> str:
    """Return what to do about a reason, or else about a link, for the service of this name."""
    mend = MENDS.get(reason) or _LINK_MENDS.get(link, "change what the message names")
    return mend.format(name=name)
