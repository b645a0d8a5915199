"""JSON out: orjson with NumPy, kept to the digits that `ndarray.tolist()` would give."""

from __future__ import annotations

from typing import Any

import orjson

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_NATIVE_KINDS = "iub"


def dumps(value: object) -> bytes:
    """Return compact JSON; NaN and infinities become null. TypeError for what JSON cannot hold."""
    return orjson.dumps(value, default=_default, option=_OPTIONS)


def json_ready(array: Any) -> Any:
    """Return an array, or an equal one, that orjson reads natively with `tolist()`'s digits.

    float32 is widened: the shortest text of a float32 is not that of the same number as a double,
    and clients of KServe see the latter.
    """
    dtype = array.dtype
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return array.astype("float64", order="C", copy=False)
    if dtype.kind in _NATIVE_KINDS and dtype.isnative:
        return array if array.flags.c_contiguous else array.copy(order="C")
    from sampan.protocol.tensors import listed

    return listed(array) if array.ndim == 1 else array.tolist()


def _default(value: Any) -> Any:
    """Turn what orjson does not know: NumPy arrays it cannot read, pandas, sets, bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if hasattr(value, "to_dict"):  # a DataFrame: one object a row, as KServe does
        return value.to_dict(orient="records")
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f'type "{type(value).__name__}" is not JSON; return lists, numbers, strings')
