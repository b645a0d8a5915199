"""What an image's manifests say: which of an index is taken, and what its layers are. Pure.

OCI image and distribution specifications 1.1; media types of Docker's schema 2 beside them. A
manifest whose layers have titles is an artifact, as `oras push` makes it: each layer is a file.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sampan.storage.archive.names import select_kind
from sampan.storage.base import StorageError

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
TITLE = "org.opencontainers.image.title"
UNPACK = "io.deis.oras.content.unpack"
"""Says that a file of an artifact is a folder, packed by ORAS as tar and gzip."""

_TARS = frozenset(
    {
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    }
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_MAX_LAYERS = 1000


class Form(StrEnum):
    """How a layer becomes files."""

    TREE = "tree"
    """A tar of an image: what is below `models/` counts."""
    FOLDER = "folder"
    """A tar of an artifact: all of it counts."""
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. `title` is the path of a file, and empty for a tar."""

    digest: str
    size: int
    form: Form
    title: str = ""


def find_architecture() -> str:
    """Return this machine's architecture by the name that images have for it."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def is_index(manifest: Mapping[str, Any], content_type: str) -> bool:
    """Tell whether a manifest lists others."""
    return (manifest.get("mediaType") or content_type) in INDEXES or "manifests" in manifest


def select_manifest(index: Mapping[str, Any], architecture: str, shown: str) -> str:
    """Return the digest of this machine's manifest; raise StorageError with KServe's words."""
    listed = index.get("manifests")
    found: list[str] = []
    sole = listed[0] if isinstance(listed, list) and len(listed) == 1 else None
    if isinstance(sole, Mapping) and not sole.get("platform") and _is_digest(sole):
        return str(sole["digest"])  # an artifact's index: files are for every platform
    for each in listed if isinstance(listed, list) else ():
        where = each.get("platform") if isinstance(each, Mapping) else None
        if not isinstance(where, Mapping):
            continue
        name = f"{where.get('os')}/{where.get('architecture')}"
        if name == f"linux/{architecture}" and _is_digest(each):
            return str(each["digest"])
        found.append(name)
    raise StorageError(
        "ModelNotFound",
        f'OCI image index for "{shown}" has no manifest for linux/{architecture} '
        f"(it has {', '.join(sorted(set(found))) or 'none'}); build it for this platform too, or "
        "name the digest of the manifest that is meant",
    )


def _is_digest(each: Mapping[str, Any]) -> bool:
    return _DIGEST.fullmatch(str(each.get("digest"))) is not None


def read_layers(manifest: Mapping[str, Any], shown: str) -> list[Layer]:
    """Return the layers that hold files, in their order; raise StorageError."""
    listed = manifest.get("layers")
    if not isinstance(listed, list) or len(listed) > _MAX_LAYERS:
        raise make_strange_error(shown)
    try:
        artifact = any(_title(each) for each in listed)
        layers = [layer for each in listed if (layer := _read_layer(each, artifact, shown))]
    except (TypeError, KeyError, ValueError, AttributeError):
        raise make_strange_error(shown) from None
    if not all(_DIGEST.fullmatch(layer.digest) and layer.size >= 0 for layer in layers):
        raise make_strange_error(shown)
    if not layers:
        kinds = sorted({str(each.get("mediaType")) for each in listed})
        raise StorageError(
            "ModelNotFound",
            f'"{shown}" has no layer that holds files (it has {", ".join(kinds) or "none"}); '
            "build it as an image, or push its files by oras",
        )
    return _without_models(layers)


def _title(each: Mapping[str, Any]) -> str:
    return str((each.get("annotations") or {}).get(TITLE) or "")


def _read_layer(each: Mapping[str, Any], artifact: bool, shown: str) -> Layer | None:
    kind, digest, size = str(each.get("mediaType")), str(each["digest"]), int(each["size"])
    title = _title(each)
    if artifact and title:
        marked = (each.get("annotations") or {}).get(UNPACK) == "true"
        # ORAS's Python client does not mark folders; a file of this type would be called so.
        packed = marked or (kind in _TARS and "gzip" in kind and not select_kind(title))
        return Layer(digest, size, Form.FOLDER if packed else Form.FILE, title)
    if kind.endswith("+zstd"):
        raise StorageError(
            "UnexpectedContent",
            f'a layer of "{shown}" is packed with zstd ("{kind}"), which is not unpacked here; '
            "build the image with gzip layers",
        )
    return Layer(digest, size, Form.TREE) if kind in _TARS else None


def _without_models(layers: list[Layer]) -> list[Layer]:
    """An artifact of a folder `models` is served as an image is: by what is in that folder."""
    titles = [layer.title for layer in layers]
    if not all(title == "models" or title.startswith("models/") for title in titles):
        return layers
    return [
        Layer(layer.digest, layer.size, Form.TREE)
        if layer.title == "models"
        else Layer(layer.digest, layer.size, layer.form, layer.title.removeprefix("models/"))
        for layer in layers
    ]


def make_strange_error(shown: str) -> StorageError:
    """Return the error for what is no manifest."""
    return StorageError(
        "UnexpectedContent",
        f'the registry does not answer with an image manifest for "{shown}"; '
        "check the registry's name, and that it is an image or an artifact of files",
    )
