"""Triton's classification extension of V2: highest values as text, "value:index:label"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import RequestedOutput

PARAMETER = "classification"


def classify(
    wanted: Sequence[RequestedOutput],
    arrays: Mapping[str, Any],
    labels: Callable[[str], list[str]],
) -> Mapping[str, Any]:
    """Return the arrays, those asked for by `classification: k` as their k highest. Pure but for
    the labels."""
    made = dict(arrays)
    for item in wanted:
        count = (item.parameters or {}).get(PARAMETER)
        if count is None or count == 0:
            continue
        if type(count) is not int or count < 1:
            raise InvalidInput(
                f'"classification" of output "{item.name}" is {count!r}; give a number'
            )
        made[item.name] = _highest(item.name, arrays[item.name], count, labels(item.name))
    return made


def _highest(name: str, array: Any, count: int, labels: list[str]) -> Any:
    import numpy as np

    if array.dtype.kind not in "iuf":
        raise InvalidInput(f'output "{name}" is no number; it cannot be classified')
    rows = array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(1, -1)
    order = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    made = np.empty(order.shape, dtype=object)
    for row, indexes in enumerate(order):
        for place, index in enumerate(indexes):
            label = f":{labels[index]}" if index < len(labels) else ""
            made[row, place] = f"{rows[row, index]:f}:{index}{label}".encode()
    return made if array.ndim > 1 else made[0]
