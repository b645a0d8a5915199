"""From a V1 or V2 payload to columns of mixed values: numbers, texts, truth values. Pure.

For models whose columns differ in type. The forms are those of `tabular_rows`; a value that does
not fit its column is told by the column's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferRequest, listed
from sampan.runtimes.tabular_columns import Columns, arrange
from sampan.runtimes.tabular_rows import select_instances

Values: TypeAlias = "list[list[Any]]"
"""Values by column: as many lists as there are columns, each with a value a row."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column: its name, and what its values are: a key of `DATATYPES`.

    A `category` is text or a whole number. One that is not `required` may be left out.
    """

    name: str
    kind: str = "any"
    required: bool = True


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "number": lambda value: isinstance(value, (int, float)),
    "text": lambda value: isinstance(value, str),
    "whole": lambda value: isinstance(value, int),
    "truth": lambda value: isinstance(value, (bool, int)) and value in (0, 1),
    "category": lambda value: isinstance(value, (str, int)),
    "any": lambda value: not isinstance(value, (list, dict)),
}
_TAKES = {
    "number": "numbers",
    "text": "text",
    "whole": "whole numbers",
    "truth": "true and false",
    "category": "text and whole numbers",
    "any": "plain values",
}

_WHOLE = frozenset({"whole", "category"})
DATATYPES = {
    "number": "FP64",
    "whole": "INT64",
    "text": "BYTES",
    "truth": "BOOL",
    "category": "BYTES",
    "any": "BYTES",
}
"""V2's datatype of each kind of column, for metadata."""


def make_values(
    payload: Any, fields: Sequence[Field], *, missing: bool = True, others: bool = False
) -> Values:
    """Return the columns of a payload; None stands for null. InvalidInput names what is wrong.

    `others`: columns that the model does not have are not looked at.
    """
    optional = frozenset(field.name for field in fields if not field.required)
    names = tuple(field.name for field in fields)
    columns = Columns(len(fields), names, missing, optional=optional, others=others)
    if isinstance(payload, InferRequest):
        values, where = _from_tensors(payload, columns)
    else:
        instances, where = select_instances(payload)
        values = _from_json(instances, where, columns)
    if not values or not values[0]:
        raise InvalidInput(f'"{where}" has no rows; send at least one')
    for field, column in zip(fields, values, strict=True):
        _check(field, column, where, missing=missing)
    return values


def _check(field: Field, column: list[Any], where: str, *, missing: bool) -> None:
    fits = _FITS[field.kind]
    for row, value in enumerate(column):
        if value is None and missing:
            continue
        if value is None or value != value:  # noqa: PLR0124  # NaN is what differs from itself
            if missing:
                column[row] = None
                continue
            raise InvalidInput(
                f'"{where}"[{row}]: feature "{field.name}" is missing; this model needs a value'
            )
        if field.kind in _WHOLE and isinstance(value, float) and value.is_integer():
            column[row] = int(value)  # it came in a tensor of numbers
        elif not fits(value):
            shown = f'"{value}"' if isinstance(value, str) else repr(value)
            raise InvalidInput(
                f'"{where}"[{row}]: feature "{field.name}" is {shown[:80]}; it takes '
                f"{_TAKES[field.kind]}"
            )


def _from_tensors(request: InferRequest, columns: Columns) -> tuple[Values, str]:
    inputs = request.inputs
    if not inputs:
        raise InvalidInput('Expected "inputs" to hold at least one tensor')
    by_name = len(inputs) > 1 or (request.parameters or {}).get("content_type") == "pd"
    if by_name or (inputs[0].name in columns.names and columns.width == 1):
        named = {tensor.name: listed(tensor.as_numpy().ravel()) for tensor in inputs}
        values = _filled(arrange(named, columns, "the request"))
        return _even(values, columns, "the request"), "inputs"
    tensor = inputs[0]
    return _from_array(tensor.as_numpy(), tensor.name, columns), tensor.name


def _from_array(array: Any, name: str, columns: Columns) -> Values:
    if array.ndim != 2:
        raise InvalidInput(
            f'"{name}" is shape {list(array.shape)} and must be a matrix; give rows of '
            f"{columns.listed()}, [[...], ...]"
        )
    if array.shape[1] != columns.width:
        raise InvalidInput(f'"{name}" has {array.shape[1]} features a row; give {columns.listed()}')
    return [listed(array[:, index]) for index in range(columns.width)]


def _from_json(instances: Any, key: str, columns: Columns) -> Values:
    if hasattr(instances, "dtype"):  # a batch: joined as an array already
        return _from_array(instances, key, columns)
    values: Values = [[] for _ in range(columns.width)]
    for number, instance in enumerate(instances):
        where = f'"{key}"[{number}]'
        for column, more in zip(values, _rows_of(instance, where, columns), strict=True):
            column.extend(more)
    return values


def _rows_of(instance: Any, where: str, columns: Columns) -> Values:
    """Return what one instance adds to each column: a row of values, an object, columns."""
    if isinstance(instance, list) and instance and all(isinstance(v, dict) for v in instance):
        parts = [_rows_of(one, where, columns) for one in instance]
        return [[v for part in parts for v in part[index]] for index in range(columns.width)]
    if isinstance(instance, dict):
        return _even(_filled(arrange(instance, columns, where)), columns, where)
    if not isinstance(instance, list):
        raise InvalidInput(
            f"{where} is {instance!r:.80} and must be a row; give {columns.listed()}"
        )
    if len(instance) != columns.width:
        raise InvalidInput(f"{where} has {len(instance)} features; give {columns.listed()}")
    return [[value] for value in instance]


def _filled(values: list[Any]) -> Values:
    """Return each column's values as a list; one that was left out is missing in every row."""
    rows = max((len(_listed(value)) for value in values if value is not None), default=1)
    return [[None] * rows if value is None else _listed(value) for value in values]


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _even(values: Values, columns: Columns, where: str) -> Values:
    for index, column in enumerate(values):
        if len(column) != len(values[0]):
            raise InvalidInput(
                f"{where}: {columns.describe(index)} has {len(column)} values and "
                f"{columns.describe(0)} has {len(values[0])}; give as many of each"
            )
    return values
