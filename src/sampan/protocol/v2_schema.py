"""Checks a decoded V2 request and lists every mistake, in the form that KServe's server sends.

The entries (`type`, `loc`, `msg`, `input`) are those of FastAPI's 422 answer, whose clients match
on `loc`. Written by hand: building the same models with pydantic costs more than a prediction.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from sampan.protocol.tensors import REGION

Detail: TypeAlias = "list[dict[str, Any]]"
Loc: TypeAlias = "tuple[str | int, ...]"

_ROOT: Loc = ("body", "InferenceRequest")
_NOT_AN_OBJECT = "Input should be a valid dictionary or object to extract fields from"
_PARAMETER_KINDS = (
    ("float_type", "float", "Input should be a valid number"),
    ("int_type", "int", "Input should be a valid integer"),
    ("bool_type", "bool", "Input should be a valid boolean"),
    ("string_type", "str", "Input should be a valid string"),
)
_MAX_DIMENSION = 2**63 - 1


def validate_request(value: Any, *, binary: bool = False) -> Detail:
    """Return every mistake, none for a sound request. `binary`: `data` may follow as raw bytes.

    Shapes given as text or as whole floats are replaced by ints (pydantic's lax mode).
    """
    if _is_plain(value):
        return []
    errors: Detail = []
    if _object(value, _ROOT, errors):
        _text(value, "id", _ROOT, errors, required=False)
        _parameters(value, _ROOT, errors)
        _tensors(value, "inputs", binary, errors)
        _tensors(value, "outputs", binary, errors)
    if errors and not binary:
        errors.append(_entry("bytes_type", ("body", "bytes"), "a valid bytes", value))
    return errors


def _is_plain(value: Any) -> bool:
    """Whether a request is sound at a glance: what most are, at a third of the long way's time."""
    if type(value) is not dict or "outputs" in value or "parameters" in value:
        return False
    inputs = value.get("inputs")
    if type(inputs) is not list or type(value.get("id", "")) is not str:
        return False
    for item in inputs:
        if type(item) is not dict or "parameters" in item or type(item.get("data")) is not list:
            return False
        if type(item.get("name")) is not str or type(item.get("datatype")) is not str:
            return False
        shape = item.get("shape")
        if type(shape) is not list:
            return False
        for size in shape:
            if type(size) is not int:
                return False
    return True


def json_invalid(message: str, position: int) -> Detail:
    """Return the entry for a body that is not JSON."""
    return [
        {
            "type": "json_invalid",
            "loc": ["body", position],
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": message},
        }
    ]


def missing_body() -> Detail:
    """Return the entry for an empty body."""
    return [_missing(("body",), None)]


def _tensors(value: dict[str, Any], key: str, binary: bool, errors: Detail) -> None:
    loc = (*_ROOT, key)
    if key not in value:
        if key == "inputs":
            errors.append(_missing(loc, value))
        return
    tensors = value[key]
    if tensors is None and key == "outputs":
        return
    if not isinstance(tensors, list):
        errors.append(_entry("list_type", loc, "a valid list", tensors))
        return
    for index, tensor in enumerate(tensors):
        place = (*loc, index)
        if not _object(tensor, place, errors):
            continue
        _text(tensor, "name", place, errors)
        if key == "inputs":
            _shape(tensor, place, errors)
            _text(tensor, "datatype", place, errors)
        _parameters(tensor, place, errors)
        if key == "inputs":
            _data(tensor, place, binary, errors)


def _data(tensor: dict[str, Any], loc: Loc, binary: bool, errors: Detail) -> None:
    if "data" not in tensor:
        parameters = tensor.get("parameters")
        elsewhere = isinstance(parameters, dict) and REGION in parameters
        if not binary and not elsewhere:
            errors.append(_missing((*loc, "data"), tensor))
    elif not isinstance(tensor["data"], list):
        errors.append(_entry("list_type", (*loc, "data"), "a valid list", tensor["data"]))


def _shape(tensor: dict[str, Any], loc: Loc, errors: Detail) -> None:
    loc = (*loc, "shape")
    if "shape" not in tensor:
        errors.append(_missing(loc, tensor))
        return
    shape = tensor["shape"]
    if not isinstance(shape, list):
        errors.append(_entry("list_type", loc, "a valid list", shape))
        return
    if all(type(size) is int for size in shape):
        return
    before = len(errors)
    sizes = [_dimension(size, (*loc, index), errors) for index, size in enumerate(shape)]
    if len(errors) == before:
        tensor["shape"] = sizes


def _dimension(size: Any, loc: Loc, errors: Detail) -> int:
    """Return a size as int, whatever form it has; -1 beside an error."""
    if type(size) is int:
        return size
    if isinstance(size, str):
        if size.strip().lstrip("+-").isdecimal() and len(size) < 19:
            return int(size)
        text = "a valid integer, unable to parse string as an integer"
        errors.append(_entry("int_parsing", loc, text, size))
    elif isinstance(size, float):
        if size.is_integer() and abs(size) < _MAX_DIMENSION:
            return int(size)
        text = "a valid integer, got a number with a fractional part"
        errors.append(_entry("int_from_float", loc, text, size))
    elif isinstance(size, bool):
        return int(size)
    else:
        errors.append(_entry("int_type", loc, "a valid integer", size))
    return -1


def _parameters(value: dict[str, Any], loc: Loc, errors: Detail) -> None:
    parameters = value.get("parameters")
    if parameters is None:
        return
    loc = (*loc, "parameters")
    if not isinstance(parameters, dict):
        errors.append(_entry("dict_type", loc, "a valid dictionary", parameters))
        return
    for key, item in parameters.items():
        if not isinstance(item, (str, int, float)):
            for kind, branch, message in _PARAMETER_KINDS:
                errors.append(
                    {"type": kind, "loc": [*loc, key, branch], "msg": message, "input": item}
                )


def _text(value: dict[str, Any], key: str, loc: Loc, errors: Detail, required: bool = True) -> None:
    item = value.get(key)
    if isinstance(item, str):
        return
    if required and key not in value:
        errors.append(_missing((*loc, key), value))
    elif required or item is not None:
        errors.append(_entry("string_type", (*loc, key), "a valid string", item))


def _object(value: Any, loc: Loc, errors: Detail) -> bool:
    if isinstance(value, dict):
        return True
    errors.append(
        {"type": "model_attributes_type", "loc": list(loc), "msg": _NOT_AN_OBJECT, "input": value}
    )
    return False


def _missing(loc: Loc, value: Any) -> dict[str, Any]:
    return {"type": "missing", "loc": list(loc), "msg": "Field required", "input": value}


def _entry(kind: str, loc: Loc, what: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": list(loc), "msg": f"Input should be {what}", "input": value}
