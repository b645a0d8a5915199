"""How many requests a handler gets at once, as the places say it where TorchServe looks. Pure.

An archive's own `model-config.yaml` wins over `models` of config.properties, which wins over what a
registration asks for (TorchServe, "Batch Inference").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.server.load_failure import LoadFailure

USUAL_MILLISECONDS = 100
"""TorchServe's default of maxBatchDelay."""

_KEYS = frozenset({"batchSize", "maxBatchDelay"})
_SILENT = {
    "parallelType": "a handler runs in one process",
    "parallelLevel": "a handler runs in one process",
    "torchrun": "a handler runs in one process",
    "continuousBatching": "a batch is answered before the next is begun",
    "sequenceBatching": "requests are taken in their order",
    "stateful": "requests are taken in their order",
    "asyncCommunication": "a batch is answered before the next is begun",
    "useVenv": "packages are those of the runtime's environment",
}


@dataclass(frozen=True, slots=True)
class Batch:
    """How many requests a handler gets at once, and how many seconds the first waits for more."""

    size: int = 1
    delay: float = USUAL_MILLISECONDS / 1000


def make_batch(document: JsonObject, place: str) -> Batch | None:
    """Return what `batchSize` and `maxBatchDelay` (milliseconds) say; None where neither is there.

    LoadFailure names the place of a number that is none.
    """
    if not _KEYS & document.keys():
        return None
    size = _count(document.get("batchSize", 1), 1, f"batchSize of {place}")
    delay = _count(
        document.get("maxBatchDelay", USUAL_MILLISECONDS), 0, f"maxBatchDelay of {place}"
    )
    return Batch(size, delay / 1000)


def _count(value: Any, least: int, what: str) -> int:
    if type(value) is not int or value < least:
        raise LoadFailure(
            "ModelIncompatible", f"{what} is {value!r}; give a whole number from {least}"
        )
    return value


def read_config(text: str, place: str) -> tuple[Batch | None, tuple[str, ...]]:
    """Return what an archive's `model-config.yaml` says of batches, and what has no effect."""
    import yaml

    try:
        document = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        first = str(error).splitlines()[0]
        raise LoadFailure("ModelCorrupt", f"{place} is no YAML ({first}); mend it") from None
    if not isinstance(document, dict):
        raise LoadFailure("ModelCorrupt", f"{place} is {document!r}; give an object")
    return make_batch(document, place), tuple(_warnings(document, place))


def _warnings(document: JsonObject, place: str) -> Iterator[str]:
    for key in document:
        if key in _SILENT:
            yield f'"{key}" of {place} is not honoured: {_SILENT[key]}'
