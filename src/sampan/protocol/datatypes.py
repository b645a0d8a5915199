"""V2 datatypes and their NumPy dtypes (KServe V2, "Tensor Data Types").

NumPy is imported inside functions: a client that only names a datatype does not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NUMPY_NAMES = {
    "BOOL": "bool",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
_DATATYPES = {name: datatype for datatype, name in NUMPY_NAMES.items()}
_DTYPES: dict[str, np.dtype[Any]] = {}  # made with the first that asks
_KNOWN: dict[np.dtype[Any], str] = {}  # of NumPy's own numbers: a dtype's name is dear to ask
_TEXT_KINDS = "OSUM"  # object, bytes_, str_, datetime64: all travel as BYTES


def to_np_dtype(datatype: str) -> np.dtype[Any] | None:
    """Return the NumPy dtype of a V2 datatype, or None for an unknown one."""
    made = _DTYPES.get(datatype)
    if made is None and datatype in NUMPY_NAMES:
        import numpy as np

        made = _DTYPES[datatype] = np.dtype(NUMPY_NAMES[datatype])
    return made


def from_np_dtype(dtype: np.dtype[Any]) -> str | None:
    """Return the V2 datatype of a NumPy dtype, or None where V2 has none (complex, void)."""
    found = _KNOWN.get(dtype)
    if found is not None:
        return found
    if dtype.kind in _TEXT_KINDS:
        return "BYTES"
    found = _DATATYPES.get(dtype.name)
    if found is not None:
        _KNOWN[dtype] = found
    return found
