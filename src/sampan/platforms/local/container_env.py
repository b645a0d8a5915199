"""The environment of a replica's process, as kubelet would make it. Pure.

Order and precedence are Kubernetes's: `envFrom` in its order, then `env` in its order, later wins.
Values out of ConfigMaps and Secrets are looked up when the replica starts (`references`), because
that is when kubelet does: a change of theirs reaches the next start, and one that is missing holds
up the start (`CreateContainerConfigError`) and not the plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from sampan.machinery.quantity import QuantityError, parse_quantity
from sampan.platforms.local.traces import select_traces


@dataclass(frozen=True, slots=True)
class Literal:
    """A variable and its value."""

    variable: str
    value: str


@dataclass(frozen=True, slots=True)
class ValueRef:
    """A variable whose value is a key of a ConfigMap or Secret.

    With `variable` empty, every key becomes a variable, with `prefix` before its name (`envFrom`).
    """

    kind: str
    name: str
    key: str = ""
    variable: str = ""
    prefix: str = ""
    optional: bool = False


Entry: TypeAlias = Literal | ValueRef

_KEPT = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY",
    "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "HF_ENDPOINT",
)  # fmt: skip
"""What a process needs of its user's environment to run and reach the network. Nothing else is
handed on but where traces go: a shell's tokens and cloud credentials are not a model's business."""


_OWN_HOSTS = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True)
class Pod:
    """What the downward API tells of a replica."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    service_account: str
    uid: str


def select_inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of a user's environment that replicas get."""
    kept = {name: environ[name] for name in _KEPT if name in environ}
    return kept | select_traces(environ)


def select_no_proxy(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep a proxy of the user's out of calls between components."""
    given = {name for name in ("HTTP_PROXY", "http_proxy") if env.get(name)}
    names = {"HTTP_PROXY": "NO_PROXY", "http_proxy": "no_proxy"}
    wanted = (names[name] for name in given)
    return {name: ",".join(filter(None, (env.get(name), _OWN_HOSTS))) for name in wanted}


def make_entries(container: Mapping[str, Any], pod: Pod) -> tuple[Entry, ...]:
    """Return the variables of a container, in order; later ones win."""
    entries: list[Entry] = []
    for source in container.get("envFrom") or ():
        entries += _from_all(source)
    for item in container.get("env") or ():
        entries += _from_item(item, container, pod)
    return tuple(entries)


def field_value(path: str, pod: Pod) -> str | None:
    """Return a field of the downward API, or None where it has no meaning here."""
    simple = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "spec.serviceAccountName": pod.service_account,
        "spec.nodeName": "localhost",
        "status.hostIP": "127.0.0.1",
        "status.hostIPs": "127.0.0.1",
        "status.podIP": "127.0.0.1",
        "status.podIPs": "127.0.0.1",
    }
    if path in simple:
        return simple[path]
    for prefix, values in (
        ("metadata.labels", pod.labels),
        ("metadata.annotations", pod.annotations),
    ):
        if path == prefix:
            return "\n".join(f'{k}="{v}"' for k, v in sorted(values.items()))
        if path.startswith(f"{prefix}['") and path.endswith("']"):
            return str(values.get(path[len(prefix) + 2 : -2], ""))
    return None


def resolve(
    entries: Sequence[Entry], values: Mapping[tuple[str, str], Mapping[str, bytes] | None]
) -> tuple[dict[str, str], str]:
    """Return the environment and what is missing ("" when nothing is, else kubelet's words).

    `values` holds the data of each `(kind, name)` that the entries refer to; None: no such object.
    Values of references are never expanded, so their dollars are doubled (`$$` stands for one).
    """
    env: dict[str, str] = {}
    for entry in entries:
        if isinstance(entry, Literal):
            env[entry.variable] = entry.value
            continue
        data = values.get((entry.kind, entry.name))
        if data is None:
            if entry.optional:
                continue
            return {}, f'{entry.kind.lower()} "{entry.name}" not found'
        if entry.variable and entry.key not in data:
            if entry.optional:
                continue
            return {}, f'couldn\'t find key "{entry.key}" in {entry.kind} "{entry.name}"'
        chosen = {entry.variable: data[entry.key]} if entry.variable else data
        for name, value in chosen.items():
            env[entry.prefix + name] = value.decode(errors="replace").replace("$", "$$")
    return env, ""


def _from_all(source: Mapping[str, Any]) -> list[Entry]:
    for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
        ref = source.get(field)
        if ref is not None:
            prefix, optional = str(source.get("prefix") or ""), bool(ref.get("optional"))
            return [ValueRef(kind, str(ref.get("name", "")), prefix=prefix, optional=optional)]
    return []


def _from_item(item: Mapping[str, Any], container: Mapping[str, Any], pod: Pod) -> list[Entry]:
    name, source = str(item.get("name", "")), item.get("valueFrom")
    if not source:
        return [Literal(name, str(item.get("value") or ""))]
    for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        ref = source.get(field)
        if ref is not None:
            found = ValueRef(kind, str(ref.get("name", "")), str(ref.get("key", "")), name,
                             optional=bool(ref.get("optional")))  # fmt: skip
            return [found]
    if source.get("fieldRef"):
        value = field_value(str(source["fieldRef"].get("fieldPath", "")), pod)
        return [Literal(name, value.replace("$", "$$"))] if value is not None else []
    if source.get("resourceFieldRef"):
        value = _resource_value(source["resourceFieldRef"], container)
        return [Literal(name, value)] if value is not None else []
    return []


def _resource_value(ref: Mapping[str, Any], container: Mapping[str, Any]) -> str | None:
    # The quotient is rounded up, as kubelet's ExtractContainerResourceValue does.
    kind, _, resource = str(ref.get("resource", "")).partition(".")
    resources = container.get("resources") or {}
    value = quantity_value((resources.get(kind) or {}).get(resource))
    divisor = quantity_value(ref.get("divisor") or "1")
    if value is None or not divisor:
        return None
    return str(math.ceil(value / divisor))


def quantity_value(quantity: Any) -> Decimal | None:
    """Return a Kubernetes quantity as a number, or None where there is none that can be read."""
    try:
        return None if quantity is None else parse_quantity(quantity).value
    except QuantityError:
        return None
