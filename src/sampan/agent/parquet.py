"""A table as a file of Apache Parquet: texts and truths, all required, plain, unpacked. Pure.

Apache Parquet format 2.10 ("File format", "Encodings: Plain"); its metadata are Thrift's compact
protocol. Written here, for a library that reads and writes all of it weighs a hundred times
the agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

_MAGIC = b"PAR1"
_BOOLEAN, _BYTE_ARRAY = 0, 6  # physical types
_PLAIN, _RLE = 0, 3  # encodings; RLE is that of levels, which required columns have none of
_REQUIRED, _UTF8, _DATA_PAGE, _UNCOMPRESSED = 0, 0, 0, 0

# Thrift's compact protocol, types of fields.
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12

Value: TypeAlias = "int | bytes | Items | Struct"


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its name; its values are all texts or all truths."""

    name: str
    values: Sequence[str | bool]

    @property
    def is_text(self) -> bool:
        """Whether it holds texts, as an empty one is taken to do."""
        return not (self.values and isinstance(self.values[0], bool))


@dataclass(frozen=True, slots=True)
class Items:
    """A list of Thrift: its elements' type and its elements."""

    type: int
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct of Thrift: number, type and value of each field, in order of their numbers."""

    fields: Sequence[tuple[int, int, Value]]


def render_parquet(columns: Sequence[Column]) -> bytes:
    """Return a file with these columns, which have equally many values, in one row group."""
    rows = len(columns[0].values) if columns else 0
    out = bytearray(_MAGIC)
    chunks = []
    for column in columns:
        start = len(out)
        out += _render_page(column)
        chunks.append(_chunk(column, start, len(out) - start))
    footer = _render(_metadata(columns, chunks, rows, len(out) - len(_MAGIC)))
    return bytes(out) + footer + len(footer).to_bytes(4, "little") + _MAGIC


def _render_page(column: Column) -> bytes:
    body = _plain_texts(column.values) if column.is_text else _plain_truths(column.values)
    count = len(column.values)
    data = Struct(((1, _I32, count), (2, _I32, _PLAIN), (3, _I32, _RLE), (4, _I32, _RLE)))
    size = len(body)
    head = Struct(((1, _I32, _DATA_PAGE), (2, _I32, size), (3, _I32, size), (5, _STRUCT, data)))
    return _render(head) + body


def _plain_texts(values: Sequence[str | bool]) -> bytes:
    raws = [str(value).encode() for value in values]
    return b"".join(len(raw).to_bytes(4, "little") + raw for raw in raws)


def _plain_truths(values: Sequence[str | bool]) -> bytes:
    """One bit each, the first the lowest."""
    bits = sum(1 << number for number, value in enumerate(values) if value)
    return bits.to_bytes((len(values) + 7) // 8, "little")


def _chunk(column: Column, start: int, size: int) -> Struct:
    """Return a ColumnChunk with its ColumnMetaData."""
    kind = _BYTE_ARRAY if column.is_text else _BOOLEAN
    told = Struct(
        (
            (1, _I32, kind),
            (2, _LIST, Items(_I32, (_PLAIN, _RLE))),
            (3, _LIST, Items(_BINARY, (column.name.encode(),))),
            (4, _I32, _UNCOMPRESSED),
            (5, _I64, len(column.values)),
            (6, _I64, size),
            (7, _I64, size),
            (9, _I64, start),
        )
    )
    return Struct(((2, _I64, start), (3, _STRUCT, told)))


def _metadata(columns: Sequence[Column], chunks: list[Struct], rows: int, size: int) -> Struct:
    """Return the FileMetaData."""
    schema = [Struct(((4, _BINARY, b"schema"), (5, _I32, len(columns))))]
    schema += map(_element, columns)
    group = Struct(((1, _LIST, Items(_STRUCT, chunks)), (2, _I64, size), (3, _I64, rows)))
    return Struct(
        (
            (1, _I32, 1),  # the format's version
            (2, _LIST, Items(_STRUCT, schema)),
            (3, _I64, rows),
            (4, _LIST, Items(_STRUCT, (group,))),
            (6, _BINARY, b"sampan"),
        )
    )


def _element(column: Column) -> Struct:
    """Return a SchemaElement."""
    name = (4, _BINARY, column.name.encode())
    if not column.is_text:
        return Struct(((1, _I32, _BOOLEAN), (3, _I32, _REQUIRED), name))
    return Struct(((1, _I32, _BYTE_ARRAY), (3, _I32, _REQUIRED), name, (6, _I32, _UTF8)))


# -- Thrift's compact protocol ---------------------------------------------------------------------


def _render(value: Value) -> bytes:
    if isinstance(value, Struct):
        return _render_struct(value)
    if isinstance(value, Items):
        size = len(value.values)
        short = size < 15
        head = bytes(((size if short else 15) << 4 | value.type,))
        return b"".join((head, b"" if short else _varint(size), *map(_render, value.values)))
    if isinstance(value, bytes):
        return _varint(len(value)) + value
    return _varint(value << 1 ^ value >> 63)  # zigzag


def _render_struct(struct: Struct) -> bytes:
    out, last = bytearray(), 0
    for number, kind, value in struct.fields:
        out.append((number - last) << 4 | kind)
        out += _render(value)
        last = number
    return bytes(out) + b"\0"


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
