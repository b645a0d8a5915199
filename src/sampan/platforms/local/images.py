"""Which local command an image stands for.

The table is data: `sampan/manifests/images.json` (generated from the runtimes) and, before it, the
user's own `images.yaml`. An entry stands for its repository whatever the registry, tag or digest:
`kserve/sklearnserver` also for `ghcr.io/mirror/kserve/sklearnserver:v0.15.0`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_FIELDS = {
    "image", "argv", "requirements", "package", "preload", "entry", "entryArguments",
    "healthPath", "portFlags", "trustArguments", "capacityArguments", "http2", "programs",
}  # fmt: skip
_LISTS = (
    "argv",
    "requirements",
    "preload",
    "entryArguments",
    "portFlags",
    "trustArguments",
    "capacityArguments",
    "programs",
)
_FRAMEWORK_TAG = re.compile(r"\d+(\.\d+)+([.-]?(a|b|rc|post|dev)\d+)?")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A parsed image name; `tag` and `digest` are empty where absent."""

    repository: str
    tag: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class LocalCommand:
    """What runs in the place of an image.

    `argv` is the program before the container's args; its first word is `{python}` for the
    interpreter of the environment built from `requirements`. `package` is the requirement that an
    image tag may pin. `entry` and `preload` let a zygote fork it: `entry` is called with
    `entry_arguments` and the container's args. `health_path` answers 200 once models are loaded.
    `port_flags` are the args that name container ports, the HTTP one first; `trust_arguments` are
    added where the operator trusts the model to run code. `http2`: its HTTP port speaks HTTP/2
    without TLS, and gRPC.
    """

    image: str
    argv: tuple[str, ...]
    requirements: tuple[str, ...] = ()
    package: str = ""
    preload: tuple[str, ...] = ()
    entry: str = ""
    health_path: str = ""
    entry_arguments: tuple[str, ...] = ()
    port_flags: tuple[str, ...] = ()
    trust_arguments: tuple[str, ...] = ()
    http2: bool = False
    capacity_arguments: tuple[str, ...] = ()
    """Added where the service sets what stands in their braces: `containerConcurrency`, `batcher`
    (true), `maxBatchSize`, `maxLatency` (milliseconds); `modelName` always stands there."""
    programs: tuple[str, ...] = ()
    """The image's own programs: a container's command that is one of them is left to the image."""


class ImageTableError(ValueError):
    """An image table that cannot be used; the message names file, entry and mend."""


@dataclass(frozen=True, slots=True)
class ImageTable:
    """Local commands by image; earlier entries win."""

    commands: tuple[LocalCommand, ...] = ()

    def find(self, image: str) -> LocalCommand | None:
        """Return the command that stands for an image, or None."""
        repository = parse_image(image).repository
        for command in self.commands:
            if repository == command.image or repository.endswith(f"/{command.image}"):
                return command
        return None

    def known(self) -> tuple[str, ...]:
        """Return the images that can run here."""
        return tuple(command.image for command in self.commands)

    def before(self, other: ImageTable) -> ImageTable:
        """Return both tables, this one first."""
        return ImageTable((*self.commands, *other.commands))


def parse_image(image: str) -> ImageReference:
    """Split an image name (`registry:5000/repo/name:tag@digest`)."""
    name, _, digest = image.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # the colon of a registry's port
        return ImageReference(name, "", digest)
    return ImageReference(head, tag, digest)


def make_image_table(document: Any, origin: str) -> ImageTable:
    """Return the table of a decoded document `{"images": [...]}`; raise ImageTableError.

    `origin` is the file's name for messages.
    """
    if document is None:
        return ImageTable()
    entries = document.get("images") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ImageTableError(f'{origin}: a list "images" is needed at the top')
    return ImageTable(
        tuple(_make_command(entry, f"{origin}: images[{i}]") for i, entry in enumerate(entries))
    )


def make_requirements(command: LocalCommand, image: str) -> tuple[tuple[str, ...], str]:
    """Return the requirements for an image name and why its tag cannot be had ("" when it can).

    A tag that is a bare version (`1.5.2`) names the framework's version, as
    `runtimeVersion: "1.5.2"` does: `package` is pinned to it. Any other tag (`latest`, `v0.15.0`:
    releases of KServe, not of a framework) leaves the requirements as they are.
    """
    tag = parse_image(image).tag
    if not command.package or not _FRAMEWORK_TAG.fullmatch(tag):
        return command.requirements, ""
    pinned: list[str] = []
    for requirement in command.requirements:
        name, extras, bounds = _split_requirement(requirement)
        if name != command.package:
            pinned.append(requirement)
        elif not _allows(bounds, tag):
            problem = (
                f'version "{tag}" of {command.package} cannot run "{image}" here, which needs '
                f'"{requirement}"; set runtimeVersion to a version in that range, or leave it out'
            )
            return command.requirements, problem
        else:
            pinned.append(f"{name}{extras}=={tag}")
    return tuple(pinned), ""


def _make_command(entry: Any, where: str) -> LocalCommand:
    if not isinstance(entry, Mapping):
        raise ImageTableError(f"{where}: an object with image and argv is needed")
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise ImageTableError(
            f'{where}: unknown field "{unknown[0]}"; known are {", ".join(sorted(_FIELDS))}'
        )
    for key in _LISTS:
        value = entry.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ImageTableError(f"{where}.{key}: a list of strings is needed, got {value!r}")
    if not isinstance(entry.get("image"), str) or not entry.get("argv"):
        raise ImageTableError(f"{where}: image (a string) and argv (a list) are needed")
    if not isinstance(entry.get("http2", False), bool):
        raise ImageTableError(f"{where}.http2: true or false is needed, got {entry['http2']!r}")
    lists = {key: tuple(entry.get(key, [])) for key in _LISTS}
    return LocalCommand(
        image=parse_image(entry["image"]).repository,
        argv=lists["argv"],
        requirements=lists["requirements"],
        package=str(entry.get("package", "")),
        preload=lists["preload"],
        entry=str(entry.get("entry", "")),
        health_path=str(entry.get("healthPath", "")),
        port_flags=lists["portFlags"],
        entry_arguments=lists["entryArguments"],
        trust_arguments=lists["trustArguments"],
        capacity_arguments=lists["capacityArguments"],
        http2=bool(entry.get("http2", False)),
        programs=lists["programs"],
    )


def _split_requirement(requirement: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(\[[^]]*\])?\s*([^;]*)(?:;.*)?", requirement)
    return (match[1], match[2] or "", match[3]) if match else (requirement, "", "")


def _allows(bounds: str, version: str) -> bool:
    # Only the orders that our own tables use; uv judges everything else when it resolves.
    for bound in filter(None, (part.strip() for part in bounds.split(","))):
        operator, limit = bound.rstrip("0123456789.abcdevprost*"), bound.lstrip("<>=!~ ")
        if operator.strip() == ">=" and _numbers(version) < _numbers(limit):
            return False
        if operator.strip() == "<" and _numbers(version) >= _numbers(limit):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
