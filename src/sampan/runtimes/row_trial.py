"""Whether a model of named tensors answers each row as if it stood alone: tried with numbers.

What passes is batched. The rows are random and the sizes few, so this is evidence and no proof: a
model whose rows meet each other only for other values is not found out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.tensor_specs import Specs, make_zeros

if TYPE_CHECKING:
    import numpy as np


class Session(Protocol):
    """A loaded model. `open_axis`: the first size of all its tensors is one and the same, open."""

    inputs: Specs
    outputs: Specs
    open_axis: bool

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Mapping[str, Any]:
        """Return the outputs of these names."""


def is_row_wise(session: Session) -> bool:
    """Whether a model answers each row as if it stood alone, bit for bit: tried, not assumed.

    All tensors must share one open first axis. Models of text are not tried.
    """
    import numpy as np

    if not session.open_axis or any(spec.datatype == "BYTES" for spec in session.inputs):
        return False
    random = np.random.default_rng(0)
    names = [spec.name for spec in session.outputs]
    try:
        for rows in (2, 3, 7, 16, 33):
            given = {
                name: _fill(zeros, random)
                for name, zeros in make_zeros(session.inputs, rows).items()
            }
            together = session.run(given, names)
            for row in range(rows):
                alone = session.run({k: v[row : row + 1] for k, v in given.items()}, names)
                if not all(_same(together[n][row : row + 1], alone[n]) for n in names):
                    return False
    except (InvalidInput, InferenceError):  # it wants other values or sizes than these
        return False
    return True


def _fill(zeros: Any, random: np.random.Generator) -> Any:
    if zeros.dtype.kind == "f":
        return random.normal(size=zeros.shape).astype(zeros.dtype)
    return random.integers(0, 2, size=zeros.shape).astype(zeros.dtype)


def _same(one: Any, other: Any) -> bool:
    same = one.shape == other.shape and one.dtype == other.dtype
    return same and (
        one.tobytes() == other.tobytes() if one.dtype.kind != "O" else bool((one == other).all())
    )
