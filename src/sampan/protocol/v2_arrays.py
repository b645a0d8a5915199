"""Large V2 requests in JSON whose numbers become arrays without becoming Python objects first.

An image of 3 x 224 x 224 numbers is 150,000 Python floats on orjson's way, and simdjson fills an
array at less than half of that cost. Only what is sound at a glance is read here: anything else
gives None and goes the usual way, the one judge of what is right, which words what is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from sampan.protocol.datatypes import to_np_dtype
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.protocol.v2 import make_request
from sampan.protocol.v2_schema import validate_request

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

WORTH_BYTES = 32 * 1024
"""From here on; below, orjson is as quick."""
MOST_BYTES = 64 * 1024 * 1024
"""Up to here: what simdjson reserves grows with the body."""

_ELEMENTS = {
    "FP32": ("d", "f8"),
    "FP64": ("d", "f8"),
    "UINT64": ("u", "u8"),
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32"), ("i", "i8")),
}
"""By datatype: the elements that simdjson is asked for, and their NumPy name."""


def decode_arrays(body: bytes, model_name: str) -> InferRequest | None:
    """Return the request of a large body; None where it is for `v2.decode` to read or to refuse.

    Equal to what that returns, but that lists are made only when a model asks for them.
    """
    if not WORTH_BYTES <= len(body) <= MOST_BYTES or not body.startswith(b"{"):
        return None
    parse = _parser()
    if parse is None:
        return None
    try:
        value, data = _split(parse(body))
    except (
        ValueError,
        TypeError,
        RuntimeError,
        LookupError,
        AttributeError,
    ):  # as simdjson says: not sound JSON
        return None
    if validate_request(value) or body.count(b"[") != _brackets(value):
        return None
    inputs = [
        _make_input(item, elements, _Listed(body, index))
        for index, (item, elements) in enumerate(zip(value["inputs"], data, strict=True))
    ]
    sound = [tensor for tensor in inputs if tensor is not None]
    return make_request(value, sound, model_name) if len(sound) == len(inputs) else None


def _parser() -> Callable[[bytes], Any] | None:
    """Return what parses; None in an environment without simdjson. One a call: they keep memory."""
    try:
        import simdjson
    except ImportError:
        return None
    parse: Callable[[bytes], Any] = simdjson.Parser().parse
    return parse


def _split(document: Any) -> tuple[dict[str, Any], list[Any]]:
    """Return the request with empty `data`, and the data apart, as simdjson has them."""
    value = _members(document)
    proxies, data, inputs = value.pop("inputs"), [], []
    for index in range(len(proxies)):
        item = _members(proxies[index])
        data.append(item.pop("data"))
        inputs.append({**_plain(item), "data": []})
    return {**_plain(value), "inputs": inputs}, data


def _members(proxy: Any) -> dict[str, Any]:
    """Return an object's members, unread; ValueError where one repeats: simdjson finds the first
    of a name, and JSON's readers take the last."""
    members = {key: proxy[key] for key in proxy}
    if len(members) != len(proxy):
        raise ValueError("a member repeats")
    return members


def _plain(members: dict[str, Any]) -> dict[str, Any]:
    return {key: _whole(member) for key, member in members.items()}


def _whole(member: Any) -> Any:
    if hasattr(member, "as_dict"):
        return member.as_dict()
    return member.as_list() if hasattr(member, "as_list") else member


def _brackets(value: dict[str, Any]) -> int:
    """Return how many `[` the body of a request has whose data are all flat."""
    return 1 + 2 * len(value["inputs"]) + isinstance(value.get("outputs"), list)


def _make_input(item: dict[str, Any], elements: Any, listed: _Listed) -> InferInput | None:
    """Return the tensor; None where its elements are not numbers that fit datatype and shape."""
    tensor = InferInput(item["name"], item["shape"], item["datatype"], None, item.get("parameters"))
    wanted, dtype = _ELEMENTS.get(tensor.datatype), to_np_dtype(tensor.datatype)
    if wanted is None or dtype is None:
        return None
    try:
        array = _fit(_read(elements, *wanted), dtype)
        if array is None:
            return None
        tensor.set_sent_array(array.reshape(tensor.shape), listed)
    except (ValueError, TypeError, AttributeError):
        return None
    return tensor


def _read(elements: Any, kind: str, name: str) -> npt.NDArray[Any]:
    """Return the numbers; TypeError or ValueError where one is of another kind."""
    import numpy as np

    return np.frombuffer(elements.as_buffer(of_type=kind), dtype=name)


def _fit(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any] | None:
    """Return the numbers in their own type; None where it cannot hold one of them."""
    import numpy as np

    if array.dtype == dtype:
        return array
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            narrow = array.astype(dtype)
        return narrow if np.isfinite(narrow).all() else None
    bounds = np.iinfo(dtype)
    if array.size and (array.min() < bounds.min or array.max() > bounds.max):
        return None
    return array.astype(dtype)


class _Listed:
    """Makes an input's list when it is asked for: out of the body, so that numbers are as sent."""

    __slots__ = ("_body", "_index")

    def __init__(self, body: bytes, index: int) -> None:
        self._body = body
        self._index = index

    def __call__(self) -> list[Any]:
        data: list[Any] = orjson.loads(self._body)["inputs"][self._index]["data"]
        return data
