"""What of a pod template is honoured on this machine: one table, every field of Kubernetes in it.

A field is honoured, or harmless to leave out (and why), or not honoured: then whoever set it gets
a sentence that names the path, says why, and what to do instead. A test holds the table to all
fields that Kubernetes knows. Pure.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Honoured:
    """The field does here what it does in a cluster; `how` where that is not plain."""

    how: str = ""


@dataclass(frozen=True, slots=True)
class Harmless:
    """The field is left out, and nobody is worse off: the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The field is left out and its author is told. Values in `fine` ask for what is so anyway."""

    sentence: str
    fine: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Inside:
    """The field is an object, a list or a map of objects of a type that has its own rows."""

    type: str


Row: TypeAlias = Honoured | Harmless | Unsupported | Inside

_YES = Honoured()
_ONE_MACHINE = Harmless("there is one machine and no scheduler")
_NO_CHOICE = Unsupported("there is one machine to run on, whatever its labels; it is not chosen")
_OWN_USER = "a replica runs as the user who runs Sampan"
_NO_CONTAINER = "processes are not contained here"

TEMPLATE: Mapping[str, Row] = {
    "metadata": Honoured("labels and annotations, for the downward API"),
    "spec": Inside("PodSpec"),
}

POD_SPEC: Mapping[str, Row] = {
    "activeDeadlineSeconds": Unsupported("a deadline for the whole replica is not kept here"),
    "affinity": _NO_CHOICE,
    "automountServiceAccountToken": Harmless("there is no service account token to mount"),
    "containers": Inside("Container"),
    "dnsConfig": Unsupported("names are resolved as this machine resolves them"),
    "dnsPolicy": Harmless("names are resolved as this machine resolves them"),
    "enableServiceLinks": Harmless("there are no Services, so no variables of them"),
    "ephemeralContainers": Unsupported("debug containers are not run here; read the logs instead"),
    "evictionResponders": Harmless("nothing evicts a replica here"),
    "hostAliases": Unsupported("names are not added here; add them to this machine's hosts file"),
    "hostIPC": Harmless("a process of this machine is in its namespaces anyway"),
    "hostNetwork": Harmless("a process of this machine is in its namespaces anyway"),
    "hostPID": Harmless("a process of this machine is in its namespaces anyway"),
    "hostUsers": Harmless(_OWN_USER),
    "hostname": Unsupported("the host name is this machine's; $HOSTNAME is the replica's name"),
    "hostnameOverride": Unsupported(
        "the host name is this machine's; $HOSTNAME is the replica's name"
    ),
    "imagePullSecrets": Honoured("the first opens the registry of an oci:// model"),
    "initContainers": Unsupported(
        "containers that run before the server are not run here; do their work before applying"
    ),
    "nodeName": _NO_CHOICE,
    "nodeSelector": _NO_CHOICE,
    "os": Unsupported("replicas run on the system of this machine", ({"name": "linux"},)),
    "overhead": Harmless("nothing is reserved on this machine"),
    "preemptionPolicy": _ONE_MACHINE,
    "priority": _ONE_MACHINE,
    "priorityClassName": _ONE_MACHINE,
    "readinessGates": Unsupported("only probes decide readiness here"),
    "resourceClaims": Unsupported("devices are not claimed here; a process sees all of them"),
    "resources": Unsupported("limits of the whole replica are not enforced here"),
    "restartPolicy": Unsupported("a replica that ends is always restarted", ("Always",)),
    "runtimeClassName": Unsupported(_NO_CONTAINER),
    "schedulerName": _ONE_MACHINE,
    "schedulingGates": _NO_CHOICE,
    "schedulingGroup": _ONE_MACHINE,
    "securityContext": Inside("PodSecurityContext"),
    "serviceAccount": Harmless("the deprecated name of serviceAccountName"),
    "serviceAccountName": Honoured("as a name for the downward API; it grants nothing here"),
    "setHostnameAsFQDN": Unsupported("the host name is this machine's", (False,)),
    "shareProcessNamespace": Harmless("processes of this machine see each other anyway"),
    "subdomain": Unsupported("the host name is this machine's"),
    "terminationGracePeriodSeconds": _YES,
    "tolerations": _ONE_MACHINE,
    "topologySpreadConstraints": _NO_CHOICE,
    "volumes": Inside("Volume"),
}

CONTAINER: Mapping[str, Row] = {
    "args": Honoured("with mount paths and container ports replaced by those of this machine"),
    "command": Honoured("looked up on the PATH of this machine"),
    "env": Inside("EnvVar"),
    "envFrom": _YES,
    "image": Honoured("as the local command that stands for it"),
    "imagePullPolicy": Harmless("no image is pulled"),
    "lifecycle": Inside("Lifecycle"),
    "livenessProbe": Inside("Probe"),
    "name": _YES,
    "ports": Inside("ContainerPort"),
    "readinessProbe": Inside("Probe"),
    "resizePolicy": Harmless("resources are not changed while a replica runs"),
    "resources": Inside("ResourceRequirements"),
    "restartPolicy": Unsupported("a replica that ends is always restarted", ("Always",)),
    "restartPolicyRules": Unsupported("a replica that ends is always restarted", ([],)),
    "securityContext": Inside("SecurityContext"),
    "startupProbe": Inside("Probe"),
    "stdin": Unsupported("a replica has no standard input here", (False,)),
    "stdinOnce": Unsupported("a replica has no standard input here", (False,)),
    "terminationMessagePath": Unsupported(
        "the last words are read from the file named in $SAMPAN_TERMINATION_LOG",
        ("/dev/termination-log",),
    ),
    "terminationMessagePolicy": Harmless("the last log lines are always kept with an exit"),
    "tty": Unsupported("a replica has no terminal here", (False,)),
    "volumeDevices": Unsupported("block devices are not attached here"),
    "volumeMounts": Inside("VolumeMount"),
    "workingDir": Honoured("inside a mount, or a folder of this machine"),
}

PROBE: Mapping[str, Row] = {
    "exec": _YES,
    "failureThreshold": _YES,
    "grpc": _YES,
    "httpGet": Inside("HTTPGetAction"),
    "initialDelaySeconds": _YES,
    "periodSeconds": _YES,
    "successThreshold": _YES,
    "tcpSocket": Inside("TCPSocketAction"),
    "terminationGracePeriodSeconds": _YES,
    "timeoutSeconds": _YES,
}

_PROBED_HOST = Unsupported("replicas are probed on 127.0.0.1", ("127.0.0.1", "localhost", ""))

HTTP_GET: Mapping[str, Row] = {
    "host": _PROBED_HOST,
    "httpHeaders": _YES,
    "path": _YES,
    "port": _YES,
    "protocol": Unsupported("probes speak HTTP/1.1", ("HTTP/1.1", "HTTP1")),
    "scheme": _YES,
}

TCP_SOCKET: Mapping[str, Row] = {"host": _PROBED_HOST, "port": _YES}

LIFECYCLE: Mapping[str, Row] = {
    "postStart": Unsupported("nothing is run after a start here; do it in the command"),
    "preStop": Unsupported(
        "nothing is run before a stop here; the gateway takes a replica out before it is stopped"
    ),
    "stopSignal": Unsupported("a replica is stopped with SIGTERM", ("SIGTERM",)),
}

CONTAINER_PORT: Mapping[str, Row] = {
    "containerPort": Honoured("stood for by a free loopback port, which args and env are told"),
    "hostIP": Unsupported("replicas listen on 127.0.0.1", ("127.0.0.1", "")),
    "hostPort": Unsupported("replicas get free ports; clients come through the gateway"),
    "name": _YES,
    "protocol": Unsupported("only TCP ports are given", ("TCP",)),
}

RESOURCES: Mapping[str, Row] = {
    "claims": Unsupported("devices are not claimed here; a process sees all of them", ([],)),
    "limits": Inside("Limits"),
    "requests": Harmless("there is one machine, and nothing is reserved on it"),
}

LIMITS: Mapping[str, Row] = {
    "cpu": Honoured("as the number of threads of numeric libraries (OMP_NUM_THREADS)"),
    "memory": (
        Honoured("looked at four times a second; a replica that uses more is ended, OOMKilled")
        if sys.platform == "linux"
        else Harmless("not enforced on this system, whose own limits hold")
    ),
    "ephemeral-storage": Harmless("the disk is this machine's"),
    "nvidia.com/gpu": Honoured("devices of its own (CUDA_VISIBLE_DEVICES), where there are any"),
    "amd.com/gpu": Honoured("devices of its own (ROCR_VISIBLE_DEVICES), where there are any"),
    "*": Unsupported("devices of this kind are not allotted here; a process sees all of them"),
}

ENV_VAR: Mapping[str, Row] = {"name": _YES, "value": _YES, "valueFrom": Inside("EnvVarSource")}

ENV_VAR_SOURCE: Mapping[str, Row] = {
    "configMapKeyRef": _YES,
    "fieldRef": _YES,
    "fileKeyRef": Unsupported("variables are not read from files of volumes here"),
    "resourceFieldRef": Honoured("of what the container names itself"),
    "secretKeyRef": _YES,
}

VOLUME_MOUNT: Mapping[str, Row] = {
    "bindMountOptions": Harmless("mounts are links here"),
    "mountPath": Honoured("as a link in the replica's folder, which args and env are told"),
    "mountPropagation": Harmless("mounts are links here"),
    "name": _YES,
    "readOnly": Harmless("not enforced; files of the model cache are read-only by their own mode"),
    "recursiveReadOnly": Harmless("mounts are links here"),
    "subPath": _YES,
    "subPathExpr": Unsupported("variables in sub-paths are not expanded here; use subPath"),
}

_NO_DRIVER = Unsupported("volumes of this kind need a cluster; use an emptyDir, a ConfigMap, a "
                         "Secret or a PersistentVolumeClaim")  # fmt: skip

VOLUME: Mapping[str, Row] = {
    "name": _YES,
    "configMap": Honoured("as it is when the replica starts"),
    "downwardAPI": Honoured("as it is when the replica starts"),
    "emptyDir": Honoured("as a folder that goes with the replica; sizes are not limited"),
    "hostPath": Unsupported("names a path of this machine, not of a node in a cluster"),
    "persistentVolumeClaim": Honoured("as a folder that stands for the claim"),
    "projected": Honoured("as it is when the replica starts; service account tokens are left out"),
    "secret": Honoured("as it is when the replica starts"),
    **dict.fromkeys(
        (
            "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi",
            "ephemeral", "fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo",
            "glusterfs", "image", "iscsi", "nfs", "photonPersistentDisk", "portworxVolume",
            "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
        ),
        _NO_DRIVER,
    ),
}  # fmt: skip

SECURITY_CONTEXT: Mapping[str, Row] = {
    "allowPrivilegeEscalation": Unsupported(f"{_OWN_USER}, with that user's rights", (False,)),
    "appArmorProfile": Unsupported(_NO_CONTAINER),
    "capabilities": Inside("Capabilities"),
    "privileged": Unsupported(f"{_OWN_USER}, with that user's rights", (False,)),
    "procMount": Unsupported(_NO_CONTAINER, ("Default",)),
    "readOnlyRootFilesystem": Unsupported(
        "what a replica may write is what the user who runs Sampan may", (False,)
    ),
    "runAsGroup": Harmless(_OWN_USER),
    "runAsNonRoot": Harmless(f"{_OWN_USER}: run Sampan as an ordinary user"),
    "runAsUser": Harmless(_OWN_USER),
    "seLinuxOptions": Unsupported(_NO_CONTAINER),
    "seccompProfile": Harmless(f"{_OWN_USER}, with that user's rights"),
    "windowsOptions": Harmless("not on this system"),
}

CAPABILITIES: Mapping[str, Row] = {
    "add": Unsupported(f"{_OWN_USER}, with that user's capabilities", ([],)),
    "drop": Harmless("an ordinary user has no capabilities to drop"),
}

POD_SECURITY_CONTEXT: Mapping[str, Row] = {
    "appArmorProfile": Unsupported(_NO_CONTAINER),
    "fsGroup": Harmless("files belong to the user who runs Sampan"),
    "fsGroupChangePolicy": Harmless("files belong to the user who runs Sampan"),
    "runAsGroup": Harmless(_OWN_USER),
    "runAsNonRoot": Harmless(f"{_OWN_USER}: run Sampan as an ordinary user"),
    "runAsUser": Harmless(_OWN_USER),
    "seLinuxChangePolicy": Harmless(_NO_CONTAINER),
    "seLinuxOptions": Unsupported(_NO_CONTAINER),
    "seccompProfile": Harmless(f"{_OWN_USER}, with that user's rights"),
    "supplementalGroups": Harmless(_OWN_USER),
    "supplementalGroupsPolicy": Harmless(_OWN_USER),
    "sysctls": Unsupported("settings of the kernel are this machine's"),
    "windowsOptions": Harmless("not on this system"),
}

CAPABILITY_TABLE: Mapping[str, Mapping[str, Row]] = {
    "PodTemplateSpec": TEMPLATE,
    "PodSpec": POD_SPEC,
    "PodSecurityContext": POD_SECURITY_CONTEXT,
    "Container": CONTAINER,
    "SecurityContext": SECURITY_CONTEXT,
    "Capabilities": CAPABILITIES,
    "Probe": PROBE,
    "HTTPGetAction": HTTP_GET,
    "TCPSocketAction": TCP_SOCKET,
    "Lifecycle": LIFECYCLE,
    "ContainerPort": CONTAINER_PORT,
    "ResourceRequirements": RESOURCES,
    "Limits": LIMITS,
    "EnvVar": ENV_VAR,
    "EnvVarSource": ENV_VAR_SOURCE,
    "VolumeMount": VOLUME_MOUNT,
    "Volume": VOLUME,
}
"""Rows by Kubernetes type and field. In `Limits`, `*` stands for every extended resource."""
