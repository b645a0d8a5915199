"""From a V1 or V2 payload to the matrix of numbers that a tabular model takes, without pandas.

Forms (KServe's `get_predict_input`): lists of numbers; an object a row; objects of columns, each a
list or `{"0": value}`; one tensor; a tensor a column, with `content_type: "pd"` or more than one
input. What does not fit is told by the name of the tensor or of the feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.tabular_columns import Columns, arrange

Matrix: TypeAlias = Any
"""A NumPy array of float32 or float64, of shape [rows, columns]."""

_NUMBERS = "biuf"  # NumPy's kinds that are numbers


def make_matrix(payload: Any, columns: Columns) -> Matrix:
    """Return the rows of a payload; InvalidInput names the tensor or feature that is wrong."""
    if isinstance(payload, InferRequest):
        return _from_tensors(payload, columns)
    return _from_json(*select_instances(payload), columns)


def select_instances(payload: Any) -> tuple[Any, str]:
    """Return what a V1 payload asks about, and the key it stands under."""
    if not isinstance(payload, dict) or not ("inputs" in payload or "instances" in payload):
        what = "bytes" if isinstance(payload, bytes) else type(payload).__name__
        raise InvalidInput(
            f'Expected a JSON object with "instances" or "inputs", got {what}; send content-type '
            'application/json with {"instances": [...]}'
        )
    key = "inputs" if "inputs" in payload else "instances"
    instances = payload[key]
    if isinstance(instances, dict) and key == "inputs":
        instances = [instances]
    if not isinstance(instances, list) and not hasattr(instances, "dtype"):
        raise InvalidInput(f'Expected "{key}" to be a list, got {type(instances).__name__}')
    return instances, key


def _from_tensors(request: InferRequest, columns: Columns) -> Matrix:
    inputs = request.inputs
    if not inputs:
        raise InvalidInput('Expected "inputs" to hold at least one tensor')
    by_name = len(inputs) > 1 or inputs[0].name in columns.names
    if by_name or (request.parameters or {}).get("content_type") == "pd":
        named = {tensor.name: _numbers_of(tensor).ravel() for tensor in inputs}
        return _joined(arrange(named, columns, "the request"), columns, "inputs")
    return checked(_numbers_of(inputs[0]), columns, inputs[0].name)


def _numbers_of(tensor: InferInput) -> Matrix:
    if tensor.datatype == "BYTES":
        raise InvalidInput(
            f'"{tensor.name}" has datatype BYTES and this model takes numbers; send FP32 or FP64'
        )
    return tensor.as_numpy()


def _from_json(instances: Any, key: str, columns: Columns) -> Matrix:
    import numpy as np

    if hasattr(instances, "dtype"):  # a batch: joined as an array already
        return checked(instances, columns, key)
    if instances and _holds_objects(instances):
        return _from_objects(instances, key, columns)
    try:
        array = np.array(instances)
    except (ValueError, OverflowError, RecursionError):
        raise _blame_rows(instances, key, columns) from None
    if array.dtype.kind not in _NUMBERS:
        array = _with_missing(instances, key, columns)
    return checked(array, columns, key)


def _holds_objects(instances: list[Any]) -> bool:
    first = instances[0]
    return isinstance(first, dict) or bool(
        isinstance(first, list) and first and isinstance(first[0], dict)
    )


def _from_objects(instances: list[Any], key: str, columns: Columns) -> Matrix:
    """Return the rows of objects: one a row, or one of columns that hold several values."""
    import numpy as np

    rows: list[list[Any]] = []
    for number, instance in enumerate(instances):
        where = f'"{key}"[{number}]'
        for one in instance if isinstance(instance, list) else [instance]:
            if not isinstance(one, dict):
                kind = type(one).__name__
                raise InvalidInput(f"{where} is a {kind} among objects; send objects only")
            rows += _rows_of(arrange(one, columns, where), where, columns)
    return checked(np.array(_floats(rows, key, columns)), columns, key)


def _rows_of(values: list[Any], where: str, columns: Columns) -> list[list[Any]]:
    lists = [_listed(value) for value in values]
    lengths = {len(value) for value in lists}
    if len(lengths) != 1:
        worst = max(range(len(lists)), key=lambda index: abs(len(lists[index]) - len(lists[0])))
        raise InvalidInput(
            f"{where}: {columns.describe(worst)} has {len(lists[worst])} values and "
            f"{columns.describe(0)} has {len(lists[0])}; give as many of each"
        )
    return [list(row) for row in zip(*lists, strict=True)]


def _listed(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list) else [value]


def _with_missing(instances: list[Any], key: str, columns: Columns) -> Matrix:
    """Return rows in which some values are null, as NaN."""
    import numpy as np

    if not all(isinstance(row, list) for row in instances):
        raise _shape_error(key, f"a list of {_kinds(instances)}", columns)
    return np.array(_floats(instances, key, columns))


def _floats(rows: Sequence[Sequence[Any]], key: str, columns: Columns) -> list[list[float]]:
    return [
        [_float(value, key, (number, index), columns) for index, value in enumerate(row)]
        for number, row in enumerate(rows)
    ]


def _float(value: Any, key: str, place: tuple[int, int], columns: Columns) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            pass  # told below: a whole number beyond all floats
    row, index = place
    shown = repr(value) if not isinstance(value, str) else f'"{value}"'
    raise InvalidInput(
        f'"{key}"[{row}]: {columns.describe(index)} is {shown[:80]}; this model takes numbers'
    )


def _blame_rows(instances: list[Any], key: str, columns: Columns) -> InvalidInput:
    """Return the error of lists that make no matrix: the first row of another length."""
    for number, row in enumerate(instances):
        length = len(row) if isinstance(row, list) else 0
        if length != columns.width:
            return InvalidInput(f'"{key}"[{number}] has {length} features; give {columns.listed()}')
    return InvalidInput(f'"{key}" is no table of numbers; give {columns.listed()} in each row')


def _joined(values: list[Any], columns: Columns, where: str) -> Matrix:
    import numpy as np

    lengths = [len(value) for value in values]
    for index, length in enumerate(lengths):
        if length != lengths[0]:
            raise InvalidInput(
                f"{columns.describe(index)} has {length} values and {columns.describe(0)} has "
                f"{lengths[0]}; give as many of each"
            )
    return checked(np.column_stack(values), columns, where)


def checked(array: Matrix, columns: Columns, name: str) -> Matrix:
    """Return an array as the matrix of this model; InvalidInput tells what is wrong with it."""
    kind = array.dtype.kind
    if kind not in _NUMBERS:
        raise InvalidInput(f'"{name}" holds {array.dtype} and this model takes numbers')
    if array.ndim and not len(array):
        raise InvalidInput(f'"{name}" has no rows; send at least one')
    if array.ndim != 2:
        raise _shape_error(name, f"shape {list(array.shape)}", columns)
    width = array.shape[1]
    if width != columns.width:
        raise InvalidInput(f'"{name}" has {width} features a row; give {columns.listed()}')
    if kind != "f" or array.dtype.itemsize == 2:
        array = array.astype("f8")
    if not (columns.missing and columns.infinite):
        _check_values(array, columns, name)
    return array


def _check_values(array: Matrix, columns: Columns, name: str) -> None:
    """Refuse what this model cannot take: the first value that is absent, or infinite."""
    import numpy as np

    if np.isfinite(array).all():
        return
    wrong = np.isinf(array) if columns.missing else ~np.isfinite(array)
    if not wrong.any():
        return
    row, index = np.argwhere(wrong)[0]
    what = "missing (NaN)" if np.isnan(array[row, index]) else "infinite"
    raise InvalidInput(
        f'"{name}"[{row}]: {columns.describe(int(index))} is {what} and this model needs a number'
    )


def _shape_error(name: str, got: str, columns: Columns) -> InvalidInput:
    return InvalidInput(
        f'"{name}" is {got} and must be a matrix; give rows of {columns.listed()}, [[...], ...]'
    )


def _kinds(instances: list[Any]) -> str:
    return " and ".join(sorted({type(value).__name__ for value in instances}))
