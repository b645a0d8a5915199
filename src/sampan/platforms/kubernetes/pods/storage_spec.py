"""A model whose place is an entry of a storage Secret: `storage` with key, path and parameters.

KServe, storage-spec path: an entry is a JSON text with the storage's type, bucket and keys; the
init container reads it from a variable. Parameters of the service stand before the entry's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.machinery.errors import Forbidden
from sampan.machinery.registry import JsonObject
from sampan.plan.model import SCHEME_PLACEHOLDER
from sampan.plan.pod_metadata import STORAGE_SPEC_KEY, STORAGE_SPEC_PARAM
from sampan.platforms.kubernetes.pods.containers import annotations_of, from_secret, variable
from sampan.platforms.kubernetes.pods.s3_settings import CA_CONFIG_MAP_ENV, decoded
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

TYPES = ("s3", "hdfs", "webhdfs")


@dataclass(frozen=True, slots=True)
class StorageEntry:
    """Where the model is once the entry has been read, and the variables that go with it."""

    uri: str
    env: tuple[JsonObject, ...]


def read_storage_entry(uri: str, pod: Mapping[str, Any], around: Surroundings) -> StorageEntry:
    """Return the place of `uri`, whose scheme may be a placeholder; raise Forbidden."""
    annotations = annotations_of(pod)
    parameters = json.loads(annotations.get(STORAGE_SPEC_PARAM) or "{}")
    name = _secret_name(annotations, around)
    wanted = str(parameters.get("type") or "")
    key = annotations.get(STORAGE_SPEC_KEY) or ""
    secret = around.secret(name, "can't read storage secret")
    entry_key = key or (f"default_{wanted}" if wanted else "default")
    text = decoded(secret, entry_key)
    if key and not text:
        raise Forbidden(f'specified storage key {key} not found in storage secret "{name}"')
    entry = _parsed(text, entry_key, name)
    env = [from_secret("STORAGE_CONFIG", name, entry_key)] if text else []
    if parameters:
        given = json.dumps(parameters, separators=(",", ":"))
        env.append(variable("STORAGE_OVERRIDE_CONFIG", given))
    if ca := entry.get("cabundle_configmap"):
        env.append(variable(CA_CONFIG_MAP_ENV, str(ca)))
    return StorageEntry(_located(uri, {**entry, **parameters}, name), tuple(env))


def _secret_name(annotations: Mapping[str, str], around: Surroundings) -> str:
    settings = around.settings.credentials
    named = annotations.get(settings.secret_annotation) if settings.secret_annotation else None
    return named or settings.spec_secret


def _parsed(text: str, key: str, name: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(text or "{}")
    except ValueError as broken:
        raise Forbidden(
            f'entry "{key}" of storage secret "{name}" is not JSON: {broken}; write an object'
        ) from None
    if not isinstance(entry, dict):
        raise Forbidden(f'entry "{key}" of storage secret "{name}" is no JSON object; write one')
    return entry


def _located(uri: str, entry: Mapping[str, Any], name: str) -> str:
    if not uri.startswith(SCHEME_PLACEHOLDER):
        return uri
    kind, bucket = str(entry.get("type") or ""), str(entry.get("bucket") or "")
    path = uri.removeprefix(SCHEME_PLACEHOLDER)
    if not kind:
        raise Forbidden(
            f'unable to determine storage type: neither the parameters nor storage secret "{name}" '
            "have one; write one of " + ", ".join(TYPES)
        )
    if kind not in TYPES:
        listed = ", ".join(TYPES)
        raise Forbidden(f'storage type must be one of [{listed}]: storage type "{kind}" is not')
    if kind != "s3":
        return f"{kind}://{path}"
    if not bucket:
        raise Forbidden(
            f"format [{kind}] requires a bucket but one wasn't found in storage data or parameters"
        )
    return f"{kind}://{bucket}/{path}"
