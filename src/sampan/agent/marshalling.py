"""Records of the log as the content of a file: JSON, CSV or Parquet. Pure.

KServe, logger, marshaller: one record is a JSON object, several are an array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import orjson

from sampan.agent.parquet import Column, render_parquet
from sampan.agent.records import COLUMNS, Record, make_row

_SPECIAL = frozenset(',"\r\n')


def render_json(records: Sequence[Record]) -> bytes:
    """Return an object, or an array of several."""
    return orjson.dumps(records[0] if len(records) == 1 else list(records))


def render_csv(records: Sequence[Record]) -> bytes:
    """Return a line of names and a line for each record (RFC 4180; lines end as Go ends them)."""
    lines = [",".join(COLUMNS)]
    lines += [",".join(map(_quote, make_row(record))) for record in records]
    return "".join(f"{line}\n" for line in lines).encode()


def _quote(cell: str | bool) -> str:
    """Quoted as Go does it: Python's writer leaves a lone carriage return bare."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if cell[:1].isspace() or not _SPECIAL.isdisjoint(cell):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def render_table(records: Sequence[Record]) -> bytes:
    """Return a file of Apache Parquet with KServe's columns, all required."""
    rows = [make_row(record) for record in records]
    return render_parquet([Column(n, [row[i] for row in rows]) for i, n in enumerate(COLUMNS)])


FORMATS: Mapping[str, Callable[[Sequence[Record]], bytes]] = {
    "json": render_json,
    "csv": render_csv,
    "parquet": render_table,
}
"""By the name of a format, which is the file's extension, too."""
