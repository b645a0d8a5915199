"""TensorFlow Serving's JSON: what a body asks, and what is answered ("RESTful API").

Errors of the form are told in its words, with what would mend them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from sampan.machinery.registry import JsonObject
from sampan.protocol.errors import InvalidInput
from sampan.protocol.json_out import json_ready
from sampan.runtimes.tensorflow.messages import encode_example, encode_feature

if TYPE_CHECKING:
    import numpy as np

    Arrays = Mapping[str, np.ndarray[Any, Any]]

_SHOWN = 100  # of a document that is quoted
_BYTES = "_bytes"
"""The end of an output's name whose text goes out as base64."""


def parse_object(body: bytes) -> JsonObject:
    """Return a body's JSON object; InvalidInput where it is none."""
    if not body:
        raise InvalidInput("JSON Parse error: The document is empty; send a JSON object")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"JSON Value: {_shown(document)} Is not object")
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise InvalidInput(
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key must be "
            "a string value."
        )
    return document


def validate_predict(document: JsonObject) -> None:
    """Raise InvalidInput unless a document has rows or columns, and not both."""
    rows, columns = "instances" in document, "inputs" in document
    if rows and columns:
        raise InvalidInput(
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist"
        )
    if not rows and not columns:
        raise InvalidInput("Missing 'inputs' or 'instances' key")
    if rows and not isinstance(document["instances"], list):
        raise InvalidInput(
            f"JSON Value: {_shown(document)} Excepting 'instances' to be an list/array"
        )


def make_answer(arrays: Arrays, *, rows: bool) -> JsonObject:
    """Return `predictions`, a row each, or `outputs`, whole; of several outputs by name."""
    ready = {name: _ready(name, array) for name, array in arrays.items()}
    if not rows:
        return {"outputs": next(iter(ready.values())) if len(ready) == 1 else ready}
    _validate_rows(arrays)
    if len(ready) == 1:
        return {"predictions": next(iter(ready.values()))}
    values = zip(*ready.values(), strict=True)
    return {"predictions": [dict(zip(ready, row, strict=True)) for row in values]}


def _validate_rows(arrays: Arrays) -> None:
    expected: int | None = None
    for name, array in arrays.items():
        if not array.ndim:
            raise InvalidInput(
                f'Tensor name: {name} has no shape information; ask with "inputs", which are '
                "answered whole"
            )
        if expected not in {None, len(array)}:
            raise InvalidInput(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: "
                f'{expected}; ask with "inputs", which are answered whole'
            )
        expected = len(array)


def _ready(name: str, array: np.ndarray[Any, Any]) -> Any:
    """Return an array for JSON: fractions with as many digits as tell them from their neighbours,
    text of a name that ends with `_bytes` as `{"b64": ...}`."""
    if array.dtype.kind == "f":
        return array if array.flags.c_contiguous else array.copy()
    if name.endswith(_BYTES) and array.dtype.kind in "OS":
        return _encoded(array.tolist())
    return json_ready(array)


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return {"b64": base64.b64encode(value).decode()}


def make_examples(document: JsonObject, verb: str) -> list[bytes]:
    """Return the serialized examples of a classify or regress body, the context before each."""
    rows = document.get("examples")
    if rows is None:
        raise InvalidInput(
            f"JSON Value: {_shown(document)} When method is {verb}, key 'examples' is expected and "
            "was not found"
        )
    if not isinstance(rows, list):
        raise InvalidInput(
            f"JSON Value: {_shown(document)} Expecting 'examples' value to be an list/array"
        )
    if not rows:
        raise InvalidInput(f"JSON Value: {_shown(document)} 'examples' value is an empty array")
    context = _make_example(document["context"]) if "context" in document else b""
    return [context + _make_example(row) for row in rows]


def _make_example(row: Any) -> bytes:
    if not isinstance(row, dict):
        raise InvalidInput(f"Example must be JSON object but got JSON {_shown(row)}")
    features = {}
    for name, given in row.items():
        values = given if isinstance(given, list) else [given]
        features[name] = encode_feature([_value(name, value) for value in values], name)
    return encode_example(features)


def _value(name: str, value: Any) -> Any:
    """Return a feature's value: text as bytes, `{"b64": ...}` as what it stands for."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except binascii.Error as error:
            raise InvalidInput(f"Feature: {name}: Unable to base64 decode: {error}") from None
    if value is None or isinstance(value, (dict, list)):
        raise InvalidInput(
            f"Feature: {name} has element with unexpected JSON type: {type(value).__name__}"
        )
    return value


def _shown(value: Any) -> str:
    said = orjson.dumps(value).decode()
    return said if len(said) <= _SHOWN else said[:_SHOWN] + "..."
