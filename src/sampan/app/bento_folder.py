"""What a Bento, or a project of BentoML, says of its environment: annotations for its service."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sampan.plan.model import TRUST
from sampan.platforms.local.own_requirements import ANNOTATION, split_requirements

_LISTS = ("env/python/requirements.txt", "env/python/requirements.in")
"""Where `bentoml build` leaves the packages of a Bento: locked, else as they were asked for."""


def gather_bento_annotations(folder: Path) -> dict[str, str]:
    """Return the annotations with which a Bento runs: it is a program, and names its packages.

    What a list says beside packages (`--index-url`, hashes) is left out: where packages come from
    is the operator's matter.
    """
    lines = make_lines(gather_requirements(folder))
    made = {TRUST: "true"}
    return {**made, ANNOTATION: "\n".join(lines)} if lines else made


def gather_bento_name(folder: Path) -> str:
    """Return the name of a built Bento, whose folder is named by its version; "" without one."""
    name = _read_yaml(folder / "bento.yaml").get("name")
    return name if isinstance(name, str) else ""


def gather_requirements(folder: Path) -> list[str]:
    """Return the lines of the packages that a Bento or a project names; OSError."""
    for name in _LISTS:
        if (folder / name).is_file():
            return list(split_requirements((folder / name).read_text("utf-8")))
    asked = _read_build(folder / "bentofile.yaml")
    listed = asked.get("requirements_txt")
    further = []
    if isinstance(listed, str) and (folder / listed).is_file():
        further = list(split_requirements((folder / listed).read_text("utf-8")))
    return [*map(str, asked.get("packages") or ()), *further]


def make_lines(lines: Iterable[str]) -> list[str]:
    """Return the plain requirements among lines, each without its hashes. Pure."""
    bare = (line.partition(" --hash")[0].rstrip("\\ ") for line in lines)
    return [line for line in bare if line and not line.startswith("-")]


def _read_build(path: Path) -> dict[str, Any]:
    """Return what a build file says of Python; empty where it says nothing."""
    asked = _read_yaml(path).get("python")
    return asked if isinstance(asked, dict) else {}


def _read_yaml(path: Path) -> dict[str, Any]:
    """Return the object of a file; empty where there is none."""
    import yaml

    if not path.is_file():
        return {}
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError:
        return {}  # the server tells what is wrong with it
    return document if isinstance(document, dict) else {}
