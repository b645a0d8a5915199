"""ConfigMaps and Secrets that a replica refers to, read when it starts."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Protocol, TypeAlias

from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.platforms.local.container_env import ValueRef
from sampan.platforms.local.process_spec import Process

Data: TypeAlias = Mapping[str, bytes]
Values: TypeAlias = Mapping[tuple[str, str], Data | None]
"""By `(kind, name)`: the keys and values, or None where there is no such object."""


class References(Protocol):
    """Where the data of ConfigMaps and Secrets comes from."""

    async def data(self, kind: str, namespace: str, name: str) -> Data | None:
        """Return the keys and values of an object, or None where there is none."""


class StoreReferences:
    """The data of the objects in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def data(self, kind: str, namespace: str, name: str) -> Data | None:
        """Return the keys and values of a ConfigMap or Secret, or None where there is none."""
        resource = {"ConfigMap": "configmaps", "Secret": "secrets"}[kind]
        try:
            obj = await self._store.get(Key(resource, namespace, name))
        except NotFound:
            return None
        return decode_data(kind, obj)


def decode_data(kind: str, obj: JsonObject) -> Data:
    """Return the keys and values of a ConfigMap or Secret. Pure."""
    plain = {k: str(v) for k, v in (obj.get("data") or {}).items()}
    if kind == "Secret":
        return {k: base64.b64decode(v) for k, v in plain.items()}
    binary = {k: base64.b64decode(v) for k, v in (obj.get("binaryData") or {}).items()}
    return {**{k: v.encode() for k, v in plain.items()}, **binary}


async def gather_values(process: Process, references: References) -> Values:
    """Return the data of everything that a process refers to."""
    namespace = process.spec.service.namespace
    entries = (e for one in (process, *process.containers) for e in one.entries)
    wanted = {(e.kind, e.name) for e in entries if isinstance(e, ValueRef)}
    wanted |= {(f.kind, f.name) for v in process.files.volumes for f in v.files if f.kind}
    return {(k, n): await references.data(k, namespace, n) for k, n in sorted(wanted)}
