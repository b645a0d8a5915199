"""From the JSON of V1 to arrays: rows and columns, numbers that fit, text and bytes.

A row is a value of the one input, or an object with a value an input (`instances`). Columns are
whole inputs (`inputs`): TensorFlow Serving's two forms, which KServe's V1 takes from there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sampan.protocol.datatypes import to_np_dtype
from sampan.protocol.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

_LARGEST = {"f": 3.4028234663852886e38, "e": 65504.0}
"""The largest finite number by NumPy's code of single and half precision (IEEE 754)."""
_WHOLE = 2**53
"""Whole numbers up to here are exact as doubles."""


def select_columns(payload: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return what a V1 payload holds an input; InvalidInput where it is no V1 payload.

    `names` are the model's inputs: a row that is no object belongs to the first.
    """
    if not isinstance(payload, dict) or not ("inputs" in payload or "instances" in payload):
        raise InvalidInput('Expected a JSON object with "instances" or "inputs"')
    if "inputs" in payload:
        columns = payload["inputs"]
        return columns if isinstance(columns, dict) else {_only(names): columns}
    rows = payload["instances"]
    if not isinstance(rows, list) or not rows or not _is_named(rows[0]):
        return {_only(names): rows}
    return _turn(rows)


def _only(names: Sequence[str]) -> str:
    if len(names) != 1:
        listed = ", ".join(f'"{name}"' for name in names)
        raise InvalidInput(f"the model takes {listed}; send objects with a value for each of them")
    return names[0]


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and row.keys() != {"b64"}


def _turn(rows: list[Any]) -> dict[str, list[Any]]:
    """Return a column a name of rows that are objects; all must have the same names."""
    names = rows[0].keys()
    for number, row in enumerate(rows):
        if not _is_named(row) or row.keys() != names:
            raise InvalidInput(
                f"instance {number} does not have the names of the first; send "
                + ", ".join(f'"{name}"' for name in names)
                + " in each"
            )
    return {name: [row[name] for row in rows] for name in names}


def make_array(name: str, values: Any) -> np.ndarray[Any, Any]:
    """Return values of JSON as an array; text becomes bytes, `{"b64": ...}` what it stands for."""
    import numpy as np

    if isinstance(values, np.ndarray):
        return values
    try:
        array = np.array(values)
    except (ValueError, OverflowError, RecursionError):
        raise InvalidInput(f'input "{name}" is ragged; send rows of equal shape') from None
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "U" or _is_text(array):
        flat = [_bytes(name, item) for item in np.array(values, dtype=object).ravel()]
        made = np.empty(len(flat), dtype=object)
        made[:] = flat
        return made.reshape(array.shape)
    raise InvalidInput(f'input "{name}" holds {_odd(array)}; send numbers, text or truth values')


def _is_text(array: np.ndarray[Any, Any]) -> bool:
    return array.size > 0 and all(isinstance(item, (str, dict)) for item in array.ravel())


def _odd(array: np.ndarray[Any, Any]) -> str:
    wrong = next((item for item in array.ravel() if item is None or isinstance(item, dict)), None)
    return "null" if wrong is None else "an object"


def _bytes(name: str, item: Any) -> bytes:
    if isinstance(item, dict):
        if item.keys() != {"b64"} or not isinstance(item["b64"], str):
            raise InvalidInput(f'input "{name}" holds an object; send text, or {{"b64": "..."}}')
        try:
            return base64.b64decode(item["b64"], validate=True)
        except binascii.Error as error:
            raise InvalidInput(f'input "{name}" holds a "b64" that is no base64: {error}') from None
    if not isinstance(item, str):
        raise InvalidInput(f'input "{name}" mixes text and {type(item).__name__}; send text')
    return item.encode("utf-8", "surrogatepass")


def as_datatype(array: np.ndarray[Any, Any], datatype: str) -> np.ndarray[Any, Any]:
    """Return an array of JSON's numbers in a datatype that holds them all exactly, or nearly.

    One that does not fit is returned as it is, for the check that names both datatypes. JSON does
    not tell 1 from 1.0, so a fraction is all that keeps a number from a whole datatype.
    """
    import numpy as np

    dtype = to_np_dtype(datatype)
    if dtype is None or dtype == array.dtype or array.dtype.kind not in "iuf":
        return array
    if dtype.kind == "f":
        most = _LARGEST.get(dtype.char)
        if most and array.size and max(array.max(), -array.min()) > most:
            return array
        return array.astype(dtype)
    if dtype.kind not in "iu":
        return array
    bounds = np.iinfo(dtype)
    inside = array.size == 0 or (array.min() >= bounds.min and array.max() <= bounds.max)
    if array.dtype.kind == "f":
        inside = inside and bool((np.abs(array) <= _WHOLE).all() and (array == array.round()).all())
    return array.astype(dtype) if inside else array
