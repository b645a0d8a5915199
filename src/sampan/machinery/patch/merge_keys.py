"""By which field the items of a list are told apart, for each list of Kubernetes's core types.

`patch` is the key of strategic merge patch (`patchMergeKey`), `keys` those of server-side apply
(`x-kubernetes-list-map-keys`); "" and () mean that the list is replaced whole there. A list that is
not named here is replaced whole (atomic). The tables go by field name, because pod templates
stand at many places in custom kinds; names that mean two lists (`ports`) are told apart by the
items' own fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ListRule:
    """How the items of a list are told apart. `unique`: a set of plain values."""

    patch: str = ""
    keys: tuple[str, ...] = ()
    unique: bool = False


_BY_NAME = ListRule("name", ("name",))
_CONTAINER_PORTS = ListRule("containerPort", ("containerPort", "protocol"))
_SERVICE_PORTS = ListRule("port", ("port", "protocol"))

LISTS: Mapping[str, ListRule] = {
    "containers": _BY_NAME,
    "initContainers": _BY_NAME,
    "ephemeralContainers": _BY_NAME,
    "env": _BY_NAME,
    "ports": _CONTAINER_PORTS,
    "volumeMounts": ListRule("mountPath", ("mountPath",)),
    "volumeDevices": ListRule("devicePath", ("devicePath",)),
    "volumes": _BY_NAME,
    "resourceClaims": _BY_NAME,
    "claims": ListRule("", ("name",)),
    "imagePullSecrets": _BY_NAME,
    "hostAliases": ListRule("ip", ("ip",)),
    "schedulingGates": _BY_NAME,
    "topologySpreadConstraints": ListRule("topologyKey", ("topologyKey", "whenUnsatisfiable")),
    "secrets": ListRule("name", ("name",)),
    "ownerReferences": ListRule("uid", ("uid",)),
    "finalizers": ListRule(unique=True),
}

ATOMIC_MAPS = frozenset(
    {
        "configMap",
        "configMapKeyRef",
        "configMapRef",
        "secretKeyRef",
        "secretRef",
        "dataSource",
        "fieldRef",
        "fileKeyRef",
        "resourceFieldRef",
        "nodeSelector",
        "selector",
        "labelSelector",
        "namespaceSelector",
        "nodePublishSecretRef",
        "requiredDuringSchedulingIgnoredDuringExecution",
    }
)
"""Objects that server-side apply owns and replaces whole (`x-kubernetes-map-type: atomic`)."""

KEY_DEFAULTS: Mapping[str, str] = {"protocol": "TCP"}
"""Keys that an item may leave out, and what they then are."""

NO_RULE = ListRule()


def list_rule(field: str, *lists: object) -> ListRule:
    """Return the rule for a list field, given the lists that stand there.

    Items that are not what the rule is about (a custom kind's own field of the same name) make the
    list atomic.
    """
    rule = LISTS.get(field, NO_RULE)
    items: list[Any] = [item for items in lists if isinstance(items, list) for item in items]
    if rule.unique:
        return rule if all(isinstance(i, str) for i in items) else NO_RULE
    if not all(isinstance(i, dict) for i in items):
        return NO_RULE
    if rule is _CONTAINER_PORTS and any("port" in i and "containerPort" not in i for i in items):
        return _SERVICE_PORTS
    return rule
