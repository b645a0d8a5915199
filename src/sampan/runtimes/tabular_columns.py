"""Rows of numbers from named columns: by feature name, with what is missing or unknown told. Pure.

What a model trained on a table knows of its columns is how many there are, and often their names.
A request that names them may give them in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.machinery.suggest import did_you_mean
from sampan.protocol.errors import InvalidInput

_SHOWN = 8  # names listed in a message


@dataclass(frozen=True, slots=True)
class Columns:
    """What a model takes in a row. `names` is empty where columns are known by place only.

    `missing` tells whether a value may be absent: null in JSON, NaN in a tensor; `infinite`
    whether one may be beyond all numbers, which a raw tensor can say and JSON cannot.
    """

    width: int
    names: tuple[str, ...] = ()
    missing: bool = True
    infinite: bool = True
    optional: frozenset[str] = frozenset()
    """Names of columns that may be left out altogether; their values are then missing."""
    others: bool = False
    """Whether a request may name columns besides, which are not looked at."""

    def describe(self, index: int) -> str:
        """Return a column as messages name it."""
        if index < len(self.names):
            return f'feature "{self.names[index]}"'
        return f"feature {index}"

    def listed(self) -> str:
        """Return how many features there are, with their names where they have any."""
        count = f"{self.width} feature{'' if self.width == 1 else 's'}"
        return f"{count} ({quoted(self.names)})" if self.names else count


def quoted(names: Sequence[str]) -> str:
    """Return names in double quotes, of many the first few."""
    shown = ", ".join(f'"{name}"' for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def arrange(named: Mapping[str, Any], columns: Columns, where: str) -> list[Any]:
    """Return the values in the order of the model's columns; InvalidInput names what does not fit.

    A model without names takes them in the order given.
    """
    if not columns.names:
        if len(named) != columns.width:
            raise InvalidInput(f"{where} has {len(named)} features; give {columns.listed()}")
        return list(named.values())
    unknown = [name for name in named if name not in columns.names]
    if unknown and not columns.others:
        hint = did_you_mean(unknown[0], columns.names)
        raise InvalidInput(
            f'{where} has "{unknown[0]}", which is no feature of this model{hint}; '
            f"give {columns.listed()}"
        )
    wanted = (name for name in columns.names if name not in columns.optional)
    lacking = [name for name in wanted if name not in named]
    if lacking:
        raise InvalidInput(f"{where} lacks the feature {quoted(lacking)}; give {columns.listed()}")
    return [named.get(name) for name in columns.names]
