"""FileDescriptorProtos of what is spoken, for reflection; made from the tables of `schema`.

Source: google/protobuf/descriptor.proto.
"""

from __future__ import annotations

from functools import cache

from sampan.protocol.grpc.protobuf import VARINT, delimited, varint
from sampan.protocol.grpc.schema import FILES, MESSAGE, Field, File, Method

_TYPES = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "message": 11,
    "bytes": 12,
    "uint32": 13,
    "enum": 14,
}
_OPTIONAL, _REPEATED = 1, 3


@cache
def describe_files() -> dict[str, bytes]:
    """Return the serialized descriptor of each file by the file's name."""
    return {file.name: _file(file) for file in FILES}


@cache
def locate_symbols() -> dict[str, str]:
    """Return the file of each service, method, message and enum by its full name."""
    found: dict[str, str] = {}
    for file in FILES:
        for name in (*file.messages, *file.enums, *file.services):
            found[f"{file.package}.{name}"] = file.name
        for service, methods in file.services.items():
            for method in methods:
                found[f"{file.package}.{service}.{method.name}"] = file.name
    return found


def list_services() -> list[str]:
    """Return the full names of the services, sorted."""
    return sorted(f"{file.package}.{name}" for file in FILES for name in file.services)


def _file(file: File) -> bytes:
    tops = [name for name in file.messages if "." not in name]
    return b"".join(
        (
            _text(1, file.name),
            _text(2, file.package),
            *(delimited(4, _message(file, name)) for name in tops),
            *(
                delimited(5, _enum(name, values))
                for name, values in file.enums.items()
                if "." not in name
            ),
            *(delimited(6, _service(name, methods)) for name, methods in file.services.items()),
            _text(12, "proto3"),
        )
    )


def _message(file: File, name: str) -> bytes:
    fields = file.messages[name]
    choices = list(dict.fromkeys(field.choice for field in fields if field.choice))
    inner = name + "."
    return b"".join(
        (
            _text(1, name.rpartition(".")[2]),
            *(delimited(2, _field(file, name, field, choices)) for field in fields),
            *(delimited(3, _message(file, other)) for other in file.messages if _in(other, inner)),
            *(delimited(3, _entry(field)) for field in fields if field.mapped),
            *(
                delimited(4, _enum(other, values))
                for other, values in file.enums.items()
                if _in(other, inner)
            ),
            *(delimited(8, _text(1, choice)) for choice in choices),
        )
    )


def _in(name: str, inner: str) -> bool:
    return name.startswith(inner) and "." not in name[len(inner) :]


def _field(file: File, message: str, field: Field, choices: list[str]) -> bytes:
    of = f"{file.package}.{message}.{_entry_name(field)}" if field.mapped else field.of
    parts = [
        _text(1, field.name),
        _number(3, field.number),
        _number(4, _REPEATED if field.repeated or field.mapped else _OPTIONAL),
        _number(5, _TYPES[field.kind]),
    ]
    if of:
        parts.append(_text(6, "." + of))
    if field.choice:
        parts.append(_number(9, choices.index(field.choice)))
    parts.append(_text(10, _json_name(field.name)))
    return b"".join(parts)


def _entry(field: Field) -> bytes:
    """Return the nested message that a map field stands for."""
    key = b"".join((_text(1, "key"), _number(3, 1), _number(4, 1), _number(5, 9), _text(10, "key")))
    value = b"".join(
        (
            _text(1, "value"),
            _number(3, 2),
            _number(4, _OPTIONAL),
            _number(5, _TYPES[MESSAGE]),
            _text(6, "." + field.of),
            _text(10, "value"),
        )
    )
    is_map = delimited(7, _number(7, 1))
    return _text(1, _entry_name(field)) + delimited(2, key) + delimited(2, value) + is_map


def _entry_name(field: Field) -> str:
    return "".join(word.capitalize() for word in field.name.split("_")) + "Entry"


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _enum(name: str, values: tuple[str, ...]) -> bytes:
    rows = (
        delimited(2, _text(1, value) + _number(2, number)) for number, value in enumerate(values)
    )
    return _text(1, name.rpartition(".")[2]) + b"".join(rows)


def _service(name: str, methods: tuple[Method, ...]) -> bytes:
    return _text(1, name) + b"".join(delimited(2, _method(method)) for method in methods)


def _method(method: Method) -> bytes:
    return b"".join(
        (
            _text(1, method.name),
            _text(2, "." + method.takes),
            _text(3, "." + method.gives),
            _number(5, 1) if method.takes_stream else b"",
            _number(6, 1) if method.gives_stream else b"",
        )
    )


def _text(number: int, value: str) -> bytes:
    return delimited(number, value.encode())


def _number(number: int, value: int) -> bytes:
    return varint(number << 3 | VARINT) + varint(value)
