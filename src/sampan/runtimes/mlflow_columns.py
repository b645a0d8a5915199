"""Values of a signature's columns as pandas has them: times, bytes, numbers (MLflow "DataType")."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.mlflow_document import Column


def make_series(column: Column, values: list[Any]) -> Any:
    """Return a column of a DataFrame; InvalidInput names the row that does not fit."""
    import pandas as pd  # type: ignore[import-untyped]  # not in the core

    name = column.field.name
    if column.kind == "datetime":
        return _times(name, values)
    if column.kind == "binary":
        return pd.Series([_bytes(name, row, v) for row, v in enumerate(values)], dtype=object)
    if column.field.kind in {"whole", "truth"} and None in values:
        raise InvalidInput(
            f'feature "{name}" is missing in row {values.index(None)}; the signature\'s type for '
            "it has no missing value"
        )
    _check_range(column, values)
    return pd.Series(values, dtype=column.dtype)


def _times(name: str, values: list[Any]) -> Any:
    """Return times in nanoseconds, of texts (ISO 8601) or numbers of nanoseconds."""
    import pandas as pd

    try:
        return pd.Series(pd.to_datetime(pd.Series(values), utc=False)).astype("datetime64[ns]")
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(
            f'feature "{name}" holds what is no time ({str(error)[:120]}); send texts as '
            "2026-01-31T12:00:00"
        ) from None


def _bytes(name: str, row: int, value: Any) -> Any:
    """Return the bytes that a text says in base64; bytes of V2 as they are."""
    if value is None or isinstance(value, bytes):
        return value
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (AttributeError, ValueError, binascii.Error):
        raise InvalidInput(
            f'feature "{name}" in row {row} is no base64; the signature says binary, send it so'
        ) from None


def _check_range(column: Column, values: list[Any]) -> None:
    """Raise InvalidInput for a whole number that the signature's type has no room for."""
    if column.field.kind != "whole":
        return
    bits = 31 if column.kind == "integer" else 63
    for row, value in enumerate(values):
        if not -(2**bits) <= value < 2**bits:
            raise InvalidInput(
                f'feature "{column.field.name}" is {value} in row {row}; the signature says '
                f"{column.kind}, which ends at {2**bits - 1}"
            )
