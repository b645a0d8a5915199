"""What a platform does with a field."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias


class Where(StrEnum):
    """A platform: processes of this machine, or objects of a cluster."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True)
class Honoured:
    """The field does what KServe's documentation says; `how` where that is not plain."""

    how: str = ""


@dataclass(frozen=True, slots=True)
class Partly:
    """The field is honoured (`how`), but not every value: who sets another is told (`told`)."""

    how: str
    told: str


@dataclass(frozen=True, slots=True)
class Warned:
    """The field has no effect, and who sets it is told. Values in `fine` ask for what is so anyway.

    `modes`: only in these deployment modes; empty: in every one.
    """

    sentence: str
    fine: tuple[Any, ...] = ()
    modes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing new starts while the field is set, because the answers would be wrong."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Inside:
    """The fields of a type of Kubernetes, each of which has its own row among the platform's."""

    type: str


@dataclass(frozen=True, slots=True)
class Written:
    """The server's to write: what a client sends here is dropped, as Kubernetes drops it."""


Verdict: TypeAlias = Honoured | Partly | Warned | Rejected | Inside | Written


@dataclass(frozen=True, slots=True)
class Row:
    """The verdicts on a field, or on all fields below it that have no row of their own.

    `example` is a value with which the plan is asked what it says of the field here: its warning
    or block stands before `local`. None: the plan has nothing to say of it.
    """

    local: Verdict
    kubernetes: Verdict
    example: Any = None

    def on(self, where: Where) -> Verdict:
        """Return the verdict of a platform."""
        return self.local if where is Where.LOCAL else self.kubernetes


YES = Honoured()


def everywhere(verdict: Verdict, example: Any = None) -> Row:
    """Return a row that says the same on both platforms."""
    return Row(verdict, verdict, example)
