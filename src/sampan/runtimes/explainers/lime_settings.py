"""What LIME is told: by its arguments, and by a request, which may say another (KServe's AIX)."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.explainers.segments import ALGORITHMS

TYPES = ("LimeImages", "LimeTexts", "LimeTabular")
_TRUE = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_MOST_SAMPLES = 100_000  # one array of them is made


@dataclass(frozen=True, slots=True)
class Settings:
    """What one explanation is made with; names are those of arguments and requests."""

    top_labels: int
    segmentation_alg: str
    num_samples: int
    positive_only: bool
    min_weight: float
    nb_classes: int
    flat: bool
    seed: int


def read_settings(payload: Any, given: Namespace) -> Settings:
    """Return the settings of a request: its own where it has them. Raises InvalidInput."""
    told = payload if isinstance(payload, dict) else {}
    return Settings(**{field.name: _setting(field.name, told, given) for field in fields(Settings)})


def _setting(name: str, told: dict[str, Any], given: Namespace) -> Any:
    if name not in told or name not in _READ:
        return getattr(given, name)
    try:
        return _READ[name](str(told[name]))
    except (ArgumentTypeError, ValueError) as error:
        raise InvalidInput(f'"{name}" is {told[name]!r}: {error}') from None


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MOST_SAMPLES:
        raise ArgumentTypeError(f'"{text}" is not a number from 1 to {_MOST_SAMPLES}')
    return count


def _truth(text: str) -> bool:
    if text.lower() not in _TRUE:
        raise ArgumentTypeError(f'"{text}" is not "true" or "false"')
    return _TRUE[text.lower()]


def _algorithm(text: str) -> str:
    if text not in ALGORITHMS:
        raise ArgumentTypeError(f'"{text}" is not one of {", ".join(ALGORITHMS)}')
    return text


_READ: dict[str, Callable[[str], Any]] = {
    "top_labels": _count,
    "segmentation_alg": _algorithm,
    "num_samples": _count,
    "positive_only": _truth,
    "min_weight": float,
}
"""What a request may say for itself, as with KServe's AIX explainer."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add LIME's arguments: KServe's AIX explainer's, with its defaults, and what rows need."""
    add = parser.add_argument
    add("--explainer_type", choices=TYPES, default=TYPES[0])
    add("--num_samples", type=_count, default=1000, help="how often a thing is changed and asked")
    add("--top_labels", type=_count, default=10, help="how many labels are explained")
    add("--min_weight", type=float, default=0.01, help="below, a part of an image is not shown")
    add("--positive_only", type=_truth, default=True, help="show only what speaks for a label")
    add("--segmentation_alg", type=_algorithm, default=ALGORITHMS[0], help="the parts of an image")
    add("--nb_classes", type=int, default=0, help="so many, where the model answers a class")
    add("--flat", type=_truth, default=False, help="the model takes an image as one row")
    add("--model_dir", default="/mnt/models", help="LimeTabular: the folder of the background")
    add("--seed", type=int, default=0, help="the same request gives the same answer")
