"""A gjson path as a value: steps, followed one after the other.

gjson, path syntax.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Key:
    """A member of an object, or with digits an element of an array.

    `pattern` is set where the name holds `*` or `?`: the first member that fits is taken.
    """

    name: str
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """`#`: the length of an array; with `rest`, what `rest` finds in each element."""

    rest: Path | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison of a query; `operator` "": what `path` finds must exist.

    `path` None: the element itself is compared.
    """

    path: Path | None
    operator: str
    operand: str


@dataclass(frozen=True, slots=True)
class Query:
    """`#(…)`: the first element that fits; `every`, written `#(…)#`: an array of all that fit,
    or of what `rest` finds in each.

    `either` holds alternatives, each a list of clauses that must all fit.
    """

    either: tuple[tuple[Clause, ...], ...]
    every: bool = False
    rest: Path | None = None


@dataclass(frozen=True, slots=True)
class Several:
    """`[a,b]` and `{"x":a,b}`: what several paths find, as an array or an object.

    What is not found is left out.
    """

    kind: Literal["array", "object"]
    members: tuple[tuple[str, Path], ...]


@dataclass(frozen=True, slots=True)
class Modifier:
    """`@name` or `@name:argument`: another shape of the value."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Constant:
    """`!value`: the value itself, whatever the body is."""

    value: Any


Step = Key | Each | Query | Several | Modifier | Constant


@dataclass(frozen=True, slots=True)
class Path:
    """Steps, each followed in what the one before has found."""

    steps: tuple[Step, ...] = field(default=())
