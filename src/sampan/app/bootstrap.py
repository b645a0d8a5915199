"""What a fresh store is filled with: the shipped runtimes and the operator's configuration.

Shipped runtimes carry a label; on a start with a newer Sampan they follow it. One that a user
changed no longer equals what was shipped and is left as the user wants it.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress

from sampan.machinery.errors import AlreadyExists, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store

CLUSTER_RUNTIMES = "clusterservingruntimes.serving.kserve.io"
SHIPPED = "serving.sampan.dev/shipped"
"""Annotation: the hash of the spec as Sampan shipped it."""

CONFIGURATION: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "inferenceservice-config", "namespace": "kserve"},
    "data": {
        # KServe's own client insists on this key when it stores credentials
        "credentials": '{"storageSpecSecretName": "storage-config",'
        ' "storageSecretNameAnnotation": "serving.kserve.io/storageSecretName",'
        ' "gcs": {"gcsCredentialFileName": "gcloud-application-credentials.json"},'
        ' "s3": {"s3AccessKeyIDName": "AWS_ACCESS_KEY_ID",'
        ' "s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY"}}',
        "deploy": '{"defaultDeploymentMode": "Standard"}',
        "ingress": '{"ingressDomain": "example.com",'
        ' "domainTemplate": "{{ .Name }}.{{ .Namespace }}.{{ .IngressDomain }}"}',
        "security": '{"autoMountServiceAccountToken": true}',
    },
}
"""A laptop's `inferenceservice-config`: Standard mode, and nothing written into specs."""


async def apply_bootstrap(store: Store) -> None:
    """Create what is not there yet, and bring shipped runtimes up to date."""
    await _create(store, "configmaps", CONFIGURATION)
    for runtime in shipped_runtimes():
        await _apply_runtime(store, runtime)


def shipped_runtimes() -> list[JsonObject]:
    """Return the ClusterServingRuntimes of this Sampan, each with its hash."""
    import yaml

    from sampan.manifests import read_runtimes

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = read_runtimes()
    return [_stamped(yaml.load(text, loader)) for text in texts]  # noqa: S506  # a safe loader


def _stamped(runtime: JsonObject) -> JsonObject:
    metadata = runtime["metadata"]
    annotations = {**metadata.get("annotations", {}), SHIPPED: _hash(runtime["spec"])}
    return {**runtime, "metadata": {**metadata, "annotations": annotations}}


def is_shipped(runtime: JsonObject) -> bool:
    """Whether a runtime is one of Sampan's own, as it was shipped."""
    stamp = (runtime["metadata"].get("annotations") or {}).get(SHIPPED)
    return stamp is not None and bool(stamp == _hash(runtime["spec"]))


async def _apply_runtime(store: Store, shipped: JsonObject) -> None:
    key = Key(CLUSTER_RUNTIMES, "", shipped["metadata"]["name"])
    try:
        found = await store.get(key)
    except NotFound:
        await _create(store, CLUSTER_RUNTIMES, shipped)
        return
    if is_shipped(found) and found["spec"] != shipped["spec"]:
        await store.update(
            CLUSTER_RUNTIMES, {**found, **shipped, "metadata": _merged(found, shipped)}
        )


def _merged(found: JsonObject, shipped: JsonObject) -> JsonObject:
    metadata, new = found["metadata"], shipped["metadata"]
    return {**metadata, "annotations": {**metadata.get("annotations", {}), **new["annotations"]}}


async def _create(store: Store, resource: str, obj: JsonObject) -> None:
    with suppress(AlreadyExists):
        await store.create(resource, obj)


def _hash(spec: JsonObject) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
