"""S3's settings as variables: endpoint, region, how its certificate is checked.

KServe, S3 settings: each from the annotation of the Secret or ServiceAccount, else from the
Secret's key of the variable's name, else from the configuration; what is empty makes no variable.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.platforms.kubernetes.pods.containers import variable

ANNOTATION_PREFIX = "serving.kserve.io/s3-"
CA_CONFIG_MAP_ENV = "AWS_CA_BUNDLE_CONFIGMAP"
CA_FILE_ENV = "AWS_CA_BUNDLE"

# Variable, annotation's ending, key of the configuration; in KServe's order.
_PLAIN = (
    ("S3_VERIFY_SSL", "verifyssl", "s3VerifySSL"),
    ("awsAnonymousCredential", "useanoncredential", "s3UseAnonymousCredential"),
    ("AWS_DEFAULT_REGION", "region", "s3Region"),
    ("S3_USER_VIRTUAL_BUCKET", "usevirtualbucket", "s3UseVirtualBucket"),
    ("S3_USE_ACCELERATE", "useaccelerate", "s3UseAccelerate"),
    (CA_CONFIG_MAP_ENV, "cabundle-configmap", "s3CABundleConfigMap"),
    (CA_FILE_ENV, "cabundle", "s3CABundle"),
)
_ENDPOINT = ("S3_ENDPOINT", "endpoint", "s3Endpoint")
_USE_HTTPS = ("S3_USE_HTTPS", "usehttps", "s3UseHttps")


def make_s3_settings(owner: Mapping[str, Any], configured: Mapping[str, str]) -> list[JsonObject]:
    """Return the variables of a Secret or ServiceAccount."""
    return [variable(name, value) for name, value in _settings(owner, configured)]


def _settings(owner: Mapping[str, Any], configured: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    def value(setting: tuple[str, str, str]) -> str:
        name, annotation, key = setting
        annotations = owner["metadata"].get("annotations") or {}
        return (
            annotations.get(f"{ANNOTATION_PREFIX}{annotation}")
            or decoded(owner, name)
            or configured.get(key, "")
        )

    yield from _endpoint(value(_ENDPOINT), value(_USE_HTTPS))
    for setting in _PLAIN:
        if found := value(setting):
            yield setting[0], found


def _endpoint(endpoint: str, use_https: str) -> Iterator[tuple[str, str]]:
    """A scheme in the endpoint decides over https; without either it is https."""
    scheme, separator, host = endpoint.partition("://")
    if separator:
        use_https = "0" if scheme == "http" else "1"
    else:
        host = endpoint
    if use_https:
        yield "S3_USE_HTTPS", use_https
    if host:
        yield "S3_ENDPOINT", host
        yield "AWS_ENDPOINT_URL", f"{'http' if use_https == '0' else 'https'}://{host}"


def decoded(secret: Mapping[str, Any], key: str) -> str:
    """Return the text of a Secret's key, "" where it has none."""
    data, plain = secret.get("data") or {}, secret.get("stringData") or {}
    if key in plain:
        return str(plain[key])
    return base64.b64decode(data[key]).decode(errors="replace") if key in data else ""
