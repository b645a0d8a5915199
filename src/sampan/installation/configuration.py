"""What a fresh cluster is configured with: the ConfigMap and the default storage container. Pure.

A key that is left out has KServe's value, so only what people change is written down.
"""

from __future__ import annotations

import json
from typing import Any

from sampan.installation.options import Options
from sampan.machinery.registry import JsonObject

_SETTINGS: dict[str, dict[str, Any]] = {
    "credentials": {
        "storageSpecSecretName": "storage-config",
        "storageSecretNameAnnotation": "serving.kserve.io/storageSecretName",
        "gcs": {"gcsCredentialFileName": "gcloud-application-credentials.json"},
        "s3": {
            "s3AccessKeyIDName": "AWS_ACCESS_KEY_ID",
            "s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY",
        },
    },
    "deploy": {"defaultDeploymentMode": "Standard"},
    "ingress": {
        "enableGatewayApi": True,
        "kserveIngressGateway": "kserve/kserve-ingress-gateway",
        "ingressDomain": "example.com",
        "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
        "urlScheme": "http",
    },
    "security": {"autoMountServiceAccountToken": True},
    "storageInitializer": {"image": "kserve/storage-initializer:latest", "enableModelcar": True},
}
_PREFIXES = ("gs", "s3", "hdfs", "hf", "modelscope", "webhdfs")
_PATTERNS = (
    "https://(.+?).blob.core.windows.net/(.+)",
    "https://(.+?).file.core.windows.net/(.+)",
    "https?://(.+)/(.+)",
)


def make_configuration(options: Options) -> JsonObject:
    """Return `inferenceservice-config`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config", "namespace": options.namespace},
        "data": {key: json.dumps(value, indent=2) for key, value in _SETTINGS.items()},
    }


def make_storage_container() -> JsonObject:
    """Return the ClusterStorageContainer `default`, which downloads what no other claims."""
    formats = [{"prefix": f"{p}://"} for p in _PREFIXES] + [{"regex": p} for p in _PATTERNS]
    container = {
        "name": "storage-initializer",
        "image": "kserve/storage-initializer:latest",
        "imagePullPolicy": "IfNotPresent",
        "resources": {
            "requests": {"cpu": "100m", "memory": "100Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},
        },
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterStorageContainer",
        "metadata": {"name": "default"},
        "spec": {
            "container": container,
            "supportedUriFormats": formats,
            "supportsMultiModelDownload": True,
            "workloadType": "initContainer",
        },
    }
