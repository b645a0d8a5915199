"""`oci://registry/repository[:tag|@digest]` taken apart. Pure.

The grammar is that of image references ("distribution", reference): a first part without a dot, a
colon or the name `localhost` is no registry, and Docker Hub is meant. `oci+fetch://`, `oci+native://`
and `oci+modelcar://` name the same image; how it comes into a pod is a cluster's to choose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sampan.storage.base import StorageError
from sampan.storage.uri import redact

INSECURE = "KSERVE_OCI_INSECURE_REGISTRY"
DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|\[::1\]")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a URI names: `tag` is empty where there is a `digest`, which wins."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def version(self) -> str:
        """What the registry is asked for."""
        return self.digest or self.tag

    @property
    def shown(self) -> str:
        """The whole reference, which is also its name in the cache."""
        version = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"oci://{self.registry}/{self.repository}{version}"


def parse_reference(uri: str) -> Reference:
    """Return a URI's parts; raise StorageError naming what is wrong with it."""
    text = uri.partition("://")[2]
    name, at, digest = text.partition("@")
    registry, slash, rest = name.partition("/")
    if not slash or not (registry == "localhost" or re.search(r"[.:]", registry)):
        registry, rest = DOCKER_HUB, name
    repository, colon, tag = rest.partition(":")
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    tag = "" if at else tag if colon else "latest"
    for what, value, rule in (
        ("registry", registry, _HOST),
        ("repository", repository, _REPOSITORY),
        ("digest" if at else "tag", digest if at else tag, _DIGEST if at else _TAG),
    ):
        if len(value) > 255 or not rule.fullmatch(value):
            raise StorageError(
                "InvalidURI",
                f'the storage URI "{redact(uri)}" names no image: its {what} "{value[:100]}" is no '
                "possible one; write oci://registry/repository:tag, or @sha256:... in the tag's "
                "place",
            )
    return Reference(registry, repository, tag, digest)


def make_base(reference: Reference, environment: Mapping[str, str]) -> str:
    """Return the address of a registry's API.

    Plain HTTP is for registries of this machine, as Docker has it, and where the variable says so.
    """
    host = _DOCKER_HUB_API if reference.registry == DOCKER_HUB else reference.registry
    insecure = environment.get(INSECURE, "").lower() in {"1", "true", "yes"}
    local = _LOOPBACK.fullmatch(re.sub(r":\d+$", "", reference.registry)) is not None
    return f"{'http' if insecure or local else 'https'}://{host}/v2/{reference.repository}"
