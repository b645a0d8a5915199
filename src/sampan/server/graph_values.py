"""What models of one process hand each other: answers as values, and requests made of them.

An array is handed over where its JSON would read back as the very same numbers: of a native type,
and finite (JSON has null for what is not). What else there is goes as text, as it does everywhere.
The arrays are the models' own and not copied; who is given one may read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sampan.protocol import json_out, v2
from sampan.protocol.datatypes import to_np_dtype
from sampan.protocol.tensors import InferInput, InferRequest, InferResponse
from sampan.protocol.v2_schema import validate_request
from sampan.router.body import Body, Carried
from sampan.server.batching import NotRowWise, Part, split

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_WHOLE = "?bhilqBHI"  # NumPy's type codes of whole numbers whose Python list is an array of int64
_BROKEN = "fd"
_LISTED = 1024  # values; above it orjson's way through an array is the quicker one


def carry(result: Any) -> Carried | None:
    """Return a model's answer as a value to hand over; None for one that is to be written now.

    V1: `{"predictions": array}`. V2: an InferResponse whose outputs all go as JSON.
    """
    if isinstance(result, InferResponse):
        return _carry_response(result)
    if type(result) is dict and result.keys() == {"predictions"}:
        rows = result["predictions"]
        return Carried({"predictions": _kept(rows)}, write) if _is_told(rows) else None
    return None


def carry_parts(result: Any, parts: Sequence[Part]) -> list[Body]:
    """Return the answer of each part of a batch; NotRowWise where they are no such answers."""
    rows: Any = result.get("predictions") if type(result) is dict and len(result) == 1 else None
    if not _is_told(rows):
        return [_told(one) for one in split(result, parts)]
    if len(rows) != sum(part.rows for part in parts):
        raise NotRowWise
    kept, answers, start = _kept(rows), list[Body](), 0
    for part in parts:
        end = start + part.rows
        answers.append(Carried({"predictions": kept[start:end]}, write))
        start = end
    return answers


def is_exact(array: Any) -> bool:
    """Whether an array may be handed over in the place of the list that JSON would have."""
    import numpy as np

    if type(array) is not np.ndarray or not array.ndim or not array.size:
        return False  # of nothing, a list does not tell what it is of
    if not array.dtype.isnative:
        return False
    code = array.dtype.char
    return code in _WHOLE or (code in _BROKEN and bool(np.isfinite(array).all()))


def write(value: Any) -> bytes:
    """Return a value with arrays as JSON."""
    return json_out.dumps(_written(value))


def read_rows(value: Any) -> npt.NDArray[Any] | None:
    """Return the instances of a V1 request whose value is nothing else, as `np.array` would."""
    if type(value) is not dict or value.keys() != {"instances"}:
        return None
    rows = value["instances"]
    if not is_exact(rows):
        return None
    code: str = rows.dtype.char
    if code == "?":
        return rows  # type: ignore[no-any-return]  # an array, it was found out
    return rows.astype("d" if code in _BROKEN else "int64", copy=False)  # type: ignore[no-any-return]  # the same


def size_of(body: Body) -> int:
    """Return how large a body is: its bytes, or those of its arrays."""
    return len(body) if isinstance(body, bytes) else _bytes_of(body.value)


def read_request(value: Any, model_name: str) -> InferRequest | None:
    """Return a V2 request whose contents are arrays; None for `v2.decode` to read, or to refuse."""
    if type(value) is not dict or type(value.get("inputs")) is not list:
        return None
    items = value["inputs"]
    if not all(type(item) is dict and is_exact(item.get("data")) for item in items):
        return None
    bare = {**value, "inputs": [_bare(item) for item in items]}
    if validate_request(bare):
        return None
    pairs = zip(bare["inputs"], items, strict=True)
    inputs = [_make_input(item, full["data"]) for item, full in pairs]
    sound = [tensor for tensor in inputs if tensor is not None]
    return v2.make_request(bare, sound, model_name) if len(sound) == len(inputs) else None


def _carry_response(response: InferResponse) -> Carried | None:
    if response.requested_outputs or response.use_binary_outputs or not response.id:
        return None
    if any(output.form != "array" or not output.has_contents for output in response.outputs):
        return None
    arrays = [output.as_numpy() for output in response.outputs]
    if not all(map(is_exact, arrays)):
        return None
    data = [_kept(array.ravel()) for array in arrays]
    return Carried(v2.make_body(response, response.outputs, data), write)


def _told(result: Any) -> Body:
    """Return one answer; NotRowWise for tensors that do not go as JSON."""
    carried = carry(result)
    if carried is not None:
        return carried
    if not isinstance(result, InferResponse):
        return json_out.dumps(result)
    text, binary = v2.encode(result)
    if binary is not None:
        raise NotRowWise
    return text


def _is_told(rows: Any) -> bool:
    """Whether V1 tells rows in full: of a float32, as it is, it tells the digits that suffice."""
    return is_exact(rows) and rows.dtype.char != "f"


def _kept(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array that nobody who is handed it can change."""
    view = array.view()
    view.flags.writeable = False
    return view


def _bytes_of(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_bytes_of, value.values()))
    if isinstance(value, list):
        return sum(map(_bytes_of, value))
    return int(getattr(value, "nbytes", 8))


def _bare(item: dict[str, Any]) -> dict[str, Any]:
    """Return an input without its contents, which nobody else holds: the check may change it."""
    copied = {**item, "data": [], "shape": _copied(item.get("shape"))}
    parameters = copied.pop("parameters", None)
    return copied if parameters is None else {**copied, "parameters": _copied(parameters)}


def _copied(value: Any) -> Any:
    return {**value} if isinstance(value, dict) else [*value] if isinstance(value, list) else value


def _make_input(item: dict[str, Any], array: npt.NDArray[Any]) -> InferInput | None:
    """Return the tensor; None where datatype or shape say something else than the array is."""
    tensor = InferInput(item["name"], item["shape"], item["datatype"], None, item.get("parameters"))
    dtype = to_np_dtype(tensor.datatype)
    if dtype is None or tensor.datatype == "FP16" or not _fits(array.dtype, dtype):
        return None
    try:
        shaped = array.astype(dtype, copy=False).reshape(tensor.shape)
    except ValueError:
        return None
    tensor.set_sent_array(shaped, array.tolist)
    return tensor


def _fits(given: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Whether every number of a type is one of another, and stays of its kind."""
    import numpy as np

    return given.kind == wanted.kind and np.can_cast(given, wanted, "safe")


def _written(value: Any) -> Any:
    """Return a value as orjson writes it, arrays with the digits of their lists."""
    if isinstance(value, dict):
        return {key: _written(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_written(part) for part in value]
    if not hasattr(value, "dtype"):
        return value
    return value.tolist() if value.size <= _LISTED else json_out.json_ready(value)
