"""Facts of the Kubernetes core types that their dataclasses do not tell.

`lightkube-models` has names, types and texts. How an integer is stored, how lists merge and what a
missing field becomes stand in Kubernetes's Go tags (`+listType`, `+default`, `int64`), restated
here. Keys are field names where a name means the same everywhere, else `Type.field`.
"""

from __future__ import annotations

from collections.abc import Mapping

INT64 = frozenset(
    {
        "activeDeadlineSeconds",
        "defaultUser",
        "deletionGracePeriodSeconds",
        "expirationSeconds",
        "fsGroup",
        "generation",
        "runAsGroup",
        "runAsUser",
        "seconds",
        "supplementalGroups",
        "terminationGracePeriodSeconds",
        "tolerationSeconds",
        "user",
    }
)
"""Integers of 64 bits (also as items of a list of that name); all others have 32."""

QUANTITIES = frozenset({"capacity", "limits", "requests", "overhead", "hard", "used"})
"""Maps whose values are quantities; the values of other maps are strings."""

BYTES = frozenset({"ConfigMap.binaryData", "Secret.data"})
"""Maps whose values are base64."""

ATOMIC_LISTS = frozenset(
    {
        "accessModes",
        "add",
        "args",
        "command",
        "drop",
        "envFrom",
        "hostnames",
        "httpHeaders",
        "items",
        "matchExpressions",
        "matchFields",
        "matchLabelKeys",
        "mismatchLabelKeys",
        "monitors",
        "mountOptions",
        "nameservers",
        "namespaces",
        "nodeSelectorTerms",
        "options",
        "policies",
        "portals",
        "preferredDuringSchedulingIgnoredDuringExecution",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "resizePolicy",
        "restartPolicyRules",
        "searches",
        "sources",
        "supplementalGroups",
        "sysctls",
        "targetWWNs",
        "values",
        "wwids",
    }
)
"""Lists that one writer owns as a whole (`x-kubernetes-list-type: atomic`)."""

SET_LISTS = frozenset({"ContainerRestartRuleOnExitCodes.values", "ObjectMeta.finalizers"})
"""Lists without duplicates, owned item by item."""

MAP_LISTS: Mapping[str, tuple[str, ...]] = {
    "claims": ("name",),
    "env": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "protocol"),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
}
"""Lists whose items are told apart by these keys (`x-kubernetes-list-map-keys`)."""

ATOMIC_TYPES = frozenset(
    {
        "ConfigMapEnvSource",
        "ConfigMapKeySelector",
        "ConfigMapProjection",
        "ConfigMapVolumeSource",
        "FileKeySelector",
        "LabelSelector",
        "LocalObjectReference",
        "NodeSelector",
        "NodeSelectorTerm",
        "ObjectFieldSelector",
        "ObjectReference",
        "ResourceFieldSelector",
        "SecretEnvSource",
        "SecretKeySelector",
        "SecretProjection",
        "SecretReference",
        "TypedLocalObjectReference",
    }
)
"""Objects that one writer owns as a whole (`x-kubernetes-map-type: atomic`)."""

ATOMIC_MAPS = frozenset({"PodSpec.nodeSelector", "ServiceAccount.secrets"})
"""Maps of that sort which are no type of their own."""

GRANULAR_FIELDS = frozenset({"PersistentVolumeSpec.claimRef"})
"""Fields of such a type that are owned part by part all the same."""

DEFAULTS: Mapping[str, object] = {
    "AzureDiskVolumeSource.fsType": "ext4",
    "AzureDiskVolumeSource.readOnly": False,
    "ConfigMapEnvSource.name": "",
    "ConfigMapKeySelector.name": "",
    "ConfigMapProjection.name": "",
    "ConfigMapVolumeSource.name": "",
    "ContainerPort.protocol": "TCP",
    "FileKeySelector.optional": False,
    "GRPCAction.service": "",
    "ISCSIPersistentVolumeSource.iscsiInterface": "default",
    "ISCSIVolumeSource.iscsiInterface": "default",
    "LocalObjectReference.name": "",
    "RBDPersistentVolumeSource.keyring": "/etc/ceph/keyring",
    "RBDPersistentVolumeSource.pool": "rbd",
    "RBDPersistentVolumeSource.user": "admin",
    "RBDVolumeSource.keyring": "/etc/ceph/keyring",
    "RBDVolumeSource.pool": "rbd",
    "RBDVolumeSource.user": "admin",
    "ScaleIOPersistentVolumeSource.fsType": "xfs",
    "ScaleIOPersistentVolumeSource.storageMode": "ThinProvisioned",
    "ScaleIOVolumeSource.fsType": "xfs",
    "ScaleIOVolumeSource.storageMode": "ThinProvisioned",
    "SecretEnvSource.name": "",
    "SecretKeySelector.name": "",
    "SecretProjection.name": "",
}
"""What the API server fills in."""

ZERO_VALUES: Mapping[str, object] = {
    "Container.name": "",
    "Container.resources": {},
    "EphemeralContainer.name": "",
    "EphemeralContainer.resources": {},
    "HTTPGetAction.port": 0,
    "TCPSocketAction.port": 0,
    "PersistentVolumeClaimSpec.resources": {},
}
"""What KServe's defaulting webhook adds by passing the object through Go structs.

Go writes a struct field that is neither a pointer nor tagged `omitempty` with its zero value.
Clients see these after a create, and a probe without a port is admitted because of it.
"""
