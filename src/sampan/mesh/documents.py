"""The two documents of a process that holds many models: its register, and its report.

The control plane writes the register (`models.json`), the process follows it and writes a report of
its own (`reports/{pid}.json`). Both are replaced whole, so that a reader sees one or the other.
Sizes are bytes, times seconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

REGISTER_FILE = "models.json"
REPORTS_FOLDER = "reports"

UNIT_BYTES = 8192
"""Sizes are counted in units of 8 KiB, rounded up (ModelMesh, ModelLoader)."""
SIZE_FACTOR = 1.25
"""A model takes more memory than its files do: what ModelMesh's adapters multiply by."""


class ModelState(StrEnum):
    """Where a registered model is, in KServe's words (`modelStatus.states`)."""

    STANDBY = "Standby"
    LOADING = "Loading"
    LOADED = "Loaded"
    FAILED = "FailedToLoad"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that may be asked for. Immutable: another content has another `id`.

    `path` is its file or folder on this machine, `format` the model format, `weight` the bytes of
    memory that it counts for. `trusted`: it may run code when it is loaded.
    """

    id: str
    format: str
    path: str
    weight: int
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Register:
    """All that a process is told.

    `names` maps what clients ask for to the id of the model that answers. `capacity` bounds the
    weights of what is loaded at once; `loading` how many are loaded side by side.
    """

    models: tuple[ModelEntry, ...] = ()
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    capacity: int = 0
    loading: int = 1
    timeout_seconds: float = 90.0

    def entry(self, model_id: str) -> ModelEntry | None:
        """Return a model's entry."""
        return next((one for one in self.models if one.id == model_id), None)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """How one model is. `message` says why it does not load; `since` when the state began."""

    state: ModelState
    message: str = ""
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """How the models of one process are. `evictions` counts those that made room for others."""

    pid: int
    models: Mapping[str, ModelReport]
    capacity: int = 0
    used: int = 0
    loads: int = 0
    evictions: int = 0


def make_weight(size: int) -> int:
    """Return the bytes of memory that a model counts for whose files have `size` bytes."""
    units = -(-int(size * SIZE_FACTOR) // UNIT_BYTES)
    return max(1, units) * UNIT_BYTES


def encode_register(register: Register) -> bytes:
    """Return the register's document."""
    return json.dumps(
        {**asdict(register), "names": dict(register.names)}, indent=1, sort_keys=True
    ).encode()


def decode_register(text: bytes) -> Register:
    """Return a register; raise ValueError where the document is none."""
    try:
        read: dict[str, Any] = json.loads(text)
        models = tuple(ModelEntry(**entry) for entry in read.pop("models"))
        return Register(models, **read)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the register of models cannot be read: {error}") from error


def encode_report(report: Report) -> bytes:
    """Return the report's document."""
    models = {name: asdict(one) for name, one in report.models.items()}
    return json.dumps({**_plain(report), "models": models}, sort_keys=True).encode()


def _plain(report: Report) -> dict[str, int]:
    names = ("pid", "capacity", "used", "loads", "evictions")
    return {name: getattr(report, name) for name in names}


def decode_report(text: bytes) -> Report:
    """Return a report; raise ValueError where the document is none."""
    try:
        read: dict[str, Any] = json.loads(text)
        models = {
            name: ModelReport(**{**one, "state": ModelState(one["state"])})
            for name, one in read.pop("models").items()
        }
        return Report(models=models, **read)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the report of a process cannot be read: {error}") from error
