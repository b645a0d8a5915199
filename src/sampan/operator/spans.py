"""What the operator does, told to whoever traces it: a span a reconcile, below it one a call.

Nothing is told by default, and nothing is paid for that. Who wires the operator says what makes the
spans (`sampan.app.operator_tracing`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

MakeSpan: TypeAlias = Callable[[str, Mapping[str, str]], AbstractContextManager[object]]
"""`(name, attributes)`: a span that lasts as long as its block, and fails with it."""

_NOTHING = nullcontext()


def no_span(_name: str, _attributes: Mapping[str, str]) -> AbstractContextManager[object]:
    """Tell nobody. Pure."""
    return _NOTHING
