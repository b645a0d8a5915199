"""The payloads of MLflow's scoring server, brought into the forms of V1. Pure.

MLflow, "Deploy MLflow Model as a Local Inference Server": `dataframe_split`, `dataframe_records`,
`instances`, `inputs`; CSV with a head line. `params` beside them stay there.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from sampan.protocol.errors import InvalidInput

KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def normalise(payload: Any) -> Any:
    """Return a payload with `instances` or `inputs`; what is neither form passes as it is."""
    if not isinstance(payload, dict):
        return payload
    given = [key for key in KEYS if key in payload]
    if len(given) > 1:
        raise InvalidInput(f'the request has "{given[0]}" and "{given[1]}"; send one of them')
    if not given:
        raise InvalidInput(f"the request has none of {', '.join(KEYS)}; send one of them")
    beside = {"params": payload["params"]} if payload.get("params") else {}
    key, value = given[0], payload[given[0]]
    if key == "dataframe_split":
        return {"inputs": _split_columns(value), **beside}
    if key == "dataframe_records":
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise InvalidInput('"dataframe_records" must be a list of objects, one a row')
        return {"instances": value, **beside}
    return {key: value, **beside}


def _split_columns(value: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise InvalidInput('"dataframe_split" must be an object with "columns" and "data"')
    columns, data = value.get("columns"), value["data"]
    if columns is None:
        return data
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            raise InvalidInput(
                f'"dataframe_split": row {number} of "data" must be a list of {len(columns)} '
                "values, one for each of the columns"
            )
    return {str(name): [row[i] for row in data] for i, name in enumerate(columns)}


def parse_csv(body: bytes) -> dict[str, Any]:
    """Return the columns of a CSV with a head line; what reads as a number is one."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("The scoring server only supports UTF-8") from None
    try:
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except csv.Error as error:
        raise InvalidInput(f"the CSV cannot be read: {error}") from None
    if len(rows) < 2:
        raise InvalidInput("the CSV has no rows; send a head line and at least one row")
    head, *data = rows
    for number, row in enumerate(data, 2):
        if len(row) != len(head):
            raise InvalidInput(f"line {number} of the CSV has {len(row)} values, not {len(head)}")
    return {"inputs": {name: [_value(row[i]) for row in data] for i, name in enumerate(head)}}


def _value(word: str) -> Any:
    """Return a number where the word is one, None for an empty word, else the word."""
    if not word:
        return None
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
