"""Rules about models: one URI or several, mount paths, encryption."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator

from sampan.api.admission import Mistake
from sampan.api.inferenceservice.implementation import (
    FORMATS,
    components,
    implementations,
    storage_uri,
)
from sampan.api.inferenceservice.review import Review
from sampan.machinery.registry import JsonObject

_KEY_ADDRESS = re.compile(r"kbs:///[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+")
_ORDER = {"transformer": 0, "explainer": 1, "predictor": 2}


def mounts_several_models_rightly(review: Review) -> Iterator[Mistake]:
    """`storageUris` excludes a single URI, and its mount paths must get along."""
    for name, component in sorted(components(review.service), key=lambda c: _ORDER[c[0]]):
        uris = component.get("storageUris")
        if uris is None:
            continue
        path = f"spec.{name}.storageUris"
        if storage_uri(name, component) is not None:
            yield Mistake(path, "Setting both StorageURI and StorageURIs is not supported.")
        for index, uri in enumerate(uris):
            yield from _mount(f"{path}[{index}]", uri)
        yield from _mounts_together(path, uris)


def _mount(path: str, uri: JsonObject) -> Iterator[Mistake]:
    mount = uri.get("mountPath", "")
    if not uri.get("uri"):
        yield Mistake(f"{path}.uri", "storage URI cannot be empty")
    if mount == "/":
        yield Mistake(f"{path}.mountPath", "storage path cannot be empty")
    if not mount.startswith("/"):
        yield Mistake(f"{path}.mountPath", f"storage path must be absolute: {mount}")
    if ".." in mount:
        text = f"storage path cannot contain '..' for security reasons: {mount}"
        yield Mistake(f"{path}.mountPath", text)


def _mounts_together(path: str, uris: list[JsonObject]) -> Iterator[Mistake]:
    """Claims are mounted one by one; everything else is downloaded below one common folder."""
    claims = [u["mountPath"] for u in uris if u["uri"].startswith("pvc://")]
    others = [u["mountPath"] for u in uris if not u["uri"].startswith("pvc://")]
    # Upstream asks only where there are two downloads besides; a pod cannot start either way.
    if len(set(claims)) < len(claims):
        yield Mistake(path, "PVC storage paths must be unique")
    if len(others) < 2:
        return
    if all(p.startswith("/") for p in others) and posixpath.commonpath(others) == "/":
        shown = f"[{' '.join(others)}]"
        yield Mistake(
            path,
            f"storage paths must have a common parent directory. Current paths: {shown} have no "
            "common parent beyond root",
        )


def encrypts_rightly(review: Review) -> Iterator[Mistake]:
    """An encrypted model needs a URI, and its key an address at the broker."""
    field, confidential = _confidential(review)
    if not confidential.get("enabled"):
        return
    path = f"spec.predictor.{field}"
    if not storage_uri("predictor", review.predictor):
        text = "confidential model serving requires storageUri to be set"
        yield Mistake(f"{path}.storageUri", text)
    address = confidential.get("resourceId")
    if address and not _KEY_ADDRESS.fullmatch(address):
        # The path in upstream's text is the predictor's, whichever field holds the model.
        yield Mistake(
            f"{path}.confidential.resourceId",
            f"spec.predictor.confidential.resourceId: Invalid value: {json.dumps(address)}: must "
            "be in the format kbs:///<repo>/<type>/<tag>",
        )


def encryption_warnings(review: Review) -> Iterator[str]:
    """Yield where encryption is asked for and has no effect."""
    _, confidential = _confidential(review)
    uri = storage_uri("predictor", review.predictor) or ""
    if not confidential.get("enabled"):
        return
    if uri.startswith("oci://"):
        yield (
            "confidential has no effect with OCI URIs; OCI image decryption is handled by the "
            "container runtime via runtimeClassName"
        )
    if uri.startswith("pvc://"):
        yield "confidential has no effect with PVC URIs; nothing is downloaded that could be opened"


def _confidential(review: Review) -> tuple[str, JsonObject]:
    found = implementations("predictor", review.predictor)
    for field in (*FORMATS, "model"):
        if field in found:
            return field, review.predictor[field].get("confidential") or {}
    return "", {}
